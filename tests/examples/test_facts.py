import torch
from transformers import LlamaForCausalLM

from examples.facts import probabilities, table
from tests.tiny import CONFIGS, tiny_tokenizer


def test_probabilities_of_objects_agree_with_one_pass_for_each():
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    model = LlamaForCausalLM(CONFIGS["Llama"](len(tokenizer))).eval()
    prompts, objects = ["The city is", "In this very long sentence the city is"], ["Rome", "New York"]
    found = probabilities(model, tokenizer, prompts, objects)
    for prompt, row in zip(prompts, found):
        for name, value in zip(objects, row):
            start, end = tokenizer(prompt)["input_ids"], tokenizer(" " + name, add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                logits = model(torch.tensor([start + end])).logits[0].log_softmax(-1)
            wanted = sum(logits[len(start) + place - 1, token].item() for place, token in enumerate(end)) / len(end)
            assert abs(torch.tensor(value).log().item() - wanted) < 1e-4


def test_the_table_has_means_and_a_harmonic_score():
    before, after = (
        {kind: {"success": value, "magnitude": value / 2} for kind in ("efficacy", "paraphrase", "neighbourhood")} for value in (0.5, 1.0)
    )
    lines = table([{"none": before, "ROME": after}] * 3).splitlines()
    assert lines[2].split()[:2] == ["none", "50.0"] and lines[3].split()[:2] == ["ROME", "100.0"]
