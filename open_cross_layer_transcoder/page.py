"""One page of all pictures in a folder."""

import re
from base64 import b64encode
from html import escape
from pathlib import Path

from util.files import write_text

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 92rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
figure {{ margin: 2rem 0 }}
img {{ max-width: 100%; border: 1px solid #ddd }}
figcaption b {{ display: block }}
pre {{ white-space: pre-wrap; background: #f6f6f6; padding: .7rem }}
</style></head><body><h1>{title}</h1>{text}{figures}</body></html>
"""


CAPTIONS = {
    "attribution_graph": "The features (circles, with their numbers) and tokens that weigh most on the likeliest next token: a line is what one "
    "adds to another above it, green for it and red against it, and larger marks weigh more.",
    "comparison": "How near the logits of the model with its MLPs replaced are to the original's, token by token, and what both write on.",
    "correlation_graph": "Which active features of neighbouring layers rise and fall together over the tokens; a line says nothing of cause.",
    "cross_layer_correlations": "How far each two of the layers' most active features rise (red) or fall (blue) together over all texts.",
    "feature_activations": "Where in the first text each layer's most active features fire; the brighter, the stronger.",
    "feature_importance": "The features that write most into the MLPs' outputs over all texts.",
    "features_pca": "Each point is a feature; near ones write alike into the last layer, in the two directions in which features differ most.",
    "features_tsne": "Each point is a feature; t-SNE puts those together that write alike into the last layer, and far distances mean nothing.",
    "heatmap_layer": "Where in the first text this layer's most active features (rows, by their numbers) fire.",
    "texts_tsne": "Each point is a text; near ones make the same features fire.",
}
"""What each picture of ``run_visualization_suite`` and ``practice_run`` shows."""


def caption(stem: str) -> str:
    """What the picture of this name shows; "" for others."""
    return CAPTIONS.get(re.sub(r"(?<=^heatmap_layer)_\d+$", "", stem), "")


def write_page(folder: Path, title: str = "Cross-layer transcoder", notes: str = "") -> Path:
    """Write ``index.html`` with every PNG in ``folder``, which it holds itself, and ``notes`` before them.

    Returns:
        Where it is.

    Raises:
        UserError: if it cannot be written.
    """
    figures = [
        f"<figure><figcaption><b>{escape(path.stem.replace('_', ' '))}</b> {escape(caption(path.stem))}</figcaption>"
        f'<img alt="{escape(path.stem)}" src="data:image/png;base64,{b64encode(path.read_bytes()).decode()}"></figure>'
        for path in sorted(folder.glob("*.png"))
    ]
    text = f"<pre>{escape(notes)}</pre>" if notes else ""
    write_text(folder / "index.html", _PAGE.format(title=escape(title), text=text, figures="\n".join(figures)))
    return folder / "index.html"
