"""The Python door of KECode: the benchmark for any model that generates."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from d_running.cluster import Clustering, nearest_cluster
from d_running.config import JudgeConfig
from d_running.dataset import load_samples
from d_running.embedding import load_embedder
from d_running.evaluation import METRICS_FILE, Metrics, check_targets
from d_running.java_text import natural_java
from d_running.judge import figures, judge
from d_running.language_pairs import JAVA_D, LanguagePairName
from d_running.prompt import translation_prompt
from d_running.translate import function_of, translate_samples
from util.errors import BenchmarkError, list_of_strings, named_as_arguments
from util.files import read_json, write_json

TRANSLATIONS = "translations"
MADE_BY = "translated_by.json"
"""In the folder of a judgement: what wrote its translations."""


class Translator(Protocol):
    """A model that continues prompts, such as ``tcpe.Model``.

    Attributes:
        tokenizer: with the chat template that prompts are made with.
        digest: changes with anything that changes its answers.
    """

    @property
    def tokenizer(self) -> Any: ...
    @property
    def digest(self) -> str: ...
    def generate(self, prompts: Sequence[str]) -> list[str]:
        """The continuation of each prompt up to the end of its fence."""


@dataclass(frozen=True)
class Judgement:
    """What the judges say of one model's translations.

    Attributes:
        clustering: the verdict on each sample and its cluster.
        metrics: against the judgement before; of one without, against itself.
        target_clusters: the clusters of the judgement before that were to be repaired.
    """

    clustering: Clustering
    metrics: Metrics
    target_clusters: list[str]


def prompt(model: Translator, java: str, pair: LanguagePairName = JAVA_D) -> str:
    """The benchmark's prompt for a Java function.

    Raises:
        UserError: if the tokenizer has no chat template.
    """
    return translation_prompt(model.tokenizer, natural_java(java), pair=pair)


def translate(model: Translator, functions: Sequence[str], pair: LanguagePairName = JAVA_D) -> list[str]:
    """The function, called ``f_filled``, that the model makes of each Java function, in the pair's target language.

    Raises:
        UserError: for a string instead of a list of them.
    """
    return [function_of(answer, pair) for answer in model.generate([prompt(model, java, pair) for java in list_of_strings("functions", functions)])]


class KECode:
    """Samples that translations are judged by.

    Args:
        originals_path: a folder of ID.java, or a kecode.csv.
        d_params_path: the folder of ID.d test programs; not needed with a CSV.
        settings: fields of ``JudgeConfig``, such as ``jobs``, ``fast_judge`` or ``language_pair``.

    Raises:
        UserError: for samples that are missing or cannot be judged, or an impossible setting.
    """

    @named_as_arguments()
    def __init__(self, originals_path: str | Path, d_params_path: str | Path | None = None, **settings: Any) -> None:
        self.config = JudgeConfig(**settings)
        self.samples = load_samples(Path(originals_path), Path(d_params_path) if d_params_path else None, self.config.language_pair)

    @named_as_arguments()
    def judge(
        self,
        model: Translator,
        output_path: str | Path,
        before: Judgement | None = None,
        target_clusters: Sequence[str] = (),
        brief_description: str = "",
        batch_size: int = 64,
    ) -> Judgement:
        """Translate all samples, compile and run them contained, cluster the failures and compare with ``before``.

        Args:
            output_path: folder for the translations, verdicts, clusters and metrics; what an interrupted call left there is continued.
            target_clusters: the clusters of ``before`` that the edit was for.
            brief_description: instead of their names, the compiler's message: the cluster of ``before`` with messages like it.
            batch_size: functions that are translated at a time.

        Raises:
            UserError: if there is no compiler or containment, no such cluster, or the folder holds another model's translations.
        """
        output, targets = Path(output_path), list(target_clusters)
        embed = load_embedder(self.config.embedding_model, self.config.max_length, self.config.trust_remote_code)
        if before is not None:
            if brief_description:
                nearest = nearest_cluster(before.clustering, brief_description, embed, self.config.threshold)
                if nearest is None:
                    raise BenchmarkError(f"No cluster before has messages like {brief_description!r}; give --target_clusters.")
                targets = [*targets, nearest]
            check_targets(before.clustering, targets)
        elif targets or brief_description:
            raise BenchmarkError("--target_clusters and --brief_description name clusters of --before; give that too.")
        self._claim(output, model)
        pair = self.config.language_pair
        prompt_of = partial(translation_prompt, model.tokenizer, pair=pair)
        translate_samples(self.samples, model.generate, prompt_of, output / TRANSLATIONS, batch_size, pair)
        earlier = before.clustering if before is not None else None
        clustering, metrics = judge(output / TRANSLATIONS, self.samples, output, self.config, earlier, targets, embed=embed)
        write_json(output / METRICS_FILE, figures(clustering, metrics, earlier, targets))
        return Judgement(clustering, metrics, targets)

    def _claim(self, output: Path, model: Translator) -> None:
        """See that the translations in ``output``, if there are any, are this model's."""
        made_by, file = {"model": model.digest}, output / MADE_BY
        found = read_json(file, "what wrote the translations") if file.is_file() else None
        translations = output / TRANSLATIONS
        if found != made_by and translations.is_dir() and any(translations.iterdir()):
            raise BenchmarkError(f"{output} holds the translations of another model or edit; give another --output_path.")
        write_json(file, made_by)
