"""The token at which an edit acts is found by character offsets, and BOS is never doubled."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huggingface.tokenization import encode
from tcpe.contexts import build_contexts, locate, sample_templates
from tcpe.request import EditRequest
from tests.tiny import tiny_model, tiny_tokenizer
from util.errors import RequestError

TOKENIZER = tiny_tokenizer()
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


@settings(max_examples=200, deadline=None)
@given(AROUND, SUBJECTS, AROUND)
def test_subject_last_ends_where_the_subject_ends_or_is_refused(before, subject, after):
    try:
        context = locate(TOKENIZER, before, subject, after, "subject_last")
    except RequestError:
        return
    head = TOKENIZER.decode(context.ids[1 : context.position + 1])
    assert head == before + subject


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
