"""The second moment is the plain average, whatever the batches; it is kept, continued and refused as it should be."""

import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from huggingface.architectures import down_projection
from huggingface.load import load_model_and_tokenizer
from huggingface.loaders import load_transcoder
from huggingface.transcoder import save_transcoder
from huggingface.transcoder_adapter import splice_transcoder, spliced
from tcpe import second_moment
from tcpe.second_moment import CACHE, SecondMomentSum, Site, cached_second_moment, cached_second_moments, collect_second_moment, main
from tcpe.symmetric import PackedSymmetric
from tests.tcpe.naive_rome import naive_second_moment
from tests.tiny import tiny_model, tiny_tokenizer, tiny_transcoder
from util.errors import EditError, UserError

TOKENIZER = tiny_tokenizer()
TEXTS = ["int x = 3;" * 4, "double z", "return dp.length;"]


def moment_of(rows):
    total = SecondMomentSum()
    for part in rows.split(7):
        total.add(part)
    return total.mean()


def dense(matrix):
    every = numpy.arange(matrix.n)
    return matrix.entries(every, every)


@given(st.integers(1, 40), st.integers(1, 60), st.floats(0.01, 1), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_sums_norm_part_and_solution_are_those_of_the_dense_matrix(n, tokens, density, seed):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(tokens, n, generator=generator) * (torch.rand(tokens, n, generator=generator) < density)
    expected = (rows.double().T @ rows.double()).numpy()
    by_products, by_pairs = PackedSymmetric(n), PackedSymmetric(n)
    by_products.add_gram(lambda left, right: rows.double().numpy()[:, left].T @ rows.double().numpy()[:, right])
    starts = numpy.concatenate([[0], (rows != 0).sum(1).cumsum(0)]).astype(numpy.int32)
    by_pairs.add_sparse_gram((rows != 0).nonzero()[:, 1].numpy().astype(numpy.int32), rows[rows != 0].numpy(), starts)
    for matrix in (by_products, by_pairs):
        numpy.testing.assert_allclose(dense(matrix), expected, rtol=1e-12, atol=1e-12)
    assert by_pairs.one_norm() == pytest.approx(abs(expected).sum(0).max(), abs=1e-12)
    kept = numpy.arange(0, n, 2)
    numpy.testing.assert_allclose(dense(by_pairs.part(kept)), expected[::2, ::2], atol=1e-12)
    cholesky, damped = by_pairs.cholesky(0.5), expected + 0.5 * numpy.eye(n)
    right = numpy.arange(1.0, n + 1)
    numpy.testing.assert_allclose(cholesky.solve(right), numpy.linalg.solve(damped, right), rtol=1e-9, atol=1e-9)
    assert 1 / 10 < cholesky.condition_number / numpy.linalg.cond(damped, 1) < 1 + 1e-9


def test_bands_and_cuts_meet(monkeypatch):
    monkeypatch.setattr("tcpe.symmetric.BAND", 3)
    monkeypatch.setattr("tcpe.symmetric.PRODUCTS", 5)
    torch.manual_seed(0)
    for n in (10, 11):
        for share in (0.05, 0.9):
            rows = torch.rand(50, n) * (torch.rand(50, n) < share)
            moment = moment_of(rows)
            expected = (rows.double().T @ rows.double() / 50).numpy()[moment.fired][:, moment.fired]
            assert abs(dense(moment.matrix) - expected).max() < 1e-12


@pytest.mark.parametrize("density", [0.01, 0.5])
def test_sparse_and_dense_accumulation_are_the_average(density):
    torch.manual_seed(0)
    rows = torch.rand(50, 40) * (torch.rand(50, 40) < density)
    moment = moment_of(rows)
    expected = (rows.double().T @ rows.double() / 50).numpy()[moment.fired][:, moment.fired]
    assert abs(dense(moment.matrix) - expected).max() < 1e-12
    assert set(moment.fired) == set(torch.nonzero(rows.any(0)).flatten().tolist())
    assert moment.never_active == 40 - len(moment.fired)


@pytest.mark.parametrize("batch_tokens", [1, 50, 1000])
def test_padding_takes_no_part(batch_tokens):
    model = tiny_model()
    splice_transcoder(model, 1, tiny_transcoder())
    moment = collect_second_moment(model, TOKENIZER, 1, TEXTS, batch_tokens)
    expected = naive_second_moment(model, TOKENIZER, down_projection(model, 1), TEXTS).numpy()
    assert abs(dense(moment.matrix) - expected[moment.fired][:, moment.fired]).max() < 1e-4
    assert moment.n_tokens == sum(len(TOKENIZER(text)["input_ids"]) for text in TEXTS)


def test_solve_with_features_that_never_fire():
    rows = torch.rand(30, 6)
    rows[:, 4] = 0
    moment, key = moment_of(rows), torch.rand(6)
    damped = rows.double().T @ rows.double() / 30 + 1e-3 * torch.eye(6)
    torch.testing.assert_close(moment.solve(key, 1e-3), torch.linalg.solve(damped, key.double()))
    with pytest.raises(EditError, match="--epsilon"):
        moment.solve(key, 0)
    key[4] = 0
    assert moment.solve(key, 0)[4] == 0


def test_several_sites_in_one_pass_are_each_as_if_alone(tmp_path):
    model, transcoders = tiny_model(), {1: tiny_transcoder(1), 2: tiny_transcoder(2)}
    sites = [*(Site(layer, transcoder) for layer, transcoder in transcoders.items()), Site(2)]
    together = cached_second_moments(tmp_path, model, TOKENIZER, sites, TEXTS)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(files) == 3
    for (layer, transcoder), moment in zip(transcoders.items(), together):
        with spliced(model, layer, transcoder):
            alone = collect_second_moment(model, TOKENIZER, layer, TEXTS)
            kept = cached_second_moment(tmp_path, model, TOKENIZER, layer, TEXTS)
        numpy.testing.assert_allclose(dense(alone.matrix), dense(moment.matrix), rtol=1e-5, atol=1e-6)
        assert (kept.matrix.storage == moment.matrix.storage).all()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == files


def test_kept_under_everything_that_it_depends_on(tmp_path):
    model = tiny_model()
    first = cached_second_moment(tmp_path, model, TOKENIZER, 1, TEXTS)
    again = cached_second_moment(tmp_path, model, TOKENIZER, 1, TEXTS)
    assert (again.matrix.storage == first.matrix.storage).all() and len(list(tmp_path.iterdir())) == 1
    other_tokenizer = tiny_tokenizer()
    other_tokenizer.add_tokens(["dp"])
    cached_second_moment(tmp_path, model, other_tokenizer, 1, TEXTS)
    cached_second_moment(tmp_path, model, TOKENIZER, 2, TEXTS)
    cached_second_moment(tmp_path, model, TOKENIZER, 1, TEXTS[:2])
    cached_second_moment(tmp_path, model, TOKENIZER, 1, [TEXTS[0] + TEXTS[1], TEXTS[2]])
    cached_second_moment(tmp_path, tiny_model(seed=3), TOKENIZER, 1, TEXTS)
    cached_second_moment(tmp_path, tiny_model().to(torch.bfloat16), TOKENIZER, 1, TEXTS)
    for seed in (1, 2):
        cached_second_moments(tmp_path, model, TOKENIZER, [Site(1, tiny_transcoder(seed))], TEXTS)
    assert len(list(tmp_path.iterdir())) == 9
    first.factor(0.1)
    first.factor(0.2)
    assert len(list(tmp_path.iterdir())) == 11
    cached_second_moment(tmp_path, model, TOKENIZER, 1, TEXTS, anew=True)
    assert len(list(tmp_path.iterdir())) == 9


def test_the_command_fills_the_workspace_of_later_runs(tmp_path, monkeypatch):
    tiny_model().save_pretrained(tmp_path / "base")
    TOKENIZER.save_pretrained(tmp_path / "base")
    save_transcoder(tiny_transcoder(), tmp_path / "transcoder")
    (tmp_path / "texts.txt").write_text("\n\n".join(TEXTS))
    common = ["--MODEL_NAME", f"{tmp_path}/base", "--container_workspace", f"{tmp_path}/work", "--mom2_dataset", f"{tmp_path}/texts.txt"]
    monkeypatch.setattr(sys, "argv", ["second_moment", "--sites", f"1:{tmp_path}/transcoder", "2", *common, "--device", "cpu"])
    main()
    cache = tmp_path / "work" / CACHE
    files = set(cache.iterdir())
    model, tokenizer = load_model_and_tokenizer(str(tmp_path / "base"), "cpu")
    cached_second_moment(cache, model, tokenizer, 2, TEXTS)
    with spliced(model, 1, load_transcoder(tmp_path / "transcoder")):
        cached_second_moment(cache, model, tokenizer, 1, TEXTS)
    assert set(cache.iterdir()) == files and len(files) == 2
    monkeypatch.setattr(sys, "argv", ["second_moment", "--sites", "x:1", *common])
    with pytest.raises(UserError, match="LAYER:TRANSCODER"):
        main()


def test_a_kept_factor_spares_the_factorisation(tmp_path, monkeypatch):
    moment, key = cached_second_moment(tmp_path, tiny_model(), TOKENIZER, 1, TEXTS), torch.rand(48)
    first = moment.factor(0.1)
    monkeypatch.setattr(PackedSymmetric, "cholesky", None)
    again = moment.factor(0.1)
    assert torch.equal(again.solve(key), first.solve(key))
    assert again.cholesky.condition_number == first.cholesky.condition_number > 1


def test_damaged_files_are_made_again(tmp_path, caplog):
    model = tiny_model()
    moment, key = cached_second_moment(tmp_path, model, TOKENIZER, 1, TEXTS), torch.rand(48)
    expected = moment.solve(key, 0.1)
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[-100] ^= 1
        for damaged in (b"", b"half", whole[: len(whole) // 2], bytes(flipped)):
            path.unlink()  # a new file, since the old one may still be mapped into memory
            path.write_bytes(damaged)
            caplog.clear()
            moment = cached_second_moment(tmp_path, model, TOKENIZER, 1, TEXTS)
            assert torch.equal(moment.solve(key, 0.1), expected)
            assert "damaged" in caplog.text
            assert path.read_bytes() == whole


def whole_pass(folder):
    """Two sites, in six parts of two texts, each kept."""
    texts = [f"int x{i} = {i};" * (i % 5 + 1) for i in range(12)]
    cached_second_moments(folder, tiny_model(), tiny_tokenizer(), [Site(1, tiny_transcoder()), Site(2)], texts)


KILLED = """
import os, signal, sys
from pathlib import Path
from tcpe import second_moment
from tests.tcpe.test_second_moment import whole_pass

folder, settle = Path(sys.argv[1]), second_moment.SecondMomentSum.settle

def deadly(self):
    if self.n_texts == 6 and any(folder.iterdir()):
        os.kill(os.getpid(), signal.SIGKILL)
    settle(self)

second_moment.SecondMomentSum.settle = deadly
second_moment.TEXTS_AT_A_TIME, second_moment.CHECKPOINT_SECONDS = 2, 0
whole_pass(folder)
"""


@pytest.mark.slow
def test_a_killed_pass_continues_to_the_same_bits(tmp_path, monkeypatch, caplog):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    broken.mkdir()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(broken)], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert killed.returncode == -9, killed.stderr
    assert len(list(broken.glob("*_part.safetensors"))) == 2
    monkeypatch.setattr(second_moment, "TEXTS_AT_A_TIME", 2)
    monkeypatch.setattr(second_moment, "CHECKPOINT_SECONDS", 0)
    caplog.set_level("INFO")
    whole_pass(broken)
    assert "after 6 of 12 texts" in caplog.text
    whole_pass(whole)
    assert {path.name: path.read_bytes() for path in whole.iterdir()} == {path.name: path.read_bytes() for path in broken.iterdir()}


def test_what_cannot_be_used_is_refused_by_name(tmp_path, monkeypatch):
    with pytest.raises(EditError, match="--epsilon 0"):
        moment_of(torch.rand(3, 1).expand(3, 4).contiguous()).solve(torch.rand(4), 0)
    with pytest.raises(EditError, match="of 4 features, the key of 5"):
        moment_of(torch.rand(9, 4)).solve(torch.rand(5), 1)
    with pytest.raises(EditError, match="None of 4 features.*--layer_num"):
        moment_of(torch.zeros(3, 4))
    for wrong in (float("nan"), float("inf")):
        for width in (4, 400):
            rows = torch.zeros(9, width)
            rows[1, 1] = wrong
            with pytest.raises(EditError, match="not finite; load the model with --dtype"):
                moment_of(rows)
    model = tiny_model()
    with pytest.raises(EditError, match="no tokens.*--mom2_dataset"):
        collect_second_moment(model, TOKENIZER, 1, [])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with monkeypatch.context() as patch:
        patch.setattr("tcpe.symmetric.psutil.virtual_memory", lambda: type("Memory", (), {"available": 1000})())
        with pytest.raises(EditError, match="out of memory.*fewer"):
            cached_second_moment(tmp_path, model, TOKENIZER, 1, TEXTS)
    moment = cached_second_moment(tmp_path, model, TOKENIZER, 1, TEXTS)
    with monkeypatch.context() as patch:
        patch.setattr("tcpe.symmetric.psutil.virtual_memory", lambda: type("Memory", (), {"available": 1000})())
        with pytest.raises(EditError, match="factor of 48 x 48 features takes.*out of memory"):
            moment.factor(0.1)
    assert len(list(tmp_path.iterdir())) == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
