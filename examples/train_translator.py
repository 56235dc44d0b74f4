"""Trains the adapter that makes SmolLM2 a translator of Java to D; stops and continues at any step with the same result.

usage: python -m examples.train_translator --source DIR/java --output_path data/real/adapter

The D of every pair comes from the reference translator with all its rules on: no error is planted, and what the model gets wrong it gets
wrong by itself. Functions are split by the digest of their names (see `examples.functions`).
"""

import hashlib
import json
import logging
import random
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from d_running.dataset import load_functions
from d_running.java_text import natural_java
from d_running.java_to_d import translate_java
from d_running.prompt import ANSWER_CLOSING, translation_prompt
from examples.functions import training_samples
from examples.smollm2 import SOURCE_FILE
from huggingface.load import load_model_and_tokenizer
from util.cli import ArgumentParser
from util.errors import BenchmarkError, CheckpointError, UserError
from util.files import read_json, write_atomically, write_json
from util.flags import add_flags, flag
from util.progress import Progress

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
BASE_NAME = "SmolLM2-135M-Instruct"
"""What an adapter calls its base model; the digest that counts is in ``training.json``."""
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
IGNORED = -100
"""The label of a token that the loss leaves out, as PyTorch's cross entropy has it."""

Pair = tuple[list[int], list[int]]
"""The token ids of a prompt and of its answer."""


@dataclass(frozen=True)
class AdapterTraining:
    """What decides the adapter's weights, byte for byte on one machine with one number of threads."""

    seed: int = flag(0, "of the adapter's first weights and of the order of pairs")
    rank: int = flag(16, "of the low-rank matrices of every projection")
    alpha: int = flag(32, "the adapter's output is scaled by alpha / rank")
    steps: int = flag(160, "optimizer steps")
    pairs_per_step: int = flag(4, "pairs in a step")
    bucket: int = flag(8, "steps whose pairs are sorted by length together, to pad little")
    learning_rate: float = flag(6e-4, "AdamW's peak; then it falls linearly to a twentieth")
    warmup_steps: int = flag(10, "steps in which the rate rises linearly to its peak")
    max_tokens: int = flag(640, "longer pairs are left out")
    checkpoint_every: int = flag(10, "steps between checkpoints; each also leaves a usable adapter in the work folder")


def make_pairs(source: Path, tokenizer: PreTrainedTokenizerFast, max_tokens: int, unseen: Sequence[Path] = ()) -> tuple[list[Pair], list[str]]:
    """The pairs of the training functions under ``source`` that the reference translates, and their names.

    Args:
        source: a folder of ID.java, or a kecode.csv.
        unseen: more such folders or files, whose functions are never trained on under any name.

    Raises:
        UserError: if no function is left.
    """
    held_out = [sample for path in unseen for sample in load_functions(path)]
    pairs, names = [], []
    for sample in training_samples(load_functions(source), held_out):
        java = natural_java(sample.java)
        try:
            answer = translate_java(java).rstrip() + ANSWER_CLOSING
        except BenchmarkError:
            continue
        prompt, answer_ids = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (translation_prompt(tokenizer, java), answer))
        answer_ids = [*answer_ids, tokenizer.eos_token_id]
        if len(prompt) + len(answer_ids) <= max_tokens:
            pairs.append((prompt, answer_ids))
            names.append(sample.name)
    if not pairs:
        raise UserError(f"{source} holds no function to train on; give the folder java/ of the public TransCoder test set.")
    return pairs, names


def batches(pairs: Sequence[Pair], config: AdapterTraining) -> list[list[Pair]]:
    """Every step's pairs: passes over all pairs, each in its own order, of like lengths within a bucket of steps."""
    rng = random.Random(config.seed)
    order: list[Pair] = []
    while len(order) < config.steps * config.pairs_per_step:
        order += rng.sample(pairs, len(pairs))
    steps: list[list[Pair]] = []
    size = config.bucket * config.pairs_per_step
    for start in range(0, config.steps * config.pairs_per_step, size):
        part = sorted(order[start : start + size], key=lambda pair: len(pair[0]) + len(pair[1]))
        together = [part[first : first + config.pairs_per_step] for first in range(0, len(part), config.pairs_per_step)]
        rng.shuffle(together)
        steps += together
    return steps[: config.steps]


def answer_loss(model: PeftModel, pairs: Sequence[Pair]) -> torch.Tensor:
    """The mean negative log likelihood of the answers' tokens, a float32 scalar; the vocabulary is only computed at those."""
    width = max(len(prompt) + len(answer) for prompt, answer in pairs)
    ids = torch.zeros(len(pairs), width, dtype=torch.long)
    labels = torch.full((len(pairs), width), IGNORED)
    mask = torch.zeros(len(pairs), width, dtype=torch.long)
    for row, (prompt, answer) in enumerate(pairs):
        end = len(prompt) + len(answer)
        ids[row, :end] = torch.tensor(prompt + answer)
        mask[row, :end] = 1
        labels[row, len(prompt) : end] = torch.tensor(answer)
    device = next(model.parameters()).device
    ids, labels, mask = ids.to(device), labels.to(device), mask.to(device)
    causal = model.get_base_model()
    with torch.autocast(device.type, torch.bfloat16):
        hidden = causal.get_submodule("model")(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[:, :-1]
        wanted = labels[:, 1:] != IGNORED
        logits = causal.get_submodule("lm_head")(hidden[wanted])
    return torch.nn.functional.cross_entropy(logits.float(), labels[:, 1:][wanted])


def train(config: AdapterTraining, model: PreTrainedModel, pairs: Sequence[Pair], work: Path, made_with: dict[str, Any]) -> PeftModel:
    """Train an adapter of ``model``, or continue the training whose checkpoint lies in ``work``.

    Args:
        made_with: what ``training.json`` of each checkpoint's adapter says beside the step and the settings.

    Raises:
        CheckpointError: if that is another training's.
    """
    torch.manual_seed(config.seed)
    lora = LoraConfig(r=config.rank, lora_alpha=config.alpha, lora_dropout=0.0, target_modules=PROJECTIONS, task_type="CAUSAL_LM")
    adapted = get_peft_model(model, lora).train()
    trained = {name: parameter for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=config.learning_rate, weight_decay=0.0, fused=True)
    digest = hashlib.sha256(json.dumps([asdict(config), pairs]).encode()).hexdigest()
    checkpoint, start = work / CHECKPOINT, 0
    if checkpoint.exists():
        state: dict[str, Any] = torch.load(checkpoint, weights_only=True)
        if state["made_from"] != digest:
            raise CheckpointError(f"{checkpoint} belongs to a training with other settings or functions; give another --work_path, or remove it.")
        for name, parameter in trained.items():
            parameter.data.copy_(state["adapter"][name])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
        logger.info("continuing at step %d", start)
    steps = batches(pairs, config)
    for step in Progress(range(start, config.steps), initial=start, total=config.steps, desc="Training the translator"):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min((step + 1) / config.warmup_steps, 1 - 0.95 * step / config.steps)
        loss = answer_loss(adapted, steps[step])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        done = step + 1
        logger.info("step %d: loss of the answers %.4f", done, loss.item())
        if done % config.checkpoint_every == 0 or done == config.steps:
            save_adapter(adapted, work / f"step_{done}", {**made_with, "step": done, "training": asdict(config)})
            state = {
                "made_from": digest,
                "adapter": {name: parameter.detach() for name, parameter in trained.items()},
                "optimizer": optimizer.state_dict(),
                "step": done,
            }
            write_atomically(checkpoint, partial(torch.save, state))
    return adapted.eval()


def save_adapter(adapted: PeftModel, folder: Path, made_with: dict[str, Any]) -> None:
    """Write the adapter in peft's format, its weights in float16, with ``training.json``."""
    adapted.peft_config[adapted.active_adapter].base_model_name_or_path = BASE_NAME
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft looks for the base model on the hub, to see whether its vocabulary changed
        adapted.save_pretrained(str(folder), state_dict={name: value.half() for name, value in adapted.state_dict().items() if "lora_" in name})
    write_json(folder / "training.json", made_with)


def main() -> None:
    """Command line, see the module's first lines."""
    parser = ArgumentParser(prog="python -m examples.train_translator", description=__doc__.splitlines()[0])
    parser.add_argument("--MODEL_NAME", required=True, help="folder of the base model (made by python -m examples.smollm2)")
    parser.add_argument("--source", type=Path, required=True, help="folder of ID.java files of the public TransCoder test set, or a kecode.csv")
    parser.add_argument("--unseen", type=Path, nargs="*", default=[], help="more folders or CSVs of functions that must never be trained on")
    parser.add_argument("--output_path", type=Path, required=True, help="folder for the adapter")
    parser.add_argument("--work_path", type=Path, default=Path("runs/real_translator"), help="folder of the checkpoints")
    add_flags(parser, AdapterTraining)
    given = vars(parser.parse_args())
    own = {name: given.pop(name) for name in ("MODEL_NAME", "source", "unseen", "output_path", "work_path")}
    config = AdapterTraining(**given)
    source = read_json(Path(own["MODEL_NAME"]) / SOURCE_FILE, "the base model's origin")
    model, tokenizer = load_model_and_tokenizer(own["MODEL_NAME"], device="cpu")
    pairs, names = make_pairs(own["source"], tokenizer, config.max_tokens, own["unseen"])
    logger.info("%d pairs of %.0f tokens", len(pairs), sum(len(prompt) + len(answer) for prompt, answer in pairs) / len(pairs))
    made_with = {"base": source["sha256"], "functions": names}
    adapted = train(config, model, pairs, own["work_path"], made_with)
    save_adapter(adapted, own["output_path"], {**made_with, "step": config.steps, "training": asdict(config)})
    sys.stdout.write(f"{own['output_path']}: an adapter trained on {len(pairs)} functions\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main, continues=True)
