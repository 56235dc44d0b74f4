"""Many edits one after the other, each made on the model that the earlier ones left, do not make it collapse."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from d_running.java_to_d import translate_java
from d_running.prompt import translation_prompt
from demo.datasets import TEST_SEED
from demo.generator import draw_functions
from demo.settings import DATA, EDIT, KIND, LAYER
from huggingface.architectures import decoder_weight, down_projection
from huggingface.generation import greedy_generate
from huggingface.load import load_model_and_tokenizer
from huggingface.loaders import load_transcoder
from huggingface.transcoder_adapter import spliced
from tcpe.compute_u import compute_key, key_direction
from tcpe.compute_v import ValueSettings, compute_value
from tcpe.contexts import RequestContexts, build_contexts
from tcpe.request import load_request
from tcpe.second_moment import collect_second_moment
from tcpe.texts import load_texts
from tcpe.update import make_update

FAMILIES, ROUNDS = 5, 4
HELD_OUT = 40


@pytest.mark.slow
def test_twenty_edits_in_sequence_do_not_collapse_the_model():
    model, tokenizer = load_model_and_tokenizer(str(DATA / "model"), device="cpu")
    requests = [load_request(Path(DATA, "edit_requests.csv"), row, LAYER, KIND) for row in range(FAMILIES)]
    functions = draw_functions(TEST_SEED, 320)[:: 320 // HELD_OUT]
    prompts = [translation_prompt(tokenizer, function.java) for function in functions]

    def answers():
        return [text.strip() for text in greedy_generate(model, tokenizer, prompts, batch_size=HELD_OUT)]

    with spliced(model, LAYER, load_transcoder(DATA / "transcoder")):
        weight = decoder_weight(down_projection(model, LAYER))
        before = answers()
        # The activations that the decoder reads do not depend on the decoder.
        moment = collect_second_moment(model, tokenizer, LAYER, load_texts(EDIT["mom2_dataset"], 100))
        for number in range(ROUNDS * FAMILIES):
            request = requests[number % FAMILIES]
            own = replace(request, contexts=request.contexts[number // FAMILIES :: ROUNDS])
            contexts = build_contexts(tokenizer, own, (), "last")
            contexts = RequestContexts(contexts.prompts[1:], contexts.essence, contexts.targets[1:])  # no prompt twice
            key = compute_key(model, tokenizer, LAYER, contexts.prompts)
            value = compute_value(model, tokenizer, LAYER, contexts, ValueSettings(learning_rate=EDIT["v_lr"], steps=30))
            update = make_update(model, LAYER, key, key_direction(moment, key, EDIT["epsilon"]), value)
            weight += torch.outer(update.value_shift, update.key_direction)
        after = answers()

    right = [translate_java(function.java).strip() for function in functions]
    right_before = [index for index in range(HELD_OUT) if before[index] == right[index]]
    still_right = [index for index in right_before if after[index] == right[index]]
    assert len(right_before) > HELD_OUT / 3
    assert len(still_right) >= 0.9 * len(right_before)
    assert sum(map(str.__eq__, after, right)) > len(right_before)
