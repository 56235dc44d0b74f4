"""The token at which an edit acts is found by character offsets, and BOS is never doubled."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from huggingface.tokenization import encode
from tcpe.contexts import build_contexts, locate, sample_templates, target_ids
from tcpe.request import EditRequest
from tests.tiny import tiny_model, tiny_sentencepiece, tiny_tokenizer
from util.errors import RequestError

TOKENIZER = tiny_tokenizer()
TOKENIZERS = {"bytes": TOKENIZER, "sentencepiece": tiny_sentencepiece(), "llama 2": tiny_sentencepiece(legacy=True)}
SUBJECTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6)
AROUND = st.text("int []{}(é€\n;x", max_size=8)


def text_of(context, token):
    return TOKENIZER.decode([context.ids[token]])


def request(prompt="int x{} = 3;", subject=" (int)", target=" long", **others):
    return EditRequest("3", "a cast", prompt, subject, target, **others)


@pytest.mark.parametrize(
    ("fact_token", "token"), [("subject_last", "length"), ("subject_first", " s"), ("subject_first_after_last", ";"), ("last", " }")]
)
def test_each_fact_token(fact_token, token):
    context = locate(TOKENIZER, "{ int n =", " s.length", "; }", fact_token)
    assert text_of(context, context.position) == token


def read(tokenizer, context, length):
    """The text of the context's first tokens after BOS."""
    return tokenizer.decode(context.ids[:length], skip_special_tokens=True)


def text_ends(tokenizer, context, character):
    """The numbers of tokens after which exactly the characters before ``character`` are read."""
    return [length for length in range(len(context.ids) + 1) if read(tokenizer, context, length) == context.text[:character]]


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(max_examples=100, deadline=None)
@given(AROUND, SUBJECTS, AROUND, st.sampled_from(["subject_last", "subject_first"]))
def test_the_token_is_at_the_subject_s_end_exactly_where_tokens_end_there(kind, before, subject, after, fact_token):
    tokenizer = TOKENIZERS[kind]
    assume(kind == "bytes" or not (before + subject).startswith(" "))  # decoding strips that space
    whole = locate(tokenizer, before + subject + after, "", "", "last")
    last = fact_token == "subject_last"
    ends = text_ends(tokenizer, whole, len(before) + len(subject) if last else len(before))
    try:
        context = locate(tokenizer, before, subject, after, fact_token)
    except RequestError as error:
        assert "shares the token" in str(error) or "drops" in str(error)
        assert not [length for length in ends if length > 1]
        return
    assert context.ids == whole.ids
    assert context.position + last in ends


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(max_examples=100, deadline=None)
@given(AROUND.filter(bool), SUBJECTS)
def test_a_target_follows_its_prompt_without_changing_it(kind, prompt, target):
    tokenizer = TOKENIZERS[kind]
    assume(kind == "bytes" or not prompt.startswith(" "))
    assume("<s>" not in prompt + target)  # which decoding leaves out
    context = locate(tokenizer, "", "", prompt, "last")
    try:
        ids = target_ids(tokenizer, context, target)
    except RequestError as error:
        assert "merges with the end" in str(error)
        return
    assert tokenizer.decode(context.ids + ids, skip_special_tokens=True) == prompt + target


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize(("prompt", "target"), [("return dp.", "length;"), ("int x =", " dp"), ("long x = ", "s.length"), ("cast(", "int)")])
def test_a_target_in_the_middle_of_a_word_gets_no_space(kind, prompt, target):
    tokenizer = TOKENIZERS[kind]
    context = locate(tokenizer, "", "", prompt, "last")
    ids = context.ids + target_ids(tokenizer, context, target)
    assert tokenizer.decode(ids, skip_special_tokens=True) == prompt + target


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_no_end_token_before_the_answer_and_no_second_bos(kind):
    tokenizer = TOKENIZERS[kind]
    for prompt in ("<s>[INST] int{} x", "[INST] int{} x"):
        contexts = build_contexts(tokenizer, request(prompt, "[]"), ["some text"], "last")
        for row in [*contexts.prompts, contexts.essence]:
            assert row.ids.count(tokenizer.bos_token_id) == 1 == 1 + row.ids.count(tokenizer.eos_token_id)
            assert row.ids[0] == tokenizer.bos_token_id


def test_a_subject_that_shares_its_last_token_is_refused():
    with pytest.raises(RequestError, match="shares the token"):
        locate(TOKENIZER, "return dp.", "len", "gth", "subject_last")


def test_bos_is_never_doubled_with_templates_or_a_literal_bos():
    for prompt in ("<s>[INST] int{} x", "[INST] int{} x"):
        contexts = build_contexts(TOKENIZER, request(prompt, "[]"), ["some text", "other"])
        rows = [*contexts.prompts, contexts.essence]
        assert [row.ids.count(TOKENIZER.bos_token_id) for row in rows] == [1] * 4
        assert all(row.ids[0] == TOKENIZER.bos_token_id for row in rows)


def test_templates_are_repeatable_and_go_before_the_prompt():
    model = tiny_model()
    templates = sample_templates(model, TOKENIZER, [(10, 2), (5, 1)], seed=1)
    assert templates == sample_templates(model, TOKENIZER, [(10, 2), (5, 1)], seed=1)
    assert templates != sample_templates(model, TOKENIZER, [(10, 2), (5, 1)], seed=2)
    texts = [context.text for context in build_contexts(TOKENIZER, request(), templates).prompts]
    assert texts == ["int x (int) = 3;", *(f"{template}. int x (int) = 3;" for template in templates)]


def test_target_tokens_follow_the_prompt_and_leave_its_own_tokens_alone():
    contexts = build_contexts(TOKENIZER, request("int x ={}", " dp.", "length"))
    assert contexts.prompts[0].ids == encode(TOKENIZER, "int x = dp.").ids
    assert TOKENIZER.decode(contexts.targets[0]) == "length"


def test_further_contexts_need_the_last_token():
    with_contexts = request(contexts=[{"prompt": "int y", "target_new": " = 1"}, {"prompt": "int z", "target_new": " = 2"}])
    assert [context.position for context in build_contexts(TOKENIZER, with_contexts, fact_token="last").prompts[1:]] == [
        len(encode(TOKENIZER, text).ids) - 1 for text in ("int y", "int z")
    ]
    with pytest.raises(RequestError, match="--fact_token last"):
        build_contexts(TOKENIZER, with_contexts)


def test_an_empty_subject_at_the_last_token_is_said(caplog):
    build_contexts(TOKENIZER, request("int x{} = ", ""), fact_token="last")
    assert "empty subject" in caplog.text
    caplog.clear()
    build_contexts(TOKENIZER, request("int x{} = ", "[]"), fact_token="last")
    assert not caplog.text
