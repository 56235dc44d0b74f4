"""Where things are in each model family: one table, and the few functions that read it."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from huggingface.transcoder import Transcoder
from util.errors import EditError, UserError


@dataclass(frozen=True)
class Architecture:
    """Places in a causal language model, as attribute paths.

    Attributes:
        layers: the list of transformer layers, from the model.
        mlp: the MLP, from a layer.
        down_proj: the MLP's output projection, from the MLP; its input is the key and its output the value of an edit.
        mlp_norm: the norm whose output the MLP reads, from a layer.
        post_mlp_norm: a norm between the MLP and the residual stream, from a layer; None where the MLP's output is added as it is.
        final_norm: the last norm, from the model.
        head: the unembedding, from the model.
        norm_weight_offset: what is added to ``mlp_norm``'s weight before it multiplies (Gemma stores w - 1).

    A wrong row does not stay unseen: the search for a value measures whether the layer writes what its row says (``compute_v``).
    """

    layers: str = "model.layers"
    mlp: str = "mlp"
    down_proj: str = "down_proj"
    mlp_norm: str = "post_attention_layernorm"
    final_norm: str = "model.norm"
    head: str = "lm_head"
    norm_weight_offset: float = 0.0
    post_mlp_norm: str | None = None


_GEMMA = Architecture(mlp_norm="pre_feedforward_layernorm", norm_weight_offset=1.0, post_mlp_norm="post_feedforward_layernorm")

ARCHITECTURES = {
    "LlamaForCausalLM": Architecture(),
    "MistralForCausalLM": Architecture(),
    "Qwen2ForCausalLM": Architecture(),
    "Qwen3ForCausalLM": Architecture(),
    "Phi3ForCausalLM": Architecture(),
    "Starcoder2ForCausalLM": Architecture(down_proj="c_proj"),
    "GemmaForCausalLM": Architecture(norm_weight_offset=1.0),
    "Gemma2ForCausalLM": _GEMMA,
    "Gemma3ForCausalLM": _GEMMA,
    "GPT2LMHeadModel": Architecture("transformer.h", "mlp", "c_proj", "ln_2", "transformer.ln_f"),
    "GPTNeoXForCausalLM": Architecture("gpt_neox.layers", down_proj="dense_4h_to_h", final_norm="gpt_neox.final_layer_norm"),
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


def layers_of(model: nn.Module) -> nn.ModuleList:
    """All transformer layers, in the order in which they run."""
    return _place(model, model, architecture_of(model).layers)


def layer_of(model: nn.Module, layer: int) -> nn.Module:
    """Transformer layer number ``layer``, counted from 0.

    Raises:
        UserError: if the model has no such layer.
    """
    layers = layers_of(model)
    if not 0 <= layer < len(layers):
        raise UserError(f"The model has no layer {layer}: its layers are 0 to {len(layers) - 1}; give another --layer_num.")
    return layers[layer]


def mlp_of(model: nn.Module, layer: int) -> nn.Module:
    """The MLP of a layer, or the transcoder that was spliced in its place."""
    return _place(model, layer_of(model, layer), architecture_of(model).mlp)


def post_mlp_norm(model: nn.Module, layer: int) -> nn.Module:
    """What a layer does with its MLP's output before it adds it to the residual stream; mostly nothing."""
    path = architecture_of(model).post_mlp_norm
    return _place(model, layer_of(model, layer), path) if path else nn.Identity()


def down_projection(model: nn.Module, layer: int) -> nn.Module:
    """The projection that an edit changes: input = features or neurons, output = what the MLP writes."""
    mlp = mlp_of(model, layer)
    return mlp.down_proj if isinstance(mlp, Transcoder) else _place(model, mlp, architecture_of(model).down_proj)


def _place(model: nn.Module, module: nn.Module, path: str) -> nn.Module:
    """The submodule of ``module`` at ``path``.

    Raises:
        UserError: if it is not there, as in a variant of the family that the table does not know.
    """
    try:
        return module.get_submodule(path)
    except AttributeError as error:
        raise UserError(
            f"The {type(module).__name__} of this {type(model).__name__} has no {path}; correct the family's row in huggingface/architectures.py."
        ) from error


def decoder_weight(projection: nn.Module) -> Float[Tensor, "d_out d_in"]:
    """The projection's weight as [outputs, inputs]: a view, so changing it in place changes the model.

    GPT-2's Conv1D stores [inputs, outputs]; the class decides, never the shape, since a square weight looks right both ways.

    Raises:
        EditError: for a weight that cannot be changed in place, since it is quantised or was offloaded.
    """
    weight = projection.weight.detach()
    if weight.is_meta:
        raise EditError("The weight to be edited is offloaded to the disk or the CPU; use --dtype bfloat16, or a --device_map that keeps its layer.")
    if not weight.is_floating_point():
        raise EditError(f"The weight to be edited is quantised ({weight.dtype}); load the model in float32, float16 or bfloat16.")
    return weight.T if isinstance(projection, Conv1D) else weight
