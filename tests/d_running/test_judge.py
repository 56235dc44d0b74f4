import dataclasses
import json
import shutil

import pytest

from d_running import judge as judging
from d_running.harness import render_test_program
from d_running.judge import JudgeConfig, extract_answers
from util.cli import ArgumentParser
from util.errors import BenchmarkError, UserError
from util.flags import add_flags

needs_compiler = pytest.mark.skipif(shutil.which("ldc2") is None, reason="needs the D compiler ldc2")

FENCED = "Sure, here's the D code:\n```d\nint solution(int n) { return %s; }\n```\nIt's `int`, as in Java."
ANSWERS = {
    "BAD.md": FENCED % "(int) n",
    "CUT.txt": "```d\nint solution(int n) { return",
    "GOOD.md": FENCED % "n",
    "NAMED.d": "int f_filled(int n) { return n; }",
    "OTHER.d": "int identity(int n) { return n; }",
    "WRONG.d": "int solution(int n) { return 1; }",
}
SAMPLES = [*(name.partition(".")[0] for name in ANSWERS), "GONE"]


@pytest.fixture
def folder(tmp_path):
    """Answers of another tool to all samples but one, in a folder beside the benchmark's."""
    for name in ("answers", "java", "d"):
        (tmp_path / name).mkdir()
    for name, text in ANSWERS.items():
        (tmp_path / "answers" / name).write_text(text)
    for name in SAMPLES:
        (tmp_path / f"java/{name}.java").write_text("int f_gold(int n) { return n; }")
        (tmp_path / f"d/{name}.d").write_text(render_test_program("int", ["int"], [[1], [2]], [1, 2]))
    return tmp_path


def run(folder, monkeypatch, output, *more, translations="answers"):
    """Run the command line; returns metrics.json."""
    flags = {"originals_path": "java", "d_params_path": "d", "output_path": output, "cache_dir": "cache"}
    arguments = [text for name, value in flags.items() for text in (f"--{name}", str(folder / value))]
    monkeypatch.setattr("sys.argv", ["judge", str(folder / translations), *arguments, *map(str, more)])
    judging.main()
    return json.loads((folder / output / "metrics.json").read_text())


@needs_compiler
def test_a_folder_of_whole_answers_is_judged_in_one_command(folder, monkeypatch, capsys):
    assert run(folder, monkeypatch, "before", "--answers") == {"samples": 7, "accuracy": 2 / 7, "clusters": 6}
    verdicts, clusters = ([line.split() for line in part.splitlines()] for part in capsys.readouterr().out.split("\n\n")[:2])
    for lines in (verdicts, clusters):
        assert lines[-1][:2] == ["all", "7"] and sum(int(line[1]) for line in lines[:-1]) == 7
    statistics = json.loads((folder / "before/cluster.json").read_text())
    assert statistics["Success"] == ["GOOD", "NAMED"] and statistics["Correctness"] == ["WRONG"] and ["BAD"] in statistics.values()

    (folder / "answers/BAD.md").write_text(ANSWERS["GOOD.md"])
    cast = next(name for name, own in statistics.items() if own == ["BAD"])
    after = run(folder, monkeypatch, "after", "--answers", "--before", folder / "before", "--target_clusters", cast)
    assert (after["target_clusters"], after["accuracy_of_target_cluster"], after["specificity"]) == ([cast], 1, 1)
    monkeypatch.setattr(judging, "run_unit_tests", lambda *_, **__: pytest.fail("the mistake was to be seen before"))
    for more, message in (
        (["--before", folder / "before", "--target_clusters", "77"], "no cluster 77; its clusters are 0"),
        (["--before", folder / "before", "--threshold", "0.8"], "threshold 0.9 before and 0.8 after"),
        (["--target_clusters", "0"], "--target_clusters names clusters of --before"),
    ):
        with pytest.raises(BenchmarkError, match=message):
            run(folder, monkeypatch, "after", "--answers", *more)
    (folder / "java/WRONG.java").unlink()
    (folder / "d/WRONG.d").unlink()
    with pytest.raises(BenchmarkError, match=r"1 only before \(WRONG\)"):
        run(folder, monkeypatch, "after", "--answers", "--before", folder / "before")


def test_answers_are_extracted_and_counted(folder, caplog):
    caplog.set_level("INFO")
    (folder / "out").mkdir()
    (folder / "out/STALE.d").write_text("")
    extract_answers(folder / "answers", folder / "out")
    texts = {path.stem: path.read_text() for path in (folder / "out").iterdir()}
    assert sorted(texts) == sorted(SAMPLES[:-1])
    assert texts["GOOD"] == texts["NAMED"] == ANSWERS["NAMED.d"] + "\n"
    said = " ".join(caplog.messages)
    assert "6 answers: 5 hold a function." in said
    assert "1 answers hold no whole function and will fail, first CUT.txt." in said
    assert "1 answers begin with a function that is not named solution or f_filled and will fail, first OTHER.d: identity." in said


def test_unusable_folders_of_answers_are_one_sentence(folder):
    (folder / "answers/GOOD.txt").write_text("")
    with pytest.raises(BenchmarkError, match="has two answers named GOOD"):
        extract_answers(folder / "answers", folder / "out")
    with pytest.raises(BenchmarkError, match="does not exist"):
        extract_answers(folder / "none", folder / "out")
    with pytest.raises(BenchmarkError, match="has no file"):
        extract_answers(folder / "java", folder / "out")


def test_every_field_of_the_configuration_is_a_flag_with_its_help():
    parser = ArgumentParser()
    add_flags(parser, JudgeConfig)
    assert JudgeConfig(**vars(parser.parse_args([]))) == JudgeConfig()
    given = parser.parse_args(["--jobs", "3", "--threshold", "0.5", "--invalidate_cache", "--cache_dir", "x"])
    assert (given.jobs, given.threshold, given.invalidate_cache, given.cache_dir.name) == (3, 0.5, True, "x")
    assert all(field.metadata["help"] for field in dataclasses.fields(JudgeConfig))
    with pytest.raises(UserError, match="--help lists all flags"):
        parser.parse_args(["--jobs", "many"])
