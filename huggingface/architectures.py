"""Where things are in each model family: one table, and the few functions that read it."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from util.errors import UserError


@dataclass(frozen=True)
class Architecture:
    """Places in a causal language model, as attribute paths.

    Attributes:
        layers: the list of transformer layers, from the model.
        mlp: the MLP, from a layer.
        down_proj: the MLP's output projection, from the MLP; its input is the key and its output the value of an edit.
        mlp_norm: the norm whose output the MLP reads, from a layer.
        final_norm: the last norm, from the model.
        head: the unembedding, from the model.
        norm_weight_offset: what is added to ``mlp_norm``'s weight before it multiplies (Gemma stores w - 1).
    """

    layers: str = "model.layers"
    mlp: str = "mlp"
    down_proj: str = "down_proj"
    mlp_norm: str = "post_attention_layernorm"
    final_norm: str = "model.norm"
    head: str = "lm_head"
    norm_weight_offset: float = 0.0


ARCHITECTURES = {
    "LlamaForCausalLM": Architecture(),
    "MistralForCausalLM": Architecture(),
    "Qwen2ForCausalLM": Architecture(),
    "Gemma2ForCausalLM": Architecture(mlp_norm="pre_feedforward_layernorm", norm_weight_offset=1.0),
    "GPT2LMHeadModel": Architecture("transformer.h", "mlp", "c_proj", "ln_2", "transformer.ln_f"),
    "GPTNeoXForCausalLM": Architecture(
        "gpt_neox.layers", "mlp", "dense_4h_to_h", "post_attention_layernorm", "gpt_neox.final_layer_norm"
    ),
}


def architecture_of(model: nn.Module) -> Architecture:
    """The model's row of the table.

    Raises:
        UserError: for a family that is not in the table.
    """
    name = type(model).__name__
    if name not in ARCHITECTURES:
        raise UserError(
            f"{name} is no known architecture (known: {', '.join(ARCHITECTURES)}); add a row to huggingface/architectures.py that says "
            "where its layers, MLP, down projection, norms and head are."
        )
    return ARCHITECTURES[name]


def layer_of(model: nn.Module, layer: int) -> nn.Module:
    """Transformer layer number ``layer``, counted from 0.

    Raises:
        UserError: if the model has no such layer.
    """
    layers = model.get_submodule(architecture_of(model).layers)
    if not 0 <= layer < len(layers):
        raise UserError(f"The model has no layer {layer}: its layers are 0 to {len(layers) - 1}; give another --layer_num.")
    return layers[layer]


def mlp_of(model: nn.Module, layer: int) -> nn.Module:
    """The MLP of a layer, or the transcoder that was spliced in its place."""
    return layer_of(model, layer).get_submodule(architecture_of(model).mlp)


def set_mlp(model: nn.Module, layer: int, module: nn.Module) -> None:
    """Put ``module`` where the MLP of a layer is."""
    layer_of(model, layer).set_submodule(architecture_of(model).mlp, module)


def down_projection(model: nn.Module, layer: int) -> nn.Module:
    """The projection that an edit changes: input = features or neurons, output = what the layer adds to the stream."""
    mlp = mlp_of(model, layer)
    # A spliced transcoder calls it down_proj in every family.
    return mlp.down_proj if hasattr(mlp, "down_proj") else mlp.get_submodule(architecture_of(model).down_proj)


def decoder_weight(projection: nn.Module) -> Float[Tensor, "d_out d_in"]:
    """The projection's weight as [outputs, inputs]: a view, so changing it in place changes the model.

    GPT-2's Conv1D stores [inputs, outputs]; the class decides, never the shape, since a square weight looks right both ways.
    """
    weight = projection.weight.detach()
    return weight.T if isinstance(projection, Conv1D) else weight
