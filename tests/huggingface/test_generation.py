"""Greedy answers are what a plain loop gives, alone or in a batch, and end before the stop text."""

from functools import partial

import pytest
import torch

from huggingface import drafts
from huggingface.architectures import layers_of
from huggingface.drafts import DraftedGeneration
from huggingface.generation import greedy_generate, sample_texts
from huggingface.tokenization import encode, pad
from tests.tiny import CONFIGS, tiny_model, tiny_tokenizer
from util.errors import UserError

TOKENIZER = tiny_tokenizer()
PROMPTS = ["int x = 3;", "long solution(int n) { return 5", "a", "<s>double z;"]


def naive_answer(model, prompt, steps):
    ids = TOKENIZER(prompt.removeprefix("<s>"))["input_ids"]
    start = len(ids)
    for _ in range(steps):
        with torch.no_grad():
            token = model(torch.tensor([ids])).logits[0, -1].argmax().item()
        if token == TOKENIZER.eos_token_id:
            break
        ids.append(token)
    return TOKENIZER.decode(ids[start:])


@pytest.mark.parametrize("family", CONFIGS)
def test_batched_answers_are_those_of_a_plain_loop(family):
    model = tiny_model(family)
    expected = [naive_answer(model, prompt, 12) for prompt in PROMPTS]
    for batch_size in (1, 2, 4):
        assert greedy_generate(model, TOKENIZER, PROMPTS, max_new_tokens=12, stop="never", batch_size=batch_size) == expected


def test_answers_end_before_the_stop_text():
    model = tiny_model()
    whole = greedy_generate(model, TOKENIZER, PROMPTS, max_new_tokens=30, stop="never")
    for prompt, answer in zip(PROMPTS, whole):
        stop = next(answer[i : i + 2] for i in range(4, len(answer)) if answer[i : i + 2].isascii() and answer[i : i + 2].isprintable())
        found = greedy_generate(model, TOKENIZER, [prompt], max_new_tokens=30, stop=stop)[0]
        assert found == answer[: answer.index(stop)]


def test_a_stop_text_may_begin_in_the_prompt():
    model = tiny_model()
    answer = greedy_generate(model, TOKENIZER, ["int"], max_new_tokens=30, stop="never")[0]
    position = next(i for i, character in enumerate(answer) if character.isascii() and character.isprintable())
    stop = "t" + answer[: position + 1]
    assert greedy_generate(model, TOKENIZER, ["int"], max_new_tokens=30, stop=stop) == [""]


def test_sampled_texts_are_repeatable_and_bounded():
    model = tiny_model()
    texts = sample_texts(model, TOKENIZER, 3, 8, seed=4)
    assert texts == sample_texts(model, TOKENIZER, 3, 8, seed=4)
    assert len(set(texts)) > 1


def test_bos_is_never_doubled_and_spans_cover_the_text():
    for text in ("int x = (int) é€;", "<s>int x"):
        ids, spans = encode(TOKENIZER, text)
        assert ids.count(TOKENIZER.bos_token_id) == 1
        assert spans[-1][1] == len(text)
        assert all(earlier[1] >= later[0] for earlier, later in zip(spans, spans[1:]))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_keeps_the_positions_of_real_tokens(side):
    batch = pad([[5, 6, 7], [8]], 1, "cpu", side)
    assert batch.input_ids.tolist() == [[5, 6, 7], [1, 1, 8] if side == "left" else [8, 1, 1]]
    assert batch.position_ids[batch.attention_mask.bool()].tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("family", CONFIGS)
def test_drafts_change_nothing(family):
    model = tiny_model(family)
    plain = greedy_generate(model, TOKENIZER, PROMPTS, max_new_tokens=20, stop="never")
    half = [answer[: len(answer) // 2] + " wrong from here" for answer in plain]
    for guesses in (plain, half, plain[::-1], ["", *half[1:]], [answer * 2 for answer in plain]):
        for batch_size in (1, 4):
            assert greedy_generate(model, TOKENIZER, PROMPTS, max_new_tokens=20, stop="never", batch_size=batch_size, drafts=guesses) == plain


def test_answers_are_remembered_as_drafts(tmp_path, monkeypatch):
    generate = partial(greedy_generate, max_new_tokens=40)
    monkeypatch.setattr(drafts, "MAX_NEW_TOKENS", 40)
    monkeypatch.setattr(drafts, "greedy_generate", generate)
    model = tiny_model()
    first = DraftedGeneration(model, TOKENIZER, tmp_path / "drafts.json", 2)(PROMPTS)
    assert first == generate(model, TOKENIZER, PROMPTS)
    assert DraftedGeneration(model, TOKENIZER, tmp_path / "drafts.json", 2)(PROMPTS) == first
    edited = tiny_model(seed=8)
    assert DraftedGeneration(edited, TOKENIZER, tmp_path / "drafts.json", 2)(PROMPTS) == generate(edited, TOKENIZER, PROMPTS) != first
    (tmp_path / "drafts.json").write_text("half")
    assert DraftedGeneration(model, TOKENIZER, tmp_path / "drafts.json", 2)(PROMPTS) == first


def test_models_made_from_the_same_one_draft_for_each_other(tmp_path, monkeypatch):
    asked, answers = [], iter("abcde")

    def write(model, tokenizer, prompts, drafts, **_):
        asked.append(drafts)
        return [next(answers)]

    monkeypatch.setattr(drafts, "greedy_generate", write)
    for made_from in ["plain", "with a transcoder", "plain", "with a transcoder", "a third"]:
        DraftedGeneration(tiny_model(), TOKENIZER, tmp_path / "drafts.json", 2, made_from=made_from)(["int n"])
    assert asked == [[""], ["a"], ["a"], ["b"], ["a"]]


@pytest.mark.parametrize("family", ["Llama", "GPT2", "Gemma2"])
def test_drafts_that_are_read_from_a_layer_on_change_nothing(family, tmp_path, monkeypatch):
    model = tiny_model(family, seed=3)  # whose answers are text
    last = len(layers_of(model)) - 1
    written: list[str] = []

    def write(model, tokenizer, prompts, **options):
        written.extend(prompts)
        return greedy_generate(model, tokenizer, prompts, max_new_tokens=8, **options)

    monkeypatch.setattr(drafts, "MAX_NEW_TOKENS", 8)
    monkeypatch.setattr(drafts, "greedy_generate", write)

    def answers():
        written.clear()
        return DraftedGeneration(model, TOKENIZER, tmp_path / "drafts.json", 3, last)(PROMPTS)

    plain = answers()
    for _ in range(2):  # reading the layers below, and then what was kept of them
        assert answers() == plain and len(written) < len(PROMPTS)
    for layer in (last, 0):  # an edit where it is expected, and one below
        with torch.no_grad():
            for weight in layers_of(model)[layer].parameters():
                weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
        edited = greedy_generate(model, TOKENIZER, PROMPTS, max_new_tokens=8)
        assert answers() == edited != plain


@pytest.mark.parametrize("family", ["Llama", "GPT2"])
def test_a_continuation_ends_where_the_context_does_and_a_longer_prompt_is_refused(family):
    model, tokenizer, prompt = tiny_model(family), tiny_tokenizer(), "int solution(int n)"
    model.generation_config.eos_token_id = None
    length = len(encode(tokenizer, prompt).ids)
    free = greedy_generate(model, tokenizer, [prompt], max_new_tokens=5, stop="~~~")
    model.config.max_position_embeddings = length + 5
    assert greedy_generate(model, tokenizer, [prompt], max_new_tokens=50, stop="~~~") == free
    assert greedy_generate(model, tokenizer, [prompt], max_new_tokens=50, stop="~~~", drafts=[free[0] + "a longer draft" * 9]) == free
    model.config.max_position_embeddings = length
    with pytest.raises(UserError, match=f"has {length + 1} tokens, and this .* reads at most {length};"):
        greedy_generate(model, tokenizer, [prompt])
