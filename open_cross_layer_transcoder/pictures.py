"""Drawing, for all pictures here: figures without windows, written whole or not at all."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from util.files import write_atomically

LONGEST_LABEL = 14


def save_figure(figure: Figure, path: str | Path | None) -> Figure:
    """Write ``figure`` to ``path``, as PNG unless its suffix names another format; None writes nothing.

    Raises:
        UserError: if it cannot be written.
    """
    if path is not None:
        kind = Path(path).suffix.removeprefix(".") or "png"
        write_atomically(path, lambda temporary: figure.savefig(temporary, format=kind, dpi=110))
    return figure


def token_texts(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int]) -> list[str]:
    """Each token as it reads, special ones by their names."""
    return [str(tokenizer.decode([one])) for one in ids]


def label(text: str) -> str:
    """A token for an axis: its spaces and line ends seen, a dollar as it is."""
    shown = text.replace("\n", "\\n").replace("\t", "\\t").replace("$", r"\$")
    shown = "␣" * (len(shown) - len(shown.lstrip(" "))) + shown.lstrip(" ")
    return shown if len(shown) <= LONGEST_LABEL else shown[: LONGEST_LABEL - 1] + "…"


def heatmap(figure: Figure, axes: object, values: Float[Tensor, "row column"], rows: Sequence[str], columns: Sequence[str], name: str) -> None:
    """Draw ``values`` with a label for each row and column and a bar that says what the colours mean."""
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    image = axes.imshow(values.numpy(), aspect="auto", cmap="viridis", interpolation="nearest")
    axes.set_yticks(range(len(rows)), rows, fontsize=9)
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=9)
    figure.colorbar(image, ax=axes, label=name)


def activations_figure(activations: Mapping[int, Float[Tensor, "token n_features"]], tokens: Sequence[str], top_n: int) -> Figure:
    """A panel for each layer: its ``top_n`` most active features over the tokens."""
    height = 0.9 + 0.2 * min(top_n, next(iter(activations.values())).shape[1])
    figure = Figure(figsize=(max(6.0, 0.28 * len(tokens) + 2.5), height * len(activations) + 1), layout="constrained")
    panels = figure.subplots(len(activations), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (layer, active) in zip(panels, activations.items()):
        best = active.amax(0).topk(min(top_n, active.shape[1])).indices
        heatmap(figure, axes, active[:, best].T, [f"{one}" for one in best.tolist()], [label(token) for token in tokens], "activation")
        axes.set_ylabel(f"layer {layer}")
    panels[-1].set_xlabel("token")
    figure.suptitle("The most active features of each layer")
    return figure


def comparison_figure(
    cosine: Float[Tensor, " token"], mse: Float[Tensor, " token"], tokens: Sequence[str], original: str, replacement: str
) -> Figure:
    """Cosine and squared difference of the logits token by token, and both models' texts below."""
    figure = Figure(figsize=(max(8.0, 0.28 * len(tokens) + 2), 7), layout="constrained")
    above, middle, below = figure.subplots(3, 1, height_ratios=[2, 2, 1.6])
    for axes, values, name in ((above, cosine, "cosine of the logits"), (middle, mse, "mean squared difference")):
        axes.bar(range(len(tokens)), values.numpy(), color="#4477aa")
        axes.set_xticks(range(len(tokens)), [label(token) for token in tokens], rotation=90, fontsize=9)
        axes.set_ylabel(name)
    above.axhline(1, color="grey", linewidth=0.8)
    above.set_title(f"Original and replacement: mean cosine {cosine.mean():.4f}, mean squared difference {mse.mean():.3g}")
    below.axis("off")
    texts = (("original", original), ("replacement", replacement))
    shown = "\n\n".join(fill(f"{name}: {text[:400]!r}", 130).replace("$", r"\$") for name, text in texts)
    below.text(0, 1, shown, va="top", fontsize=7, family="monospace", transform=below.transAxes)
    return figure


def colours(numbers: Sequence[int], count: int) -> list[tuple[float, float, float, float]]:
    """A colour for each number of 0 to ``count`` - 1, from dark to light."""
    from matplotlib import colormaps

    return [colormaps["viridis"](number / max(1, count - 1)) for number in numbers]


def correlations(values: Float[Tensor, "token feature"]) -> Float[Tensor, "feature feature"]:
    """Pearson's correlation of each two columns; 0 for columns that do not vary."""
    centred = (values - values.mean(0)).double()
    sizes = centred.norm(dim=0)
    unit = torch.where(sizes > 1e-9, centred / sizes.clamp(min=1e-9), torch.zeros(()).double())
    return (unit.T @ unit).float()
