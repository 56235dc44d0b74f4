"""The program as its users meet it: stages on the embedded model through the real compiler, and their mistakes."""

import csv
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import run_tcpe
from d_running.compiler import find_compiler
from demo.settings import DATA, EDIT, KIND, LAYER
from util.errors import UserError

ROOT = Path(__file__).parent.parent
FUNCTIONS = 24
ROW = 2  # `Integer.MIN_VALUE`


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a few functions of the validation set and a finished noKE and TCPE_pre run on them."""
    folder = tmp_path_factory.mktemp("work")
    csv.field_size_limit(sys.maxsize)
    with (DATA / "validation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = [row for row in rows if "MIN_VALUE" in row["function_java"]][:8]
    chosen += [row for row in rows if row not in chosen][: FUNCTIONS - len(chosen)]
    write(folder / "functions.csv", chosen)
    run(folder, "noKE", "before")
    run(folder, "TCPE_pre", "pre", "--save_k_v_upd")
    return folder


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def flags(work: Path, stage: str, output: str, *more: str) -> list[str]:
    """A whole command; of a flag that is given twice the later value counts."""
    edit = [text for name, value in EDIT.items() for text in (f"--{name}", json.dumps(value) if isinstance(value, list) else str(value))]
    return [
        *("--MODEL_NAME", str(DATA / "model"), "--layer_num", str(LAYER), "--TC_layer_file", str(DATA / "transcoder"), "--mlp_or_tc", KIND),
        *("--alg_name", stage, "--i", str(ROW), "--edit_sequence_path", str(DATA / "edit_requests.csv"), "--v_num_grad_steps", "10"),
        *("--originals_path", str(work / "functions.csv"), "--translation_batch_size", "24", "--device", "cpu"),
        *("--container_workspace", str(work / "workspace"), "--preKE_cluster_result", str(work / "before")),
        *("--output_file_path", str(work / output)),
        *edit,
        *more,
    ]


def run(work: Path, stage: str, output: str, *more: str) -> dict:
    """Run a stage in this process and return what it wrote to metrics.json."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["run_tcpe.py", *flags(work, stage, output, *more)])
        patch.setenv("WANDB_MODE", "disabled")
        run_tcpe.main()
    return json.loads((work / output / "metrics.json").read_text())


@pytest.mark.slow
def test_the_stages_repair_their_target(work: Path) -> None:
    before = json.loads((work / "before/metrics.json").read_text())
    whole = json.loads((work / "pre/metrics.json").read_text())
    active, ablation = run(work, "TCPE", "active"), run(work, "TCPE", "ablation", "--abla_exp")
    assert 0 < active["columns"] < whole["columns"] == 512 == active["columns"] + ablation["columns"]
    assert active["targets"] >= 6
    assert active["accuracy_of_target_cluster"] >= 0.7
    assert ablation["accuracy_of_target_cluster"] <= 0.05
    assert active["destructiveness"] == 0
    assert active["overall_accuracy_after"] > before["accuracy"]


def test_an_update_of_another_search_than_the_flags_ask_for_is_refused(work: Path) -> None:
    with pytest.raises(UserError, match="with the flags given: those that are there were made with --fact_token last, --v_lr 0.1; run --alg_name"):
        run(work, "TCPE", "other_flags", "--fact_token", "subject_last", "--v_lr", "3")
    assert not (work / "other_flags" / "metrics.json").exists()


def test_the_same_command_gives_the_same_bytes(work: Path) -> None:
    run(work, "TCPE", "first")
    run(work, "TCPE", "second")
    for name in ("metrics.json", "results.json", "cluster.csv", "cluster.json"):
        assert (work / "first" / name).read_bytes() == (work / "second" / name).read_bytes()


def test_a_killed_run_continues_with_the_same_result(work: Path) -> None:
    run(work, "TCPE", "whole")
    run(work, "TCPE", "killed")
    folder = work / "killed"
    for path in sorted((folder / "translations").iterdir())[10:]:
        path.unlink()
    for name in ("metrics.json", "results.json", "cluster.csv"):
        (folder / name).unlink()
    run(work, "TCPE", "killed")
    assert (folder / "metrics.json").read_bytes() == (work / "whole/metrics.json").read_bytes()


def hostile_checkpoint(path: Path) -> None:
    """A PyTorch checkpoint whose pickle would make a file when it is loaded."""

    class Hostile:
        def __reduce__(self):
            return (os.system, (f"touch {path}.ran",))

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"cfg": Hostile(), "state_dict": {}}, protocol=2))
        archive.writestr("archive/version", "3\n")


def request_csv(path: Path, **changed: str | None) -> Path:
    """The embedded requests with cells changed in the row that the tests use; None drops the column."""
    with (DATA / "edit_requests.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name, value in changed.items():
        for row in rows:
            if value is None:
                del row[name]
        if value is not None:
            rows[ROW][name] = value
    write(path, rows)
    return path


MISTAKES = {
    "no model": (["--MODEL_NAME", "/no/such/model"], "There is no model folder /no/such/model"),
    "a layer beyond the model": (["--layer_num", "6"], "lacks layer_6"),
    "a row out of range": (["--i", "99"], "--i 99 is out of range"),
    "a lim above every activation": (["--lim", "1e9"], "No feature reaches --lim 1000000000.0: the largest activation is"),
    "no transcoder": (["--TC_layer_file", "/no/such/transcoder"], "There is no transcoder"),
    "no requests": (["--edit_sequence_path", "/no/such.csv"], "Cannot read the edit requests"),
    "no benchmark": (["--originals_path", "/no/java", "--d_params_path", "/no/d"], "does not exist"),
    "no clustering": (["--preKE_cluster_result", "/no/before"], "Cannot read the clustering"),
    "an unwritable folder": (["--output_file_path", "/proc/no"], "Cannot write"),
    "another saved update": (["--save_path", "/no/updates"], "There is no saved update"),
    "an unknown stage": (["--alg_name", "ROME"], "ROME"),
    "no number": (["--lim", "much"], "--lim much must be an activation"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_and_loses_nothing(work: Path, mistake: str) -> None:
    more, message = MISTAKES[mistake]
    earlier = run(work, "TCPE", "kept")
    with pytest.raises(UserError, match=message) as error:
        run(work, "TCPE", "kept", *more)
    assert "\n" not in str(error.value)
    assert json.loads((work / "kept/metrics.json").read_text()) == earlier


REQUEST_MISTAKES = {
    "no column": ({"subject": None}, "lacks subject"),
    "no place for the subject": ({"prompt": "int best ="}, "exactly one"),
    "two places": ({"prompt": "int {} = {};"}, "exactly one"),
    "single braces": ({"prompt": "int f() { {} }"}, "double its"),
    "no target": ({"target_new": ""}, "empty target_new"),
    "broken contexts": ({"contexts": "[1"}, "is not JSON"),
}


@pytest.mark.parametrize("mistake", REQUEST_MISTAKES)
def test_a_bad_request_is_one_sentence(work: Path, tmp_path: Path, mistake: str) -> None:
    changed, message = REQUEST_MISTAKES[mistake]
    path = request_csv(tmp_path / "requests.csv", **changed)
    with pytest.raises(UserError, match=message):
        run(work, "TCPE_pre", "bad_request", "--edit_sequence_path", str(path))


def test_a_subject_is_needed_where_the_edit_acts_on_it(work: Path, tmp_path: Path) -> None:
    path = request_csv(tmp_path / "requests.csv", subject="", contexts="[]")
    with pytest.raises(UserError, match="no subject"):
        run(work, "TCPE_pre", "bad_request", "--edit_sequence_path", str(path), "--fact_token", "subject_last")


def test_a_pickle_does_not_run(work: Path, tmp_path: Path) -> None:
    path = tmp_path / "transcoder.pt"
    hostile_checkpoint(path)
    with pytest.raises(UserError, match=r"transcoder\.pt"):
        run(work, "noKE", "hostile", "--TC_layer_file", str(path), "--preKE_cluster_result", str(tmp_path / "before"))
    assert not path.with_name("transcoder.pt.ran").exists()


def test_a_corrupt_checkpoint_is_refused(work: Path, tmp_path: Path) -> None:
    for name in ("cfg.json", "sae_weights.safetensors"):
        (tmp_path / name).write_bytes((DATA / "transcoder" / name).read_bytes()[:-100])
    with pytest.raises(UserError):
        run(work, "noKE", "corrupt", "--TC_layer_file", str(tmp_path), "--preKE_cluster_result", str(tmp_path / "before"))


def test_an_update_for_another_weight_is_refused(work: Path) -> None:
    """Without the transcoder the layer's own MLP is edited, which the saved update does not fit."""
    requests = request_csv(work / "mlp_requests.csv")
    with requests.open(newline="") as file:
        rows = [row | {f"layer_{LAYER}_MLP": ""} for row in csv.DictReader(file)]
    write(requests, rows)
    command = flags(work, "TCPE", "other_weight", "--mlp_or_tc", "MLP", "--edit_sequence_path", str(requests), "--allow_version_change")
    at = command.index("--TC_layer_file")
    del command[at : at + 2]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(UserError, match="was made for a weight of shape"):
        patch.setattr(sys, "argv", ["run_tcpe.py", *command])
        run_tcpe.main()


def test_without_a_compiler_nothing_is_begun(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_compiler.cache_clear()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="No D compiler found: install LDC"):
        run(work, "TCPE", "no_compiler")
    find_compiler.cache_clear()
    assert not (work / "no_compiler/translations").exists()


def test_exit_codes() -> None:
    def code(*arguments: str) -> tuple[int, str]:
        done = subprocess.run([sys.executable, "run_tcpe.py", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.returncode, done.stderr

    assert code("--help")[0] == 0
    exit_code, said = code("--alg_name", "TCPE")
    assert exit_code == 2 and said.startswith("error: ") and said.count("\n") == 1
