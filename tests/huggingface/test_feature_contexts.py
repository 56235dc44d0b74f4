"""Contexts of features: what is drawn does not depend on batches or interruptions, and agrees with a naive count over everything at once."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from huggingface import feature_contexts
from huggingface.activations import Point, read_activations
from huggingface.feature_contexts import NONE, FeatureContexts, Window, collect_contexts
from huggingface.stream_ends import direct_logits, unembed
from huggingface.tokenization import encode, pad
from huggingface.transcoder_adapter import spliced
from tests.tiny import CONFIGS, WIDTH, tiny_model, tiny_tokenizer, tiny_transcoder
from util.errors import EditError, UserError

LAYER, FEATURES = 2, [3, 17, 40]
WINDOW = Window(3, 2)


def drawn_texts(seed: int, n: int, signed: bool) -> tuple[list[list[int]], list[np.ndarray]]:
    """Texts of random tokens, and activations of three features of very different size, mostly zero."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 12, n)
    ids = [generator.integers(0, 50, length).tolist() for length in lengths]
    values = [generator.exponential(size=(length, 3)) * [0.01, 1, 300] * (generator.random((length, 3)) < 0.6) for length in lengths]
    if signed:
        values = [one * generator.choice([-1, 1], one.shape) for one in values]
    return ids, [one.astype(np.float32) for one in values]


def collected(ids: Sequence[list[int]], values: Sequence[np.ndarray], batches: Sequence[Sequence[int]], signed: bool) -> FeatureContexts:
    contexts = FeatureContexts(FEATURES, np.zeros(3, np.float32), signed, kept=4, window=WINDOW)
    for batch in batches:
        contexts.add([ids[number] for number in batch], [values[number] for number in batch], batch)
    return contexts


def everything(contexts: FeatureContexts) -> list:
    """What it says of all features, as lists that can be compared."""
    said = []
    for feature in FEATURES:
        examples = [*contexts.strongest(feature), *(one for band in contexts.bands(feature) for one in band[3])]
        edges, counts = contexts.histogram(feature)
        said.append([[(one.text, one.position, one.ids.tolist(), one.activations.tolist()) for one in examples], edges.tolist(), counts.tolist()])
    return [said, contexts.fired.tolist(), contexts.least.tolist(), contexts.most.tolist(), contexts.n_tokens]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 40), st.booleans(), st.randoms())
def test_batches_change_nothing_and_a_naive_count_agrees(seed: int, n: int, signed: bool, order: "np.random.Generator") -> None:
    ids, values = drawn_texts(seed, n, signed)
    numbers = list(range(n))
    whole = collected(ids, values, [numbers], signed)
    order.shuffle(numbers)
    batches = [numbers[start : start + 7] for start in range(0, n, 7)]
    assert everything(collected(ids, values, batches, signed)) == everything(whole)

    places = [(text, position) for text in range(n) for position in range(len(ids[text]))]
    ranks = {text: np.random.default_rng(text).random(len(ids[text])) for text in range(n)}
    for column, feature in enumerate(FEATURES):
        own = {place: float(values[place[0]][place[1], column]) for place in places}
        firing = {place: value for place, value in own.items() if value}
        assert whole.fired[column] == len(firing)
        strongest = whole.strongest(feature)
        sizes = sorted((abs(value) for value in firing.values()), reverse=True)[:4]
        assert [abs(float(one.activations[one.focus])) for one in strongest] == sizes
        bands = whole.bands(feature)
        assert sum(tokens for _, _, tokens, _ in bands) == len(firing)
        for low, high, tokens, examples in bands:
            inside = [place for place, value in firing.items() if low <= value < high]
            assert len(inside) == tokens
            lowest = sorted(inside, key=lambda place: ranks[place[0]][place[1]])[:4]
            assert {(one.text, one.position) for one in examples} == set(lowest), "the draw is even"
        for one in strongest:
            window = range(one.position - WINDOW.before, one.position + WINDOW.after + 1)
            row = ids[one.text]
            assert one.ids.tolist() == [row[place] if 0 <= place < len(row) else NONE for place in window]
            assert one.activations.tolist() == [own.get((one.text, place), 0.0) for place in window]


def test_a_feature_that_never_fires_has_no_bands() -> None:
    contexts = FeatureContexts([0], np.zeros(1, np.float32), False)
    contexts.add([[1, 2]], [np.zeros((2, 1), np.float32)], [0])
    assert contexts.n_tokens == 2 and contexts.fired.tolist() == [0]
    assert contexts.bands(0) == [] and contexts.strongest(0) == [] and len(contexts.histogram(0)[1]) == 0


class Interrupted:
    """Texts whose reading is stopped once, after some of them."""

    def __init__(self, texts: list[str], after: int) -> None:
        self.texts, self.after = texts, after

    def __iter__(self) -> Iterator[str]:
        for number, text in enumerate(self.texts):
            if number == self.after:
                self.after = -1
                raise KeyboardInterrupt
            yield text


TEXTS = [f"int x{number} = cast(int) s.length; " * (1 + number % 3) for number in range(40)]


def new_contexts() -> FeatureContexts:
    return FeatureContexts(FEATURES, np.zeros(3, np.float32), False, window=WINDOW)


def test_an_interrupted_pass_ends_as_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_contexts, "TEXTS_AT_A_TIME", 8)
    monkeypatch.setattr(feature_contexts, "CHECKPOINT_SECONDS", -1)
    model, tokenizer, part = tiny_model(), tiny_tokenizer(), tmp_path / "part"
    with spliced(model, LAYER, tiny_transcoder()):
        collect_contexts(model, tokenizer, LAYER, whole := new_contexts(), TEXTS)
        texts = Interrupted(TEXTS, 27)
        with pytest.raises(KeyboardInterrupt):
            collect_contexts(model, tokenizer, LAYER, new_contexts(), texts, part)
        assert part.is_file()
        begun = new_contexts()
        begun.load(part)
        assert begun.n_texts == 24
        collect_contexts(model, tokenizer, LAYER, continued := new_contexts(), texts, part)
        assert everything(continued) == everything(whole) and not part.exists()

        with pytest.raises(KeyboardInterrupt):
            collect_contexts(model, tokenizer, LAYER, new_contexts(), Interrupted(TEXTS, 27), part)
        other = ["another text", *TEXTS[1:]]
        collect_contexts(model, tokenizer, LAYER, fresh := new_contexts(), other, part)
        assert fresh.n_texts == 40 and everything(fresh) != everything(whole), "a part of other texts is not continued"
        part.write_bytes(b"damaged")
        collect_contexts(model, tokenizer, LAYER, again := new_contexts(), TEXTS, part)
        assert everything(again) == everything(whole)


def test_what_is_collected_is_what_the_layer_does() -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    collect_contexts(model, tokenizer, LAYER, contexts := FeatureContexts(FEATURES, np.full(3, 0.1, np.float32), True), TEXTS[:9])
    point, fired = Point(LAYER, "neurons"), np.zeros(3, int)
    for text in TEXTS[:9]:
        batch = pad([encode(tokenizer, text).ids], tokenizer.pad_token_id, model.device)
        with torch.inference_mode():
            values = read_activations(model, [point], **batch._asdict())[point][0][:, FEATURES]
        fired += (values.abs() > 0.1).sum(0).numpy()
    assert contexts.fired.tolist() == fired.tolist()


def test_texts_without_tokens_and_activations_without_end_are_refused() -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    with pytest.raises(UserError, match="hold no text"):
        collect_contexts(model, tokenizer, LAYER, new_contexts(), [])
    with torch.no_grad():
        model.model.embed_tokens.weight.fill_(float("nan"))
    with pytest.raises(EditError, match="not finite"):
        collect_contexts(model, tokenizer, LAYER, new_contexts(), TEXTS[:1])


@pytest.mark.parametrize("family", CONFIGS)
def test_direct_logits_are_the_change_of_logits_where_the_norm_is_frozen(family: str) -> None:
    """A step along a direction that leaves the stream's length (and mean) as it is, so small that the soft cap is straight."""
    model = tiny_model(family)
    generator = torch.Generator().manual_seed(0)
    stream, step = torch.randn(WIDTH, generator=generator).double(), torch.randn(WIDTH, generator=generator).double()
    model = model.double()
    centred = stream - stream.mean() if "GPT" in family or family == "Starcoder2" else stream
    step = step - (step @ centred) / (centred @ centred) * centred
    scale = centred.square().mean().sqrt()
    with torch.no_grad():
        slope = (unembed(model, stream + 0.01 * step) - unembed(model, stream - 0.01 * step)) / 0.02 * scale
        cap = getattr(model.config, "final_logit_softcapping", None) if family == "Gemma2" else None
        if cap:
            slope = slope / (1 - (unembed(model, stream) / cap).square())
    expected = slope - slope.mean()
    assert torch.allclose(direct_logits(model, step.float()).double(), expected, atol=2e-3 * expected.abs().max().item())
