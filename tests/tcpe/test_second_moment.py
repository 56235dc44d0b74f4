"""The second moment is the plain average, whatever the batches; features that never fire cost nothing and break nothing."""

import pytest
import torch

from huggingface.architectures import down_projection
from huggingface.transcoder_adapter import splice_transcoder
from tcpe.second_moment import SecondMoment, SecondMomentSum, cached_second_moment, collect_second_moment
from tests.tcpe.naive_rome import naive_second_moment
from tests.tiny import tiny_model, tiny_tokenizer, tiny_transcoder
from util.errors import EditError

TOKENIZER = tiny_tokenizer()
TEXTS = ["int x = 3;" * 4, "double z", "return dp.length;"]


def moment_of(rows):
    total = SecondMomentSum(rows.shape[1])
    for part in rows.split(7):
        total.add(part)
    return total.mean()


@pytest.mark.parametrize("density", [0.01, 0.5])
def test_sparse_and_dense_accumulation_are_the_average(density):
    torch.manual_seed(0)
    rows = torch.rand(50, 40) * (torch.rand(50, 40) < density)
    moment = moment_of(rows)
    expected = (rows.double().T @ rows.double() / 50).numpy()[moment.fired][:, moment.fired]
    assert abs(moment.matrix - expected).max() < 1e-12
    assert set(moment.fired) == set(torch.nonzero(rows.any(0)).flatten().tolist())


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_padding_takes_no_part(batch_size):
    model = tiny_model()
    splice_transcoder(model, 1, tiny_transcoder())
    moment = collect_second_moment(model, TOKENIZER, 1, TEXTS, batch_size)
    expected = naive_second_moment(model, TOKENIZER, down_projection(model, 1), TEXTS).numpy()
    assert abs(moment.matrix - expected[moment.fired][:, moment.fired]).max() < 1e-4
    assert moment.n_tokens == sum(len(TOKENIZER(text)["input_ids"]) for text in TEXTS)


def test_solve_with_features_that_never_fire():
    rows = torch.rand(30, 6)
    rows[:, 4] = 0
    moment, key = moment_of(rows), torch.rand(6)
    dense = rows.double().T @ rows.double() / 30 + 1e-3 * torch.eye(6)
    torch.testing.assert_close(moment.solve(key, 1e-3), torch.linalg.solve(dense, key.double()))
    with pytest.raises(EditError, match="--epsilon"):
        moment.solve(key, 0)
    key[4] = 0
    assert moment.solve(key, 0)[4] == 0


def test_a_singular_second_moment_is_refused():
    rows = torch.rand(3, 1).expand(3, 4).contiguous()
    with pytest.raises(EditError, match="singular"):
        moment_of(rows).solve(torch.rand(4), 0)


def test_cached_under_what_it_depends_on(tmp_path):
    model = tiny_model()
    first = cached_second_moment(tmp_path, model, TOKENIZER, 1, TEXTS)
    again = cached_second_moment(tmp_path, model, TOKENIZER, 1, TEXTS)
    assert (again.matrix == first.matrix).all() and len(list(tmp_path.iterdir())) == 1
    cached_second_moment(tmp_path, model, TOKENIZER, 2, TEXTS)
    cached_second_moment(tmp_path, model, TOKENIZER, 1, TEXTS[:2])
    cached_second_moment(tmp_path, tiny_model(seed=3), TOKENIZER, 1, TEXTS)
    assert len(list(tmp_path.iterdir())) == 4
    next(tmp_path.iterdir()).write_bytes(b"half")
    for path in tmp_path.iterdir():
        path.write_bytes(b"half")
    assert (cached_second_moment(tmp_path, model, TOKENIZER, 1, TEXTS).matrix == first.matrix).all()
    assert isinstance(first, SecondMoment)
