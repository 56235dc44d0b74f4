"""The reference in a run, such as the translator by rules: no model, no torch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from d_running.translate import reference_translations, write_translations
from stages.config import RunConfig
from stages.prepare import Prepared
from stages.run import Metrics, Timed
from stages.run_folder import TRANSLATIONS


class RuleTranslator:
    """The reference's translations, which are made at once (see `stages.run.Translator`)."""

    def __init__(self, config: RunConfig, prepared: Prepared, timed: Timed) -> None:
        with timed("translate"):
            self._translations = reference_translations(prepared.samples, config.without_rule, config.judge.language_pair)
        self._pair = config.judge.language_pair
        self._folder = config.output / TRANSLATIONS
        self.made_with: dict[str, Any] = {"model": config.model.MODEL_NAME}
        self.content: dict[str, Any] = {"without_rule": sorted(config.without_rule), "translations": self._translations}
        self.metrics: Metrics = {}

    def translate(self, _log: Callable[..., None]) -> Metrics:
        """Write the translations."""
        write_translations(self._translations, self._folder, pair=self._pair)
        return {}


@contextmanager
def rule_translator(config: RunConfig, prepared: Prepared, timed: Timed) -> Iterator[RuleTranslator]:
    """The rules, ready to begin."""
    yield RuleTranslator(config, prepared, timed)
