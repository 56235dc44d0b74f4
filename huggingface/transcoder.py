"""A transcoder: a sparse stand-in for one MLP, and its own file format."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor, nn

from util.files import write_atomically, write_json


@dataclass(frozen=True)
class Sites:
    """Where a transcoder reads and writes, in the names that its checkpoint uses (the table in FORMATS: *Sites*)."""

    reads: str = "mlp_in"
    writes: str = "hook_mlp_out"


class TopK(nn.Module):
    """Keeps each token's ``k`` largest positive pre-activations and sets the rest to zero."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, x: Float[Tensor, "... n_features"]) -> Float[Tensor, "... n_features"]:
        best = x.topk(self.k, dim=-1)
        return torch.zeros_like(x).scatter(-1, best.indices, best.values.relu())


class JumpReLU(nn.Module):
    """Keeps a pre-activation if it is strictly above its feature's threshold."""

    def __init__(self, threshold: Float[Tensor, " n_features"]) -> None:
        super().__init__()
        self.threshold = nn.Parameter(threshold)

    def forward(self, x: Float[Tensor, "... n_features"]) -> Float[Tensor, "... n_features"]:
        return x * (x > self.threshold)


class Transcoder(nn.Module):
    """``down_proj(activation(up_proj(x)))``, so named that code which edits ``mlp.down_proj.weight`` finds it.

    Attributes:
        up_proj: the encoder; weight [n_features, d_in], bias [n_features], any input bias folded in.
        activation: ReLU, JumpReLU or TopK; its output are the features.
        down_proj: the decoder; weight [d_out, n_features], bias [d_out].
        sites: what the checkpoint says it reads and writes.
    """

    def __init__(self, d_in: int, n_features: int, d_out: int, activation: nn.Module | None = None, sites: Sites = Sites()) -> None:
        super().__init__()
        self.up_proj = nn.Linear(d_in, n_features)
        self.activation = activation or nn.ReLU()
        self.down_proj = nn.Linear(n_features, d_out)
        self.sites = sites

    @classmethod
    def from_matrices(
        cls,
        W_enc: Float[Tensor, "d_in n_features"],
        b_enc: Float[Tensor, " n_features"],
        W_dec: Float[Tensor, "n_features d_out"],
        b_dec_out: Float[Tensor, " d_out"],
        b_dec: Float[Tensor, " d_in"] | None = None,
        activation: nn.Module | None = None,
        sites: Sites = Sites(),
    ) -> "Transcoder":
        """``activation((x - b_dec) W_enc + b_enc) W_dec + b_dec_out`` in float32, with ``b_dec`` folded into the encoder's bias."""
        transcoder = cls(*W_enc.shape, W_dec.shape[1], activation, sites)
        folded = b_enc.double() if b_dec is None else b_enc.double() - b_dec.double() @ W_enc.double()
        with torch.no_grad():
            transcoder.up_proj.weight.copy_(W_enc.T)
            transcoder.up_proj.bias.copy_(folded)
            transcoder.down_proj.weight.copy_(W_dec.T)
            transcoder.down_proj.bias.copy_(b_dec_out)
        return transcoder.requires_grad_(False)

    def forward(self, x: Float[Tensor, "... d_in"]) -> Float[Tensor, "... d_out"]:
        return self.down_proj(self.activation(self.up_proj(x)))


CONFIG_FILE, WEIGHTS_FILE = "cfg.json", "sae_weights.safetensors"


def save_transcoder(transcoder: Transcoder, folder: str | Path, **metadata: object) -> None:
    """Write a ReLU or JumpReLU transcoder to ``folder`` in SAELens 6's layout, which SAELens opens unchanged.

    Args:
        metadata: further entries of the configuration's ``metadata``, such as the model's name.
    """
    jump = isinstance(transcoder.activation, JumpReLU)
    if not jump and not isinstance(transcoder.activation, nn.ReLU):
        raise NotImplementedError(f"There is no place for a {type(transcoder.activation).__name__} in this format.")
    up, down = transcoder.up_proj, transcoder.down_proj
    config = {
        "architecture": "jumprelu_transcoder" if jump else "transcoder",
        "d_in": up.in_features,
        "d_sae": up.out_features,
        "d_out": down.out_features,
        "dtype": str(up.weight.dtype).removeprefix("torch."),
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "metadata": {"hook_name": transcoder.sites.reads, "hook_name_out": transcoder.sites.writes, **metadata},
    }
    tensors = {"W_enc": up.weight.T, "b_enc": up.bias, "W_dec": down.weight.T, "b_dec": down.bias}
    if jump:
        tensors["threshold"] = transcoder.activation.threshold
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(Path(folder) / WEIGHTS_FILE, lambda path: save_file(tensors, path))
    write_json(Path(folder) / CONFIG_FILE, config)
