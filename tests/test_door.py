"""The Python doors, as the README shows them, on the embedded model."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import tcpe
from d_running.kecode import KECode, translate
from tcpe.model import Model
from tcpe.request import EditRequest
from tcpe.update import Edit, merge
from tests.tcpe.test_update import LAYER, random_update
from tests.test_readme import blocks, lay_out
from tests.tiny import tiny_model, tiny_tokenizer
from util.errors import EditError, UserError, named_as_arguments

ROOT = Path(__file__).parent.parent


def test_import_alone_imports_no_torch():
    script = "import sys, tcpe; assert 'torch' not in sys.modules; assert 'load' in dir(tcpe)"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


@pytest.fixture(scope="module")
def readme(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the README's lines leave behind."""
    folder = tmp_path_factory.mktemp("door")
    lay_out(folder)
    block = next(block for block in blocks("python") if "tcpe.load(" in block)
    names: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(block, "README.md", "exec"), names)
    return names | {"folder": folder}


@pytest.mark.slow
def test_the_lines_of_the_readme_repair_their_cluster(readme: dict):
    metrics = readme["after"].metrics
    assert metrics.targets > 0 and metrics.accuracy_of_target_cluster > 0.5 and metrics.destructiveness < 0.1
    assert "int.min" not in readme["wrong"] and "int.min" in readme["right"]


@pytest.mark.slow
def test_an_edit_is_taken_back_to_the_bit_and_comes_back_from_the_disk(readme: dict):
    model, edit = readme["model"], readme["edit"]
    before = model.digest
    with model.edited(edit):
        assert model.digest != before
    assert model.digest == before
    again = tcpe.load_edit(readme["folder"] / "runs" / "door" / "edit", lim=edit.lim)
    assert torch.equal(again.update.value_shift, edit.update.value_shift) and torch.equal(again.columns(), edit.columns())
    assert sum(share for _, _, share in edit.strongest(len(edit.update.key))) == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_another_models_translations_are_not_judged(readme: dict):
    with pytest.raises(UserError, match="give another output_path"), readme["model"].edited(readme["edit"]):
        readme["kecode"].judge(readme["model"], readme["folder"] / "runs" / "door" / "before")


def test_messages_name_arguments_at_the_door():
    with pytest.raises(UserError, match=r"No .*device|Cannot|no model folder"):
        tcpe.load("./nowhere", layer_num=5)
    with pytest.raises(UserError, match=r"^jobs must be at least 1"):
        KECode(ROOT / "data/demo/test.csv", jobs=0)
    with pytest.raises(UserError, match=r"^give --lim$"):
        raise UserError("give --lim")
    with pytest.raises(UserError, match=r"^give lim -1 \(lim\) -- and wait$"), named_as_arguments():
        raise UserError("give --lim -1 (--lim) -- and wait")
    with pytest.raises(UserError, match=r"^There is no saved update nowhere; compute one with TCPE_pre or Model\.edit\.$"):
        tcpe.load_edit("nowhere")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"epsilon": -1}, "^epsilon must be at least 0"),
        ({"v_num_grad_steps": 0}, "^v_num_grad_steps must be at least 1"),
        ({"v_lr": float("nan")}, "^v_lr must be above 0"),
        ({"kl_factor": -1}, "^kl_factor must be at least 0"),
        ({"context_template_length_params": [(10, 0)]}, "^context_template_length_params"),
    ],
)
def test_what_a_command_refuses_the_door_refuses(wrong, words):
    model = Model(tiny_model(), tiny_tokenizer(), 1)
    with pytest.raises(UserError, match=words):
        model.edit(EditRequest.from_text("int x = ", "3"), ["int x = 3;"], **wrong)


def test_a_string_is_no_list():
    model = Model(tiny_model(), tiny_tokenizer(), 1)
    for call in (lambda: model.generate("int x = 3;"), lambda: translate(model, "int f() {}")):
        with pytest.raises(UserError, match="must be a list of strings, not the string 'int"):
            call()


WRONG_TYPES = {
    'tcpe.load("data/demo/model", "5")': "layer_num must be a whole number, not '5'.",
    'load_texts("data/demo/texts.jsonl", "10")': "n must be a whole number, not '10'.",
    'model.edit("int x", ["a"])': "request must be a request, such as EditRequest.from_text(prompt, target), not 'int x'.",
    "model.edit(request, [[1, 2, 3]])": "texts must be a list of strings, not [1, 2, 3].",
    "model.edit(request, [None])": "texts must be a list of strings, not None.",
    "model.edit(request, 3)": "texts must be a list of strings, not 3.",
    'model.edit(request, ["a"], v_num_grad_steps="3")': "v_num_grad_steps must be a whole number, not '3'.",
    'model.edit(request, ["a"], v_lr="0.1")': "v_lr must be a number, not '0.1'.",
    'model.edited("runs/edit").__enter__()': "edits must be edits, such as tcpe.load_edit reads, not 'runs/edit'.",
    "model.edited([]).__enter__()": "edits must be edits, such as tcpe.load_edit reads, not [].",
    'model.save("runs/none", "edit")': "edits must be edits, such as tcpe.load_edit reads, not 'edit'.",
}


def test_wrong_types_are_refused_in_a_sentence():
    """In a process of its own: here the tests' type checks would come first."""
    script = f"""
import tcpe
from tcpe.model import Model
from tcpe.request import EditRequest
from tcpe.texts import load_texts
from tests.tiny import tiny_model, tiny_tokenizer
from util.errors import UserError
model, request = Model(tiny_model(), tiny_tokenizer(), 1), EditRequest.from_text("int x = ", "3")
for call in {list(WRONG_TYPES)!r}:
    try:
        eval(call)
    except UserError as error:
        print(error)
"""
    run = subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.splitlines() == list(WRONG_TYPES.values())


def test_an_edit_is_not_applied_twice(tmp_path):
    model = Model(tiny_model(), tiny_tokenizer(), LAYER)
    edit, other = (Edit(random_update(model.model, seed), decay=1e3) for seed in range(2))  # too small for the sample of the weight to show
    digest = model.digest
    for again in (edit, edit.at("top:3", 2), merge([other, edit.at(0.1)])):
        with model.edited(edit):
            once = model.digest
            with pytest.raises(EditError, match="carries this edit of layer 2 already"), model.edited(again):
                pass
            with pytest.raises(EditError, match="carries this edit"):
                model.save(tmp_path / "saved", again, full=True)
            assert model.digest == once and not (tmp_path / "saved").exists()
        assert model.digest == digest
    with model.edited(edit):
        with model.edited():
            pass
        with pytest.raises(EditError, match="carries this edit"), model.edited(edit):
            pass
    with model.edited(edit), model.edited(other):
        pass
    with model.edited(edit):
        assert model.digest == once


def test_a_second_moment_is_found_again_in_a_workspace(tmp_path, monkeypatch):
    request, texts = EditRequest.from_text("int x = ", "3"), ["int x = 3;", "int y = 4;"]
    options = {"container_workspace": tmp_path, "v_num_grad_steps": 2, "epsilon": 0.1, "context_template_length_params": []}
    first = Model(tiny_model(), tiny_tokenizer(), 1).edit(request, texts, **options)
    monkeypatch.setattr("tcpe.second_moment._add_texts", None)
    again = Model(tiny_model(), tiny_tokenizer(), 1).edit(request, texts, **options)
    assert torch.equal(first.update.key_direction, again.update.key_direction)


def test_a_request_from_text_reads_as_it_was_written():
    text = "int f() { return (int) x; }"
    request = EditRequest.from_text(text, " y", "(int)")
    assert "(int)".join(request.around_subject()) == text
    with pytest.raises(UserError, match="2 times"):
        EditRequest.from_text("a b a", "c", "a")


def test_the_seeds_names():
    from sae_training.sparse_autoencoder import SparseAutoencoder
    from tcpe.compute_u import compute_u
    from tcpe.compute_v import compute_v

    transcoder = SparseAutoencoder.load_from_pretrained(ROOT / "data/demo/transcoder")
    x = torch.randn(3, transcoder.d_in)
    by_hand = torch.relu(x @ transcoder.W_enc + transcoder.b_enc) @ transcoder.W_dec + transcoder.b_dec_out
    assert torch.allclose(transcoder(x), by_hand, atol=1e-5) and callable(compute_u) and callable(compute_v)
