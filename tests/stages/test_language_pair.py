"""A run in another language pair than Java to D, with the real judge."""

import csv

from d_running.cluster import read_clustering
from d_running.language_pairs import language_pair
from stages.config import run_config
from stages.run import run_stage


def test_another_language_pair_runs_from_the_reference_to_its_clusters(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    gold = {name: f"def f_filled(n):\n    return {value}\n" for name, value in {"RIGHT": "n", "DIVIDES": "n // 0", "WRONG": "-n"}.items()}
    with (tmp_path / "kecode.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "function_java", "python_with_params", "function_python"])
        program = language_pair("java-python").render_test_program("int", ["int"], [[1], [2]], [1, 2], False, {})
        rows.writerows([name, "static int f_gold(int n) { return n; }", program, text] for name, text in gold.items())
    given = {"MODEL_NAME": "reference", "alg_name": "noKE", "language_pair": "java-python", "originals_path": str(tmp_path / "kecode.csv")}
    folders = {"output_file_path": "out", "preKE_cluster_result": "out", "container_workspace": "work"}
    config = run_config(given | {name: str(tmp_path / folder) for name, folder in folders.items()})
    assert run_stage(config)["accuracy"] == 1 / 3
    clustering = read_clustering(tmp_path / "out")
    assert dict(zip(("DIVIDES", "RIGHT", "WRONG"), clustering.groups, strict=True)) == {"DIVIDES": "0", "RIGHT": "Success", "WRONG": "Correctness"}
    assert clustering.briefs[0] == "Error: ZeroDivisionError: integer division or modulo by zero"
    assert (tmp_path / "out/translations/DIVIDES.py").read_text() == gold["DIVIDES"]
