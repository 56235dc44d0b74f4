"""A transcoder: a sparse stand-in for one MLP, and its own file format. A sparse autoencoder is one that writes where it reads."""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor, nn

from util.files import write_atomically, write_description


@dataclass(frozen=True)
class Sites:
    """Where a transcoder reads and writes, in the names that its checkpoint uses; ``huggingface/sites.py`` says what they mean."""

    reads: str = "mlp_in"
    writes: str = "mlp_out"


    @property
    def autoencoder(self) -> bool:
        """Whether what is read is what is to be written."""
        return self.reads == self.writes


class TopK(nn.Module):
    """Keeps each token's ``k`` largest pre-activations and sets the rest to zero.

    Attributes:
        k: at most this many features of a token are active.
        relu: whether negative ones among the ``k`` are set to zero too; circuit-tracer keeps them.
    """

    def __init__(self, k: int, relu: bool = True) -> None:
        super().__init__()
        self.k, self.relu = k, relu

    def forward(self, x: Float[Tensor, "... n_features"]) -> Float[Tensor, "... n_features"]:
        best = x.topk(self.k, dim=-1)
        return torch.zeros_like(x).scatter(-1, best.indices, best.values.relu() if self.relu else best.values)


class JumpReLU(nn.Module):
    """Keeps a pre-activation if it is strictly above its feature's threshold."""

    def __init__(self, threshold: Float[Tensor, " n_features"]) -> None:
        super().__init__()
        self.threshold = nn.Parameter(threshold)

    def forward(self, x: Float[Tensor, "... n_features"]) -> Float[Tensor, "... n_features"]:
        return x * (x > self.threshold)


class Transcoder(nn.Module):
    """``down_proj(activation(up_proj(x))) + skip(x)``, so named that code which edits ``mlp.down_proj.weight`` finds it.

    Attributes:
        up_proj: the encoder; weight [n_features, d_in], bias [n_features], any input bias folded in.
        activation: ReLU, JumpReLU or TopK; its output are the features.
        down_proj: the decoder; weight [d_out, n_features], bias [d_out].
        skip: None, or the linear path beside the features; weight [d_out, d_in] (https://arxiv.org/abs/2501.18823).
        sites: what the checkpoint says it reads and writes.
    """

    def __init__(
        self, d_in: int, n_features: int, d_out: int, activation: nn.Module | None = None, sites: Sites = Sites(), skip: bool = False
    ) -> None:
        super().__init__()
        self.up_proj = nn.Linear(d_in, n_features)
        self.activation = activation or nn.ReLU()
        self.down_proj = nn.Linear(n_features, d_out)
        self.skip = nn.Linear(d_in, d_out, bias=False) if skip else None
        self.sites = sites

    @classmethod
    def from_matrices(
        cls,
        W_enc: Float[Tensor, "d_in n_features"],
        b_enc: Float[Tensor, " n_features"],
        W_dec: Float[Tensor, "n_features d_out"],
        b_dec_out: Float[Tensor, " d_out"],
        b_dec: Float[Tensor, " d_in"] | None = None,
        W_skip: Float[Tensor, "d_out d_in"] | None = None,
        activation: nn.Module | None = None,
        sites: Sites = Sites(),
    ) -> "Transcoder":
        """``activation((x - b_dec) W_enc + b_enc) W_dec + b_dec_out + W_skip x`` in float32, with ``b_dec`` folded into the encoder's bias.

        A float32 matrix whose memory is laid out as the layer's weight is taken over, not copied.
        """
        with torch.device("meta"):
            transcoder = cls(len(W_enc), len(W_dec), W_dec.shape[1], sites=sites, skip=W_skip is not None)
        transcoder.activation = activation or nn.ReLU()
        bias = b_enc if b_dec is None else b_enc.double() - b_dec.double() @ W_enc.double()
        tensors = {"up_proj.weight": W_enc.T, "up_proj.bias": bias, "down_proj.weight": W_dec.T, "down_proj.bias": b_dec_out}
        if W_skip is not None:
            tensors["skip.weight"] = W_skip
        tensors = {name: tensor.detach().float().contiguous() for name, tensor in tensors.items()}
        transcoder.load_state_dict(transcoder.activation.state_dict(prefix="activation.") | tensors, assign=True)
        return transcoder.requires_grad_(False)

    def copy_to(self, device: torch.device | str, dtype: torch.dtype) -> "Transcoder":
        """An independent copy on ``device`` in ``dtype``, without another copy on the way."""
        tensors = {name: tensor.to(device, dtype, copy=True) for name, tensor in self.state_dict().items()}
        # With each parameter entered as its own copy, deepcopy leaves the parameters alone.
        shared = copy.deepcopy(self, {id(parameter): parameter for parameter in self.parameters()})
        shared.load_state_dict(tensors, assign=True)
        return shared.requires_grad_(False)

    @property
    def d_in(self) -> int:
        """Width of what is read."""
        return self.up_proj.in_features

    @property
    def n_features(self) -> int:
        """Number of features."""
        return self.up_proj.out_features

    @property
    def d_out(self) -> int:
        """Width of what is written."""
        return self.down_proj.out_features

    def encode(self, x: Float[Tensor, "... d_in"]) -> Float[Tensor, "... n_features"]:
        """The features' activations."""
        return self.activation(self.up_proj(x))

    def decode(self, features: Float[Tensor, "... n_features"], x: Float[Tensor, "... d_in"] | None = None) -> Float[Tensor, "... d_out"]:
        """What is written for ``features``.

        Args:
            x: what was read; only a transcoder with a linear path beside the features needs it.

        Raises:
            ValueError: if that path is there and ``x`` is not.
        """
        decoded = self.down_proj(features)
        if self.skip is None:
            return decoded
        if x is None:
            raise ValueError("This transcoder has a linear path beside its features: decode needs what it read.")
        return decoded + self.skip(x)

    def forward(self, x: Float[Tensor, "... d_in"]) -> Float[Tensor, "... d_out"]:
        return self.decode(self.encode(x), x)


CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae_weights.safetensors"
TOPK_WEIGHTS_FILE = "sae.safetensors"


def _saelens_architecture(transcoder: Transcoder) -> str:
    """SAELens's name of what this is."""
    jump = isinstance(transcoder.activation, JumpReLU)
    if transcoder.sites.autoencoder:
        return "jumprelu" if jump else "topk" if isinstance(transcoder.activation, TopK) else "standard"
    return f"{'jumprelu_' if jump else ''}{'skip_' if transcoder.skip is not None else ''}transcoder"


def save_transcoder(transcoder: Transcoder, folder: str | Path, **metadata: object) -> None:
    """Write a transcoder to ``folder`` in a layout that another library opens unchanged.

    That is SAELens 6's, but EleutherAI sparsify's for TopK transcoders, which SAELens has none of.

    Args:
        metadata: further entries of the configuration's ``metadata``, such as the model's name.
    """
    up, down, activation = transcoder.up_proj, transcoder.down_proj, transcoder.activation
    jump, topk = activation if isinstance(activation, JumpReLU) else None, activation if isinstance(activation, TopK) else None
    if (jump and (jump.threshold < 0).any()) or (topk and (not topk.relu or up.in_features != down.out_features)):
        raise NotImplementedError("Features below zero, and TopK between different widths, have no place in these formats.")
    encodes = transcoder.sites.autoencoder
    if encodes and transcoder.skip is not None:
        raise NotImplementedError("An autoencoder with a linear path beside its features has no place in these formats.")
    metadata = {"hook_name": transcoder.sites.reads, **({} if encodes else {"hook_name_out": transcoder.sites.writes}), **metadata}
    if topk and not encodes:
        file = TOPK_WEIGHTS_FILE
        config = {
            "activation": "topk",
            "expansion_factor": up.out_features // up.in_features,
            "normalize_decoder": False,
            "num_latents": up.out_features,
            "k": topk.k,
            "multi_topk": False,
            "skip_connection": transcoder.skip is not None,
            "transcode": True,
            "d_in": up.in_features,
            "metadata": metadata,
        }
        tensors = {"encoder.weight": up.weight, "encoder.bias": up.bias, "W_dec": down.weight.T, "b_dec": down.bias}
    else:
        file = WEIGHTS_FILE
        config = {
            "architecture": _saelens_architecture(transcoder),
            "d_in": up.in_features,
            "d_sae": up.out_features,
            **({"reshape_activations": "none"} if encodes else {"d_out": down.out_features}),
            **({"k": activation.k, "rescale_acts_by_decoder_norm": False} if topk else {}),
            "dtype": str(up.weight.dtype).removeprefix("torch."),
            "device": "cpu",
            "apply_b_dec_to_input": False,
            "normalize_activations": "none",
            # Without a version, SAELens takes the file for an older one and loses the rest of the metadata.
            "metadata": {"sae_lens_version": "6.0.0", **metadata},
        }
        tensors = {"W_enc": up.weight.T, "b_enc": up.bias, "W_dec": down.weight.T, "b_dec": down.bias}
        if jump:
            tensors["threshold"] = jump.threshold
    if transcoder.skip is not None:
        tensors["W_skip"] = transcoder.skip.weight
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(Path(folder) / file, lambda path: save_file(tensors, path))
    write_description(Path(folder) / CONFIG_FILE, config, Path(folder) / file)
