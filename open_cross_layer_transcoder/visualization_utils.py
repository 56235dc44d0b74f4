"""Pictures of a transcoder's features on texts; each returns its figure and writes it where it is told to."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from open_cross_layer_transcoder.page import write_page
from open_cross_layer_transcoder.pictures import colours, correlations, heatmap, label, save_figure
from open_cross_layer_transcoder.transcoder import OpenCrossLayerTranscoder
from util.errors import UserError

__all__ = [
    "run_visualization_suite",
    "visualize_cross_layer_correlations",
    "visualize_feature_embedding",
    "visualize_feature_heatmap",
    "visualize_feature_importance",
]



def visualize_feature_heatmap(
    transcoder: OpenCrossLayerTranscoder, text: str, layer: int = 0, top_n: int = 20, save_path: str | Path | None = None
) -> Figure:
    """One layer's ``top_n`` features that are most active in ``text``, token by token.

    Raises:
        UserError: for a layer that is not there, or a text that cannot be read.
    """
    if not 0 <= layer < transcoder.n_layers:
        raise UserError(f"The model has no layer {layer}: its layers are 0 to {transcoder.n_layers - 1}.")
    active, tokens = transcoder.get_feature_activations(text)[layer], transcoder.tokens(text)
    best = active.amax(0).topk(min(top_n, active.shape[1])).indices
    figure = Figure(figsize=(max(6.0, 0.3 * len(tokens) + 2.5), 0.22 * len(best) + 2), layout="constrained")
    heatmap(figure, axes := figure.subplots(), active[:, best].T, [str(one) for one in best.tolist()], [label(one) for one in tokens], "activation")
    axes.set_ylabel("feature")
    axes.set_title(f"Layer {layer}")
    return save_figure(figure, save_path)


def visualize_feature_embedding(
    transcoder: OpenCrossLayerTranscoder,
    texts: Sequence[str] | None = None,
    method: str = "tsne",
    save_path: str | Path | None = None,
    seed: int = 0,
) -> Figure:
    """Points in two dimensions: features, by what they write into the last layer, or with ``texts`` these, by the mean of their features.

    Raises:
        UserError: for an unknown method, or fewer than two texts.
    """
    if method not in ("tsne", "pca"):
        raise UserError(f"method {method} is none of tsne, pca.")
    figure = Figure(figsize=(8, 7), layout="constrained")
    axes = figure.subplots()
    if texts is None:
        rows = torch.cat([W_dec[:, -1] for W_dec in transcoder.transcoder.W_dec]).cpu()
        layers = [layer for layer in range(transcoder.n_layers) for _ in range(transcoder.num_features)]
        points = _in_plane(torch.nn.functional.normalize(rows, dim=1), method, seed)
        for layer in range(transcoder.n_layers):
            inside = points[torch.tensor(layers) == layer]
            axes.scatter(inside[:, 0], inside[:, 1], s=8, color=colours([layer], transcoder.n_layers)[0], label=f"layer {layer}")
        axes.legend(fontsize=8)
        what = "Features, by what they write into the last layer"
    else:
        if len(texts) < 2:
            raise UserError(f"An embedding of texts needs at least 2 of them, not {len(texts)}.")
        points = _in_plane(_means(transcoder, texts).flatten(1), method, seed)
        axes.scatter(points[:, 0], points[:, 1], s=30)
        for text, point in zip(texts, points.tolist()):
            shown = " ".join(text.split())
            # Texts of one kind often begin alike.
            axes.annotate("…" * (len(shown) > 32) + shown[-32:].replace("$", r"\$"), point, xytext=(4, 4), textcoords="offset points", fontsize=7)
        what = "Texts, by their mean features"
    axes.set_title(f"{what} ({'t-SNE' if method == 'tsne' else 'PCA'})")
    return save_figure(figure, save_path)


def _in_plane(rows: Float[Tensor, "point width"], method: str, seed: int) -> Float[Tensor, "point 2"]:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if method == "pca":
        found = PCA(2, random_state=seed).fit_transform(rows.double().numpy())
    else:
        # Its perplexity is a number of neighbours, of which there must be more.
        found = TSNE(2, perplexity=min(30.0, (len(rows) - 1) / 3), init="random", random_state=seed).fit_transform(rows.numpy())
    return torch.as_tensor(found).float()


def _means(transcoder: OpenCrossLayerTranscoder, texts: Sequence[str]) -> Float[Tensor, "text n_layers n_features"]:
    """Mean activations over the tokens of each text but the first."""
    if not texts:
        raise UserError("texts must be a list of at least one text.")
    activations = [torch.stack(list(transcoder.get_feature_activations(text).values())) for text in texts]
    return torch.stack([active[:, min(1, active.shape[1] - 1) :].mean(1) for active in activations])


def visualize_cross_layer_correlations(
    transcoder: OpenCrossLayerTranscoder, texts: Sequence[str], top_n: int = 8, save_path: str | Path | None = None
) -> Figure:
    """Pearson's correlation over all tokens of ``texts`` of each two of the layers' ``top_n`` most active features; no attribution.

    Raises:
        UserError: for no texts, or one that cannot be read.
    """
    if not texts:
        raise UserError("texts must be a list of at least one text.")
    active = torch.cat([torch.stack(list(transcoder.get_feature_activations(text).values()), 1)[1:] for text in texts])
    best = active.mean(0).topk(min(top_n, active.shape[2])).indices
    chosen = torch.cat([active[:, layer, best[layer]] for layer in range(active.shape[1])], 1)
    names = [f"{layer}:{one}" for layer, row in enumerate(best.tolist()) for one in row]
    figure = Figure(figsize=(0.14 * len(names) + 4, 0.14 * len(names) + 3.2), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(correlations(chosen).numpy(), cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
    axes.set_yticks(range(len(names)), names, fontsize=6)
    axes.set_title("Correlations of the most active features (layer:feature)")
    figure.colorbar(image, ax=axes, label="correlation")
    return save_figure(figure, save_path)


def visualize_feature_importance(
    transcoder: OpenCrossLayerTranscoder, texts: Sequence[str], top_n: int = 25, save_path: str | Path | None = None
) -> Figure:
    """The ``top_n`` features of all layers that write most on ``texts``: mean activation times the norm of all their decoders.

    Raises:
        UserError: for no texts, or one that cannot be read.
    """
    importance = _means(transcoder, texts).mean(0) * transcoder.decoder_norms()
    best = importance.flatten().topk(min(top_n, importance.numel()))
    places = [divmod(place, transcoder.num_features) for place in best.indices.tolist()]
    figure = Figure(figsize=(8, 0.24 * len(places) + 1.5), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(places)), best.values.tolist(), color=colours([layer for layer, _ in places], transcoder.n_layers))
    axes.set_yticks(range(len(places)), [f"layer {layer}, feature {one}" for layer, one in places], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("mean activation times decoder norm")
    axes.set_title("The features that write most")
    return save_figure(figure, save_path)


def run_visualization_suite(transcoder: OpenCrossLayerTranscoder, texts: Sequence[str], output_dir: str | Path = "visualizations") -> dict[str, Path]:
    """Every picture of this module on ``texts``, and a page of them all, ``index.html``, in ``output_dir``.

    Returns:
        The files by their names without suffix.

    Raises:
        UserError: for fewer than two texts, or one that cannot be read; nothing is written then.
    """
    if isinstance(texts, str) or len(texts) < 2:
        raise UserError("texts must be a list of at least two texts.")
    folder = Path(output_dir)
    figures = {
        "feature_activations": transcoder.visualize_feature_activations(texts[0]),
        **{f"heatmap_layer_{layer}": visualize_feature_heatmap(transcoder, texts[0], layer) for layer in range(transcoder.n_layers)},
        "features_tsne": visualize_feature_embedding(transcoder),
        "features_pca": visualize_feature_embedding(transcoder, method="pca"),
        "texts_tsne": visualize_feature_embedding(transcoder, texts),
        "cross_layer_correlations": visualize_cross_layer_correlations(transcoder, texts),
        "feature_importance": visualize_feature_importance(transcoder, texts),
        "attribution_graph": transcoder.create_attribution_graph(texts[0]),
        "correlation_graph": transcoder.create_attribution_graph(texts[0], threshold=0.7, mode="correlation"),
    }
    files = {name: folder / f"{name}.png" for name in figures}
    for name, figure in figures.items():
        save_figure(figure, files[name])
    return files | {"index": write_page(folder)}
