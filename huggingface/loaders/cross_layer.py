"""Cross-layer transcoders: our folders, circuit-tracer's and crosslayer-coding's."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from huggingface.architectures import layers_of
from huggingface.cross_layer_transcoder import MODEL_KIND, WEIGHTS_FILE, Activation, CrossLayerTranscoder, LayerTensors
from huggingface.loaders.checks import check_digest, check_tensors, checked_k, named_sites, read_config, read_safetensors, setting, shown
from huggingface.loaders.circuit_tracer import CONFIG, HOOKS
from huggingface.transcoder import CONFIG_FILE, Sites
from util.errors import CheckpointError
from util.files import write_atomically, write_json, write_text

CODING_WEIGHTS = ("model.safetensors", "clt.safetensors")
"""Names that the weights have in crosslayer-coding's folders."""

_PARTS = {"W_enc": ("n_features", "d_model"), "b_enc": ("n_features",), "b_dec": ("d_model",), "threshold": ("n_features",)}
_DAMAGED = "fetch or save it again"


def matches(path: Path) -> bool:
    """Whether ``path`` is a folder that only ``load_cross_layer`` can read."""
    if any(path.glob("W_enc_*.safetensors")) or (path / WEIGHTS_FILE).is_file():
        return True
    return (path / CONFIG_FILE).is_file() and any((path / name).is_file() for name in CODING_WEIGHTS)


def load_cross_layer(path: str | Path, dtype: torch.dtype | None = torch.float32) -> CrossLayerTranscoder:
    """Read a cross-layer transcoder of any known format; no code of a checkpoint runs.

    Known are ours (``cfg.json``, ``cross_layer.safetensors``), circuit-tracer's (``config.yaml``, ``W_enc_{l}.safetensors``,
    ``W_dec_{l}.safetensors``; weights stay in the files until they are used, if they have ``dtype``) and crosslayer-coding's (``cfg.json``,
    ``model.safetensors`` or ``clt.safetensors``).

    Args:
        dtype: of the weights; None for that in which they are stored.

    Raises:
        CheckpointError: if nothing is there, the format is not known, or files, settings or tensors do not fit together.
    """
    path = Path(path)
    try:
        is_folder = path.is_dir()
    except OSError:  # such as a name that is too long
        is_folder = False
    if not is_folder:
        raise CheckpointError(f"There is no folder {path}; give that of a cross-layer transcoder.")
    if any(path.glob("W_enc_*.safetensors")) or any(path.glob("W_dec_*.safetensors")):
        transcoder = _load_circuit_tracer(path)
    elif (path / CONFIG_FILE).is_file() and any((path / name).is_file() for name in CODING_WEIGHTS):
        transcoder = _load_coding(path)
    elif (path / CONFIG_FILE).is_file() or (path / WEIGHTS_FILE).is_file():
        transcoder = _load_ours(path)
    else:
        raise CheckpointError(
            f"{path} holds no cross-layer transcoder; give a folder with {CONFIG_FILE} and {WEIGHTS_FILE} (ours) or {CODING_WEIGHTS[0]} "
            "(crosslayer-coding), or one with W_enc_0.safetensors and W_dec_0.safetensors (circuit-tracer)."
        )
    return transcoder if dtype is None else transcoder.to(dtype)


def check_fits_model(transcoder: CrossLayerTranscoder, model: PreTrainedModel) -> None:
    """Refuse a transcoder of a model with another number of layers or another width.

    Raises:
        CheckpointError: naming both.
    """
    there, found = (len(layers_of(model)), model.config.hidden_size), (transcoder.n_layers, transcoder.d_model)
    if there != found:
        raise CheckpointError(
            f"The cross-layer transcoder is for {found[0]} layers of width {found[1]}, but the model has {there[0]} of width {there[1]}; give "
            "the model's own."
        )


def _load_ours(path: Path) -> CrossLayerTranscoder:
    file, weights = path / CONFIG_FILE, path / WEIGHTS_FILE
    config = read_config(file)
    if not isinstance(config, Mapping) or config.get("model_kind") != MODEL_KIND:
        raise CheckpointError(f"{file} does not say that this is a {MODEL_KIND}; give the folder of one.")
    sizes = {key: setting(file, config, key, int) for key in ("n_layers", "n_features", "d_model")}
    activation = _activation(file, config)
    tensors = read_safetensors(weights)
    dimensions: dict[str, tuple[str, ...]] = {"scale_in": ("n_layers",), "scale_out": ("n_layers",)}
    if not 1 <= sizes["n_layers"] <= len(tensors):
        raise CheckpointError(f"{file} says n_layers {sizes['n_layers']}, which the tensors of {weights.name} are not; {_DAMAGED}.")
    for layer in range(sizes["n_layers"]):
        dimensions |= {f"{part}.{layer}": names for part, names in _PARTS.items() if part != "threshold" or activation == "jumprelu"}
        dimensions[f"W_dec.{layer}"] = ("n_features", f"layers from {layer} on", "d_model")
        sizes[f"layers from {layer} on"] = sizes["n_layers"] - layer
    check_tensors(weights, tensors, dimensions, sizes)
    check_digest(file, config, weights)
    if not (tensors["scale_in"] > 0).all() or not (tensors["scale_out"] > 0).all():
        raise CheckpointError(f"{weights} has scales that are not above 0; {_DAMAGED}.")
    return CrossLayerTranscoder(
        [_layer(tensors, layer, activation) for layer in range(sizes["n_layers"])],
        tensors["scale_in"],
        tensors["scale_out"],
        activation,
        checked_k(file, setting(file, config, "k", int), sizes["n_features"]) if activation == "topk" else None,
        Sites(setting(file, config, "reads", str), setting(file, config, "writes", str)),
        setting(file, config, "first_token", bool),
        setting(file, config, "metadata", dict),
    )


def _activation(file: Path, config: Any, key: str = "activation") -> Activation:
    name = setting(file, config, key, str)
    known: tuple[Activation, ...] = ("relu", "jumprelu", "topk")
    for activation in known:
        if name == activation:
            return activation
    raise CheckpointError(f"{file} has the {key} {shown(name)}; known are {', '.join(known)}.")


def _layer(tensors: Mapping[str, Tensor], layer: int, activation: str) -> LayerTensors:
    named = {part: tensors[f"{part}.{layer}"] for part in ("W_enc", "b_enc", "W_dec", "b_dec")}
    return LayerTensors(**named, threshold=tensors[f"threshold.{layer}"] if activation == "jumprelu" else None)


def _load_circuit_tracer(path: Path) -> CrossLayerTranscoder:
    """Layers from 0 on; a file of each for the encoder, both biases and the thresholds, and one for its decoders."""
    file, config = path / CONFIG, {}
    if file.is_file():
        config = read_config(file)
        if (kind := setting(file, config, "model_kind", str)) != MODEL_KIND:
            raise CheckpointError(f"{file} says that this is a {shown(kind)}, not a {MODEL_KIND}; give the folder of one.")
    n_layers = len(list(path.glob("W_enc_*.safetensors")))
    if (decoders := len(list(path.glob("W_dec_*.safetensors")))) != n_layers:
        raise CheckpointError(f"{path} has encoders of {n_layers} layers and decoders of {decoders}; it is not whole, fetch it again.")
    layers: list[LayerTensors] = []
    sizes: dict[str, int] = {}
    for layer in range(n_layers):
        parts = {name: path / f"{name}_{layer}.safetensors" for name in ("W_enc", "W_dec")}
        read = {name: read_safetensors(weights) for name, weights in parts.items()}
        jump = f"threshold_{layer}" in read["W_enc"]
        names = [part for part in _PARTS if part != "threshold" or jump]
        check_tensors(parts["W_enc"], read["W_enc"], {f"{part}_{layer}": _PARTS[part] for part in names}, sizes)
        sizes |= dict(zip(_PARTS["W_enc"], read["W_enc"][f"W_enc_{layer}"].shape))
        wanted = {f"W_dec_{layer}": ("n_features", "targets", "d_model")}
        check_tensors(parts["W_dec"], read["W_dec"], wanted, sizes | {"targets": n_layers - layer})
        if layer and jump != (layers[0].threshold is not None):
            raise CheckpointError(f"Some layers of {path} have thresholds and others none; it is not whole, fetch it again.")
        both = read["W_enc"] | read["W_dec"]
        tensors = {part: both[f"{part}_{layer}"] for part in ("W_enc", "b_enc", "W_dec", "b_dec")}
        layers.append(LayerTensors(**tensors, threshold=both.get(f"threshold_{layer}")))
    sites = named_sites(file, config, ("feature_input_hook", "feature_output_hook"), Sites("hook_resid_mid", "hook_mlp_out"))
    ones = torch.ones(n_layers)
    activation: Activation = "relu" if layers[0].threshold is None else "jumprelu"
    metadata = {"model_name": config.get("model_name")}
    return CrossLayerTranscoder(layers, ones, ones.clone(), activation, sites=sites, metadata=metadata)


def save_circuit_tracer(transcoder: CrossLayerTranscoder, folder: str | Path, model_name: str) -> None:
    """Write a folder that circuit-tracer's ``load_clt`` and ``load_transcoders`` read; scales are folded into the weights.

    Raises:
        CheckpointError: for topk, which its cross-layer transcoders do not know.
    """
    if transcoder.activation == "topk":
        raise CheckpointError("circuit-tracer's cross-layer transcoders are relu or jumprelu; topk has no place in its layout.")
    folder = Path(folder)
    for layer, tensors in enumerate(transcoder.folded().layers()):
        named = {f"{part}_{layer}": value for part, value in tensors._asdict().items() if value is not None}
        decoders = {f"W_dec_{layer}": named.pop(f"W_dec_{layer}")}
        for name, group in ((f"W_enc_{layer}", named), (f"W_dec_{layer}", decoders)):
            stored = {key: value.detach().cpu().contiguous() for key, value in group.items()}
            write_atomically(folder / f"{name}.safetensors", lambda path, stored=stored: save_file(stored, path))  # type: ignore[misc]
    reads, writes = (HOOKS.get(name, name) for name in (transcoder.sites.reads, transcoder.sites.writes))
    config = {"model_name": model_name, "model_kind": MODEL_KIND, "feature_input_hook": reads, "feature_output_hook": writes}
    write_text(folder / CONFIG, yaml.safe_dump(config, sort_keys=False))


_ENCODER = "encoder_module.encoders.{}."
_DECODER = "decoder_module.decoders.{}->{}."
_THRESHOLD = "theta_manager.log_threshold"


def _load_coding(path: Path) -> CrossLayerTranscoder:
    """A decoder for each pair of layers [d_model, n_features], each with a bias; the logarithms of all thresholds in one tensor."""
    file, weights = path / CONFIG_FILE, next(path / name for name in CODING_WEIGHTS if (path / name).is_file())
    config = read_config(file)
    sizes = {name: setting(file, config, key, int) for name, key in (("n", "num_layers"), ("n_features", "num_features"), ("d_model", "d_model"))}
    activation = _activation(file, config, "activation_fn")
    if (method := config.get("normalization_method", "none")) not in ("none", None):
        raise CheckpointError(f"{file} normalises activations ({shown(method)}) by numbers that are not in it; fold them into the weights first.")
    tensors = {re.sub(r"bias_param$", "bias", name): tensor for name, tensor in read_safetensors(weights).items()}
    n_layers = sizes.pop("n")
    if not 1 <= n_layers <= len(tensors):
        raise CheckpointError(f"{file} says num_layers {n_layers}, which the tensors of {weights.name} are not; {_DAMAGED}.")
    dimensions: dict[str, tuple[str, ...]] = {}
    for layer in range(n_layers):
        dimensions |= {_ENCODER.format(layer) + "weight": ("n_features", "d_model"), _ENCODER.format(layer) + "bias": ("n_features",)}
        for target in range(layer, n_layers):
            dimensions[_DECODER.format(layer, target) + "weight"] = ("d_model", "n_features")
            dimensions[_DECODER.format(layer, target) + "bias"] = ("d_model",)
    optional = [name for name in tensors if name.endswith(".bias") and name in dimensions]
    required = {name: dims for name, dims in dimensions.items() if not name.endswith(".bias") or name in optional}
    if activation == "jumprelu":
        required[_THRESHOLD] = ("n_layers", "n_features")
    buffers = {name for name in tensors if name.startswith("theta_manager.") and name != _THRESHOLD}
    check_tensors(weights, {name: tensor for name, tensor in tensors.items() if name not in buffers}, required, sizes | {"n_layers": n_layers})
    thresholds = tensors[_THRESHOLD].exp() if activation == "jumprelu" else None
    if thresholds is not None and not thresholds.isfinite().all():
        raise CheckpointError(f"{_THRESHOLD} of {weights} has the logarithm of a threshold that is infinite; {_DAMAGED}.")
    zeros = {"n_features": torch.zeros(sizes["n_features"]), "d_model": torch.zeros(sizes["d_model"])}
    layers = [
        LayerTensors(
            tensors[_ENCODER.format(layer) + "weight"],
            tensors.get(_ENCODER.format(layer) + "bias", zeros["n_features"]),
            torch.stack([tensors[_DECODER.format(layer, target) + "weight"].T for target in range(layer, n_layers)], 1),
            torch.stack([tensors.get(_DECODER.format(source, layer) + "bias", zeros["d_model"]) for source in range(layer + 1)]).sum(0),
            None if thresholds is None else thresholds[layer],
        )
        for layer in range(n_layers)
    ]
    k = checked_k(file, setting(file, config, "topk_k", int), sizes["n_features"]) if activation == "topk" else None
    ones, sites = torch.ones(n_layers), Sites("resid_mid", "mlp_out")
    return CrossLayerTranscoder(layers, ones, ones.clone(), activation, k, sites, metadata={"model_name": config.get("model_name")})


def save_coding(transcoder: CrossLayerTranscoder, folder: str | Path, model_name: str) -> None:
    """Write a folder in crosslayer-coding's layout; scales are folded into the weights, and output biases lie in a layer's own decoder."""
    tensors: dict[str, Tensor] = {}
    for layer, (W_enc, b_enc, W_dec, b_dec, threshold) in enumerate(transcoder.folded().layers()):
        tensors |= {_ENCODER.format(layer) + "weight": W_enc, _ENCODER.format(layer) + "bias_param": b_enc}
        for target in range(layer, transcoder.n_layers):
            tensors[_DECODER.format(layer, target) + "weight"] = W_dec[:, target - layer].T
            tensors[_DECODER.format(layer, target) + "bias_param"] = b_dec if target == layer else torch.zeros_like(b_dec)
        if threshold is not None and not (threshold > 0).all():
            raise CheckpointError("crosslayer-coding keeps the logarithms of thresholds, so that all must be above 0; its layout cannot say others.")
    if transcoder.activation == "jumprelu":
        tensors[_THRESHOLD] = torch.stack(list(transcoder.threshold)).log()
    config = {
        "num_features": transcoder.n_features,
        "num_layers": transcoder.n_layers,
        "d_model": transcoder.d_model,
        "model_name": model_name,
        "activation_fn": transcoder.activation,
        "normalization_method": "none",
        **({"topk_k": transcoder.k} if transcoder.activation == "topk" else {}),
    }
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(Path(folder) / CODING_WEIGHTS[0], lambda path: save_file(stored, path))
    write_json(Path(folder) / CONFIG_FILE, config)
