"""A transcoder by the name that transcoder_circuits gives it, with that project's names of its matrices."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from huggingface.loaders import load_transcoder
from huggingface.transcoder import Transcoder


class SparseAutoencoder(Transcoder):
    """A transcoder, despite the name, which stems from the code that transcoder_circuits began with.

    The matrices are views of the weights; an input bias is folded into ``b_enc``.
    """

    @classmethod
    def load_from_pretrained(cls, path: str | Path) -> "SparseAutoencoder":
        """The transcoder of a checkpoint in any format that is known; nothing in it is executed.

        Raises:
            CheckpointError: if it cannot be read.
        """
        loaded = load_transcoder(path)
        with torch.device("meta"):
            own = cls(loaded.d_in, loaded.n_features, loaded.d_out, loaded.activation, loaded.sites, loaded.skip is not None)
        own.load_state_dict(loaded.state_dict(), assign=True)
        return own.requires_grad_(False)

    @property
    def W_enc(self) -> Float[Tensor, "d_in n_features"]:
        """The encoder."""
        return self.up_proj.weight.T

    @property
    def b_enc(self) -> Float[Tensor, " n_features"]:
        """Its bias."""
        return self.up_proj.bias

    @property
    def W_dec(self) -> Float[Tensor, "n_features d_out"]:
        """The decoder."""
        return self.down_proj.weight.T

    @property
    def b_dec_out(self) -> Float[Tensor, " d_out"]:
        """Its bias."""
        return self.down_proj.bias
