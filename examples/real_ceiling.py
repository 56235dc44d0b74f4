"""How many functions of an error's cluster pass once that error alone is mended in the text: what an edit of it can repair at most.

usage: python -m examples.real_ceiling                        after python -m examples.real
"""

import re
import sys
import tempfile
from pathlib import Path

from d_running.cluster import nearest_cluster, read_clustering
from d_running.config import BUILTIN, JudgeConfig
from d_running.correction_knowledge import TRANSLATIONS
from d_running.dataset import load_samples
from d_running.embedding import load_embedder
from d_running.unit_test import run_unit_tests
from examples.real_requests import CORRECTIONS, Correction
from examples.smollm2 import RUNS
from util.cli import ArgumentParser, run_main
from util.files import write_text


def mended(correction: Correction, d: str) -> str:
    """A translation with the right form wherever it has the wrong one."""

    def right(match: re.Match[str]) -> str:
        start, end = (place - match.start() for place in match.span("wrong"))
        return match[0][:start] + match.expand(correction.right) + match[0][end:]

    while (other := re.sub(correction.wrong, right, d)) != d:
        d = other
    return d


def repairable(before: Path, correction: Correction, functions: Path) -> tuple[set[str], set[str]]:
    """The error's cluster in the noKE run ``before``, and those of its functions that pass with the error mended."""
    clustering, config = read_clustering(before), JudgeConfig()
    embed = load_embedder(BUILTIN, config.max_length)
    group = nearest_cluster(clustering, correction.brief_description, embed, config.threshold)
    targets = {clustering.results[member].name for member in clustering.members[group]} if group else set()
    samples = [sample for sample in load_samples(functions) if sample.name in targets]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for target in targets:
            write_text(folder / f"{target}.d", mended(correction, (before / TRANSLATIONS / f"{target}.d").read_text(encoding="utf-8")))
        results = run_unit_tests(folder, samples, folder / "judged", config)
    return targets, {result.name for result in results if result.success}


def main() -> None:
    """Command line, see the module's first lines."""
    parser = ArgumentParser(prog="python -m examples.real_ceiling", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=RUNS / "own", help="output folder of python -m examples.real (default: %(default)s)")
    folder: Path = parser.parse_args().folder
    for kind, edits in (("MLP", ["ROME"]), ("TC", ["TCPE_pre", "TCPE"])):
        for error, correction in CORRECTIONS.items():
            targets, able = repairable(folder / kind / "noKE", correction, folder / "functions.csv")
            parts = [f"{kind}, {error}: {len(able)} of {len(targets)} targets pass with the error mended in the text"]
            for edit in edits:
                repaired = {result.name for result in read_clustering(folder / kind / error / edit).results if result.success} & targets
                parts.append(f"{edit} repairs {len(repaired & able)} of them and {len(repaired - able)} others")
            sys.stdout.write("; ".join(parts) + "\n")


if __name__ == "__main__":
    run_main(main)
