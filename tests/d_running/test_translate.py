import pytest

from d_running.dataset import Sample
from d_running.java_text import natural_java
from d_running.translate import main, translate_samples, translate_with_rules, write_translations
from util.errors import BenchmarkError

SAMPLES = [Sample(f"S{index}", "int f_gold ( int n ) { return %s ; }" % ("n + " * index + "1"), "") for index in range(5)]


def generate(prompts):
    return [prompt.replace("java:", "") for prompt in prompts]


def prompt_of(java):
    return "java:" + natural_java(java)


def read(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("batch_size", [1, 2, 9])
def test_files_do_not_depend_on_the_batch_size(tmp_path, batch_size):
    translate_samples(SAMPLES, generate, prompt_of, tmp_path, batch_size)
    assert read(tmp_path)["S1.d"] == "int f_filled(int n) {\n    return n + 1;\n}\n"
    assert len(read(tmp_path)) == len(SAMPLES)


def test_an_interrupted_run_continues_with_the_same_result(tmp_path):
    calls = []

    def stops_at_the_second_batch(prompts):
        calls.append(prompts)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return generate(prompts)

    with pytest.raises(KeyboardInterrupt):
        translate_samples(SAMPLES, stops_at_the_second_batch, prompt_of, tmp_path / "a", 2)
    assert len(read(tmp_path / "a")) == 2
    translate_samples(SAMPLES, lambda prompts: calls.append(prompts) or generate(prompts), prompt_of, tmp_path / "a", 2)
    assert sum(len(prompts) for prompts in calls[2:]) == 3
    translate_samples(SAMPLES, generate, prompt_of, tmp_path / "b", 2)
    assert read(tmp_path / "a") == read(tmp_path / "b")


def test_a_file_that_is_there_is_kept(tmp_path):
    (tmp_path / "S0.d").write_text("old")
    translate_samples(SAMPLES, generate, prompt_of, tmp_path, 2)
    assert read(tmp_path)["S0.d"] == "old"
    (tmp_path / "S0.d").unlink()
    translate_samples(SAMPLES, generate, prompt_of, tmp_path, 2)
    assert read(tmp_path)["S0.d"] != "old"


def test_rules_translate_what_they_can_and_say_what_not(tmp_path, caplog):
    samples = [*SAMPLES[:1], Sample("BAD", "int f_gold ( int n ) { return n instanceof Object ? 1 : 0 ; }", ""), Sample("LOST", "", "", "no files")]
    translations = translate_with_rules(samples)
    assert translations["S0"] == "int f_filled(int n) {\n    return 1;\n}\n"
    assert translations["BAD"].startswith("// No rule translates the Java construct instanceof_expression") and "BAD" in caplog.text
    assert "LOST" not in translations
    with pytest.raises(BenchmarkError, match="no rule magic"):
        translate_with_rules(samples, ["magic"])


def test_other_translations_are_not_overwritten(tmp_path):
    write_translations({"A": "one", "B": "two"}, tmp_path)
    write_translations({"A": "one", "B": "two"}, tmp_path)
    with pytest.raises(BenchmarkError, match="other translations of 1 samples, first B.d"):
        write_translations({"A": "one", "B": "three", "C": "four"}, tmp_path)
    assert sorted(read(tmp_path)) == ["A.d", "B.d"]
    write_translations({"A": "one", "B": "three"}, tmp_path, overwrite=True)
    assert read(tmp_path) == {"A.d": "one", "B.d": "three"}


@pytest.mark.parametrize("as_csv", [False, True])
def test_the_command_needs_only_the_java(tmp_path, as_csv, monkeypatch, capsys):
    java = "class A{ static double f_gold ( int n ) { return Math . sqrt ( n ) ; }\n//TOFILL\n}"
    originals = tmp_path / ("kecode.csv" if as_csv else "originals")
    if as_csv:
        originals.write_text(f'id,function_java\nA,"{java}"\n')
    else:
        originals.mkdir()
        (originals / "A.java").write_text(java)
    arguments = ["--originals_path", str(originals), "--output_path", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", ["translate", *arguments])
    main()
    assert read(tmp_path / "out") == {"A.d": "double f_filled(int n) {\n    return sqrt(cast(double) n);\n}\n"}
    assert capsys.readouterr().out == "1 samples: 1 translated, 0 not\n"
    monkeypatch.setattr("sys.argv", ["translate", *arguments, "--invalidate_cache", "--without_rule", "overloads"])
    main()
    assert "sqrt(n)" in read(tmp_path / "out")["A.d"]
