"""Time and memory of each stage for a large model, on paper: counted operations and bytes over stated speeds.

``python -m benchmarks.estimates`` prints the tables of docs/estimates.md; nothing is measured. The formulas are the functions below.
"""

import sys
from dataclasses import dataclass

GB = 1e9


@dataclass(frozen=True)
class Model:
    """A Llama: widths and layers; ``key_value`` is the width of keys and of values, ``tied`` whether it unembeds with the embedding."""

    layers: int = 32
    d: int = 4096
    d_mlp: int = 11008
    vocabulary: int = 32016
    key_value: int = 4096
    tied: bool = False
    bytes: int = 2

    @property
    def layer_weights(self) -> int:
        """Of attention (q, k, v, o) and MLP (gate, up, down)."""
        return 2 * self.d**2 + 2 * self.d * self.key_value + 3 * self.d * self.d_mlp

    @property
    def weights(self) -> int:
        """All layers, embedding and unembedding."""
        return self.layers * self.layer_weights + (1 if self.tied else 2) * self.vocabulary * self.d

    def key_value_bytes(self, tokens: int, layers: int) -> int:
        """Keys and values of so many tokens."""
        return 2 * layers * tokens * self.key_value * self.bytes

    def forward_flops(self, tokens: int, context: int, layers: int) -> float:
        """2 per weight and token, and 2 x 2 x d per token and token before it, on average half of ``context``."""
        return tokens * layers * (2 * self.layer_weights + 2 * context * self.d)


@dataclass(frozen=True)
class Machine:
    """A GPU and the CPU beside it. Peaks are the makers'; the share of them that is reached is an assumption."""

    name: str
    memory: float
    half_flops: float
    bandwidth: float
    share: float = 0.4
    disk: float = 2 * GB
    cpu_double_flops: float = 0.5e12
    cpu_bandwidth: float = 50 * GB
    seconds_per_pair: float = 25e-9


MACHINES = (Machine("24 GB (RTX 4090)", 24 * GB, 165e12, 1.0e12), Machine("80 GB (A100)", 80 * GB, 312e12, 2.0e12))
MODEL, LAYER, WIDTHS = Model(), 19, (16384, 32768)
TEXTS, TEXT_TOKENS, ACTIVE = 61_000, 700, 50
CONTEXTS, CONTEXT_TOKENS, TAIL, STEPS = 11, 600, 40, 600
FUNCTIONS, PROMPT, ANSWER, BATCH = 600, 500, 400, 16
BATCH_TOKENS = 2048
JUDGE_SECONDS, CORES = 1.5, 16


@dataclass(frozen=True)
class Stage:
    """One line of a table: seconds and bytes, on the GPU and beside it."""

    name: str
    seconds: float
    gpu: float
    cpu: float = 0
    disk: float = 0


def packed(n: int) -> int:
    """Bytes of half a symmetric float64 matrix."""
    return 8 * n * (n + 1) // 2


def stages(machine: Machine, features: int) -> list[Stage]:
    """Each stage with a transcoder of so many features, all of which fire somewhere."""
    model, speed = MODEL, machine.half_flops * machine.share
    transcoder = 2 * model.d * features
    # The layer's own MLP stays in memory, to be put back.
    base = (model.weights + transcoder) * model.bytes
    spliced = 2 * transcoder - 2 * 3 * model.d * model.d_mlp

    tokens = TEXTS * TEXT_TOKENS
    forward = model.forward_flops(tokens, TEXT_TOKENS, LAYER) + tokens * (2 * 4 * model.d**2 + 2 * model.d * features)
    pairs = tokens * ACTIVE * (ACTIVE + 1) / 2
    # A GPU finds what is not zero by reading the features a few times.
    found = tokens * features * model.bytes * 4 / machine.bandwidth
    activations = BATCH_TOKENS * features * (2 * model.bytes + 1)
    statistics = forward / speed + found + pairs * machine.seconds_per_pair
    factor = features**3 / 3 / machine.cpu_double_flops + 3 * packed(features) / machine.disk
    solve = 2 * packed(features) / machine.cpu_bandwidth + 2 * packed(features) / machine.disk

    key_tokens = CONTEXTS * CONTEXT_TOKENS
    key = model.forward_flops(key_tokens, CONTEXT_TOKENS, LAYER + 1) / speed
    tail = (CONTEXTS + 1) * TAIL
    later = model.layers - LAYER - 1
    # Backward passes through the layers without gradients of weights cost as much as the forward pass; so few tokens are bound by reading
    # the weights, once each way.
    step_flops = 2 * (model.forward_flops(tail, CONTEXT_TOKENS, later) + 2 * tail * model.vocabulary * model.d)
    step_bytes = 2 * (later * model.layer_weights + model.vocabulary * model.d) * model.bytes
    step = max(step_flops / speed, step_bytes / (machine.bandwidth * 0.7))
    prefix = model.forward_flops((CONTEXTS + 1) * CONTEXT_TOKENS, CONTEXT_TOKENS, model.layers) / speed
    kept = model.key_value_bytes((CONTEXTS + 1) * CONTEXT_TOKENS, model.layers) + tail * later * 34 * model.d * model.bytes

    prefill = (model.forward_flops(FUNCTIONS * PROMPT, PROMPT, model.layers) + FUNCTIONS * PROMPT * spliced) / speed
    cached = model.key_value_bytes(BATCH * (PROMPT + ANSWER), model.layers)
    written = FUNCTIONS / BATCH * ANSWER * (base + cached / 2) / (machine.bandwidth * 0.5)
    return [
        Stage("load model and transcoder", (base + 2 * transcoder * 4) / machine.disk, base, transcoder * 4),
        Stage("sample contexts", 10 * base / (machine.bandwidth * 0.5), base),
        Stage("key k*", key, base + activations),
        Stage(f"statistics, {tokens / 1e6:.0f} million tokens", statistics, base + activations, 2 * packed(features), packed(features)),
        Stage("   of it on the CPU: products of pairs", pairs * machine.seconds_per_pair, 0),
        Stage("factorisation", factor, base, 2 * packed(features), packed(features)),
        Stage("solve with a factor on disk", solve, base, packed(features)),
        Stage("value: prefix, once", prefix, base + kept),
        Stage("value: one step", step, base + kept),
        Stage(f"value: {STEPS} steps", STEPS * step, base + kept),
        Stage("update, 100 columns", 100 * model.d * 12 / machine.bandwidth, base + 100 * model.d * 12, 0, 4 * (model.d + 2 * features)),
        Stage(f"translate {FUNCTIONS} functions", prefill + written, base + cached),
        Stage(f"judge {FUNCTIONS} functions on {CORES} cores", FUNCTIONS * JUDGE_SECONDS / CORES, 0),
    ]


def duration(seconds: float) -> str:
    """A rounded time."""
    for limit, unit, divisor in ((1e-3, "us", 1e-6), (1, "ms", 1e-3), (120, "s", 1), (7200, "min", 60)):
        if seconds < limit:
            return f"{seconds / divisor:.2g} {unit}" if seconds / divisor < 10 else f"{seconds / divisor:.0f} {unit}"
    return f"{seconds / 3600:.1f} h"


def size(number: float) -> str:
    """A rounded number of bytes."""
    if not number:
        return "-"
    return f"{number / GB:.1f} GB" if number >= 0.1 * GB else f"{number / 1e6:.1f} MB"


def tables() -> str:
    """A table in Markdown for each width of transcoder."""
    lines = []
    for features in WIDTHS:
        lines += [f"### F = {features}", "", "| stage | " + " | ".join(f"time, {machine.name}" for machine in MACHINES) + " | GPU | CPU | disk |"]
        lines.append("|---|" + "---|" * (len(MACHINES) + 3))
        for several in zip(*(stages(machine, features) for machine in MACHINES)):
            one, times = several[0], " | ".join(duration(stage.seconds) for stage in several)
            lines.append(f"| {one.name} | {times} | {size(one.gpu)} | {size(one.cpu)} | {size(one.disk)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(tables())
