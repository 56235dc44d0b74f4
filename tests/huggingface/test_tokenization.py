"""Padding changes nothing that a model computes, and BOS is there once."""

import pytest
import torch

from huggingface.tokenization import encode, pad
from tests.tiny import CONFIGS, tiny_model, tiny_sentencepiece, tiny_tokenizer

TOKENIZER = tiny_tokenizer()


@pytest.mark.parametrize("family", CONFIGS)
def test_left_and_right_padding_agree_with_no_padding(family):
    """Also where a sliding window holds less than the text."""
    model = tiny_model(family)
    rows = [encode(TOKENIZER, text).ids for text in ("int", "int solution(int n) { int[] dp = new int[n]; }")]
    for side in ("left", "right"):
        batch = pad(rows, TOKENIZER.pad_token_id, "cpu", side)
        with torch.no_grad():
            logits = model(**batch._asdict(), use_cache=False).logits
            for index, row in enumerate(rows):
                alone = model(torch.tensor([row])).logits[0]
                torch.testing.assert_close(logits[index][batch.attention_mask[index].bool()], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tokenizer", [tiny_tokenizer(), tiny_sentencepiece()], ids=["bytes", "sentencepiece"])
def test_a_chat_template_that_writes_bos_gets_no_second_one(tokenizer):
    tokenizer.chat_template = "{{ bos_token }}{% for message in messages %}[INST] {{ message['content'] }} [/INST]{% endfor %}"
    text = tokenizer.apply_chat_template([{"role": "user", "content": "int x"}], tokenize=False)
    for prompt in (text, text.removeprefix("<s>")):
        ids, spans = encode(tokenizer, prompt)
        assert ids.count(tokenizer.bos_token_id) == 1
        assert ids[0] == tokenizer.bos_token_id
        assert tokenizer.eos_token_id not in ids
        assert len(ids) == len(spans)
        assert spans[-1][1] == len(prompt)
