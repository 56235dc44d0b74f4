"""How translations are judged: dataclasses, from which the flags, their help and their checks come."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from d_running.language_pairs import JAVA_D, LANGUAGE_PAIR_HELP, LanguagePairName
from util.errors import UserError
from util.flags import flag

DEFAULT_COMPILER = "ldc2"
BUILTIN = "builtin"
MAX_LENGTH, THRESHOLD = 8, 0.9
MAX_LENGTH_HELP = "an error message's first tokens that are compared, a model's special ones among them; for builtin, its first words"
Grouping = Literal["order_free", "original"]
GROUPING: Grouping = "order_free"
GROUPING_HELP = (
    "how messages are clustered: order_free (the most frequent message leads, each follows the leader nearest to it), or original (the first "
    "sample's message leads, of the leaders near to a message the last one wins)"
)

FIGURES = {
    "accuracy_of_target_cluster": "generalization: share of the targets that compile and pass now",
    "change_of_target_cluster": "cluster drift: size of the target cluster now, by its size before",
    "specificity": "specificity: share of the others that are in the same cluster as before",
    "destructiveness": "destructiveness: share of the functions that passed before and do not now",
    "reliability": "reliability: share of the single tests of passing functions that still pass",
}
"""What the figures of an edit in metrics.json are called in the paper, and what they say."""


@dataclass(frozen=True)
class UnitTestConfig:
    """How translations are compiled and run; every field is the flag of its name."""

    cache_dir: Path = flag(Path("runs/cache"), "where verdicts are kept between runs, by what was compiled and with what")
    jobs: int | None = flag(None, "programs judged at a time; by default one for each processor that this process may use")
    compile_limit: int = flag(30, "seconds of processor time to compile a translation")
    run_limit: int = flag(15, "seconds of processor time to run its tests")
    allow_unsafe_execution: bool = flag(False, "run translations even where nothing but resource limits contains them")
    invalidate_cache: bool = flag(False, "judge everything anew")
    d_compiler: str = flag(DEFAULT_COMPILER, "an LDC, DMD or GDC, by name or path")
    fast_judge: bool = flag(False, "compile many translations by one command; the verdicts are the same")
    plain_verdict: bool = flag(
        False, "let programs compare with the expected results themselves, as the original does; deceivable", former_opposite="strict_verdict"
    )
    language_pair: LanguagePairName = flag(JAVA_D, LANGUAGE_PAIR_HELP)

    def __post_init__(self) -> None:
        """See that the limits are positive.

        Raises:
            UserError: naming the flag that is not.
        """
        for name in ("jobs", "compile_limit", "run_limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"--{name} must be at least 1, not {value}.")


@dataclass(frozen=True)
class JudgeConfig(UnitTestConfig):
    """How to judge; every field is the flag of its name."""

    embedding_model: str = flag(
        BUILTIN,
        "embedding of messages: builtin, which needs no download and no code of others; or a sentence-transformers model, such as the "
        "original's, for figures to be compared with published ones",
    )
    max_length: int = flag(MAX_LENGTH, MAX_LENGTH_HELP)
    threshold: float = flag(THRESHOLD, "cosine above which messages are alike")
    grouping: Grouping = flag(GROUPING, GROUPING_HELP)
    trust_remote_code: bool = flag(False, "let the embedding model run its own code")
    allow_version_change: bool = flag(False, "compare with a clustering that another compiler, model or other settings made")

    @property
    def settings(self) -> dict[str, Any]:
        """What of it must be equal in clusterings that are compared."""
        from d_running.embedding import embedding_settings  # which imports numpy, for which --help need not wait

        return embedding_settings(self.embedding_model, self.max_length) | {"threshold": self.threshold, "grouping": self.grouping}
