import pytest

from d_running.dataset import Sample
from d_running.translate import translate_samples

SAMPLES = [Sample(f"S{index}", "int f_gold ( int n ) { return %s ; }" % ("n + " * index + "1"), "") for index in range(5)]


def generate(prompts):
    return [prompt.replace("java:", "") for prompt in prompts]


def prompt_of(java):
    return "java:" + java


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
