"""The translator by rules in a run: no model, no torch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from d_running.translate import translate_with_rules, write_translations
from stages.config import RunConfig
from stages.prepare import Prepared
from stages.run import Metrics, Timed
from stages.run_folder import TRANSLATIONS


class RuleTranslator:
    """The reference's translations, which are made at once (see `stages.run.Translator`)."""

    def __init__(self, config: RunConfig, prepared: Prepared, timed: Timed) -> None:
        with timed("translate"):
            self._translations = translate_with_rules(prepared.samples, config.without_rule)
        self._folder = config.output / TRANSLATIONS
        self.made_with: dict[str, Any] = {"model": config.model.MODEL_NAME}
        self.content: dict[str, Any] = {"without_rule": sorted(config.without_rule), "translations": self._translations}
        self.metrics: Metrics = {}

    def translate(self, _log: Callable[..., None]) -> Metrics:
        """Write the translations."""
        write_translations(self._translations, self._folder)
        return {}


@contextmanager
def rule_translator(config: RunConfig, prepared: Prepared, timed: Timed) -> Iterator[RuleTranslator]:
    """The rules, ready to begin."""
    yield RuleTranslator(config, prepared, timed)
