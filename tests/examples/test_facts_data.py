import json
from pathlib import Path

FACTS = json.loads(Path("data/real/facts.json").read_text(encoding="utf-8"))


def test_every_fact_has_the_parts_that_its_scores_need():
    assert len(FACTS) >= 60 and [fact["id"] for fact in FACTS] == list(range(1, len(FACTS) + 1))
    assert len({(fact["prompt"], fact["subject"]) for fact in FACTS}) == len(FACTS)
    for fact in FACTS:
        own, subject = fact["prompt"].format(fact["subject"]), fact["subject"].casefold()
        assert fact["prompt"].count("{}") == 1 and fact["target_true"] != fact["target_new"]
        paraphrases, neighbours, generation = (fact[f"{kind}_prompts"] for kind in ("paraphrase", "neighborhood", "generation"))
        assert [len(paraphrases), len(set(neighbours)), len(generation)] == [2, 5, 2]
        assert all(subject in prompt.casefold() and prompt != own for prompt in paraphrases + generation)
        assert own not in neighbours


def test_a_neighbour_that_is_a_fact_itself_has_the_same_true_object():
    objects = {fact["prompt"].format(fact["subject"]): fact["target_true"] for fact in FACTS}
    for fact in FACTS:
        assert all(objects.get(neighbour, fact["target_true"]) == fact["target_true"] for neighbour in fact["neighborhood_prompts"])
