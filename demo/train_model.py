"""Trains the embedded model from scratch on generated pairs; stops and continues at any step with the same result.

usage: python -m demo.train_model --output data/demo/model --work runs/demo_model
"""

import logging
import math
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from demo.corpus import bucket_rng, draw_example, tokenizer_texts
from demo.datasets import held_out_java
from demo.tokenizer import train_tokenizer
from util.cli import ArgumentParser, run_main
from util.files import write_atomically, write_json
from util.progress import Progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingConfig:
    """What decides the weights, byte for byte on one machine."""

    seed: int = 0
    hidden_size: int = 128
    num_layers: int = 6
    intermediate_size: int = 384
    num_heads: int = 4
    steps: int = 2400
    pairs_per_step: int = 32
    """Pairs of one step; they are drawn from the step's own seed, so that a resumed run sees the same ones."""
    bucket: int = 8
    """Steps whose pairs are drawn together and sorted by length, to pad little."""
    learning_rate: float = 3e-3
    warmup_steps: int = 150
    weight_decay: float = 0.05
    prompt_loss_weight: float = 0.1
    """Weight of the Java side in the loss, which teaches to copy but is no goal."""
    checkpoint_every: int = 100


def build_model(config: TrainingConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A randomly initialised Llama of the configured size, fp32."""
    torch.manual_seed(config.seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden_size,
            num_hidden_layers=config.num_layers,
            intermediate_size=config.intermediate_size,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_heads,
            tie_word_embeddings=True,
            max_position_embeddings=1024,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


Batch = tuple[torch.Tensor, torch.Tensor]


def draw_bucket(config: TrainingConfig, first_step: int, tokenizer: PreTrainedTokenizerFast, held_out: AbstractSet[str]) -> list[Batch]:
    """The batches of ``config.bucket`` steps: token ids int64 [pairs, positions] and loss weights float32 of the same shape."""
    rng = bucket_rng(config.seed, first_step)
    rows = []
    for _ in range(config.pairs_per_step * config.bucket):
        example = draw_example(rng, tokenizer, held_out)
        prompt, answer = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in example)
        rows.append((prompt + answer, [config.prompt_loss_weight] * len(prompt) + [1.0] * len(answer)))
    rows.sort(key=lambda row: len(row[0]))
    batches = []
    for start in range(0, len(rows), config.pairs_per_step):
        part = rows[start : start + config.pairs_per_step]
        width = max(len(ids) for ids, _ in part)
        ids = torch.full((len(part), width), tokenizer.pad_token_id)
        weights = torch.zeros(len(part), width)
        for row, (tokens, weight) in enumerate(part):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            weights[row, : len(tokens)] = torch.tensor(weight)
        batches.append((ids, weights))
    rng.shuffle(batches)
    return batches


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Linear warm-up, then a cosine down to 2 % of the peak."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * (0.02 + 0.98 * (1 + math.cos(math.pi * progress)) / 2)


def train(config: TrainingConfig, tokenizer: PreTrainedTokenizerFast, held_out: AbstractSet[str], work: Path) -> LlamaForCausalLM:
    """Train, or continue the training whose checkpoint lies in ``work``."""
    model = build_model(config, tokenizer).train()
    decayed = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)
    checkpoint, start = work / "checkpoint.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        if state["config"] == asdict(config):
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            start = state["step"]
            logger.info("continuing at step %d", start)
    progress = Progress(range(start, config.steps), initial=start, total=config.steps, desc="training the embedded model")
    batches: list[Batch] = []
    for step in progress:
        if not batches or step % config.bucket == 0:
            batches = draw_bucket(config, step - step % config.bucket, tokenizer, held_out)
        ids, weights = batches[step % config.bucket]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(input_ids=ids).logits[:, :-1]
        losses = torch.nn.functional.cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], reduction="none")
        loss = (losses * weights[:, 1:]).sum() / weights[:, 1:].sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        progress.set_postfix(loss=f"{loss.item():.3f}")
        done = step + 1
        if done % 50 == 0:
            answer = weights[:, 1:] == 1
            logger.info("step %d: loss of the answer %.4f", done, losses[answer].mean().item())
        if done % config.checkpoint_every == 0 or done == config.steps:
            state = {"config": asdict(config), "model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": done}
            write_atomically(checkpoint, partial(torch.save, state))
    return model.eval()


def train_and_save(config: TrainingConfig, output: Path, work: Path) -> None:
    """Train tokenizer and model and write them to ``output``, the weights in fp16; the checkpoint is kept in ``work``."""
    tokenizer = train_tokenizer(tokenizer_texts(config.seed, 4000))
    model = train(config, tokenizer, held_out_java(), work)
    model.half().save_pretrained(output)
    tokenizer.save_pretrained(output)
    write_json(output / "training.json", asdict(config))


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("data/demo/model"))
    parser.add_argument("--work", type=Path, default=Path("runs/demo_model"), help="folder of the checkpoint")
    parser.add_argument("--steps", type=int, default=TrainingConfig.steps)
    arguments = parser.parse_args()
    train_and_save(TrainingConfig(steps=arguments.steps), arguments.output, arguments.work)


if __name__ == "__main__":
    run_main(main, continues=True)
