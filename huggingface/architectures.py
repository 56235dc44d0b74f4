"""Where things are in each model family: one table, and the few functions that read it."""

from dataclasses import dataclass, replace
from typing import Literal

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
        attention: the self-attention, from a layer.
        q_proj, k_proj, v_proj: the projections to queries, keys and values, from the attention, where there are three.
        qkv_proj: the one projection to all of them, from the attention; None where there are three.
        qkv_order: how its outputs are ordered: "blocks" are all queries, then all keys, then all values; "heads" are a head's query, key and
            value, then the next head's.
        o_proj: the attention's output projection, from the attention.
        query_norm, key_norm: norms of each head's query and key, from the attention; None without.
        attention_norm: the norm whose output the attention reads, from a layer.
        post_attention_norm: as ``post_mlp_norm``, behind the attention.
        score_cap: the attribute of the attention that caps its scores softly; None without.
        parallel_residual: the setting of the configuration under which attention and MLP read the same residual stream; None without.
        embedding: the tokens' embedding, from the model.
        position_embedding: the learned embedding of positions, from the model; None without.
        rotary: what gives the angles by which queries and keys are rotated, from the model; None without.
        rotary_by_layer_type: whether that takes the layer's type too.
        final_norm: the last norm, from the model.
        head: the unembedding, from the model.
        logit_cap: the setting of the configuration that caps the logits softly; None without.
        norm_weight_offset: what is added to a norm's weight before it multiplies (Gemma stores w - 1).

    A wrong row does not stay unseen: the tests compute every family's layers from the row and compare, and the search for a value measures
    whether the layer writes what its row says (``compute_v``).
    """

    layers: str = "model.layers"
    mlp: str = "mlp"
    down_proj: str = "down_proj"
    mlp_norm: str = "post_attention_layernorm"
    post_mlp_norm: str | None = None
    attention: str = "self_attn"
    q_proj: str = "q_proj"
    k_proj: str = "k_proj"
    v_proj: str = "v_proj"
    qkv_proj: str | None = None
    qkv_order: Literal["blocks", "heads"] = "blocks"
    o_proj: str = "o_proj"
    query_norm: str | None = None
    key_norm: str | None = None
    attention_norm: str = "input_layernorm"
    post_attention_norm: str | None = None
    score_cap: str | None = None
    parallel_residual: str | None = None
    embedding: str = "model.embed_tokens"
    position_embedding: str | None = None
    rotary: str | None = "model.rotary_emb"
    rotary_by_layer_type: bool = False
    final_norm: str = "model.norm"
    head: str = "lm_head"
    logit_cap: str | None = None
    norm_weight_offset: float = 0.0


_LLAMA = Architecture()
_GEMMA = Architecture(norm_weight_offset=1.0)
_GEMMA_2 = replace(
    _GEMMA,
    mlp_norm="pre_feedforward_layernorm",
    post_mlp_norm="post_feedforward_layernorm",
    post_attention_norm="post_attention_layernorm",
    score_cap="attn_logit_softcapping",
    logit_cap="final_logit_softcapping",
)

ARCHITECTURES = {
    "LlamaForCausalLM": _LLAMA,
    "MistralForCausalLM": _LLAMA,
    "Qwen2ForCausalLM": _LLAMA,
    "Qwen3ForCausalLM": replace(_LLAMA, query_norm="q_norm", key_norm="k_norm"),
    "Phi3ForCausalLM": replace(_LLAMA, qkv_proj="qkv_proj"),
    "Starcoder2ForCausalLM": replace(_LLAMA, down_proj="c_proj"),
    "GemmaForCausalLM": _GEMMA,
    "Gemma2ForCausalLM": _GEMMA_2,
    # Its attention has the attribute that caps scores, and does not use it.
    "Gemma3ForCausalLM": replace(_GEMMA_2, query_norm="q_norm", key_norm="k_norm", score_cap=None, rotary_by_layer_type=True),
    "GPT2LMHeadModel": Architecture(
        layers="transformer.h",
        down_proj="c_proj",
        mlp_norm="ln_2",
        attention="attn",
        qkv_proj="c_attn",
        o_proj="c_proj",
        attention_norm="ln_1",
        embedding="transformer.wte",
        position_embedding="transformer.wpe",
        rotary=None,
        final_norm="transformer.ln_f",
    ),
    "GPTNeoXForCausalLM": Architecture(
        layers="gpt_neox.layers",
        down_proj="dense_4h_to_h",
        attention="attention",
        qkv_proj="query_key_value",
        qkv_order="heads",
        o_proj="dense",
        parallel_residual="use_parallel_residual",
        embedding="gpt_neox.embed_in",
        rotary="gpt_neox.rotary_emb",
        final_norm="gpt_neox.final_layer_norm",
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
            "where its layers, attention, MLP, norms, embedding and head are."
        )
    return ARCHITECTURES[name]


def layers_of(model: nn.Module) -> nn.ModuleList:
    """All transformer layers, in the order in which they run.

    Raises:
        UserError: if the model's row of the table names something else.
    """
    layers = submodule(model, model, path := architecture_of(model).layers)
    if not isinstance(layers, nn.ModuleList):
        raise UserError(f"The {path} of this {type(model).__name__} is no list of layers; correct the family's row in huggingface/architectures.py.")
    return layers


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
    return submodule(model, layer_of(model, layer), architecture_of(model).mlp)


def mlp_norm_of(model: nn.Module, layer: int) -> nn.Module:
    """The norm whose output a layer's MLP reads."""
    return submodule(model, layer_of(model, layer), architecture_of(model).mlp_norm)


def post_mlp_norm(model: nn.Module, layer: int) -> nn.Module:
    """What a layer does with its MLP's output before it adds it to the residual stream; mostly nothing."""
    path = architecture_of(model).post_mlp_norm
    return submodule(model, layer_of(model, layer), path) if path else nn.Identity()


def attention_of(model: nn.Module, layer: int) -> nn.Module:
    """The self-attention of a layer."""
    return submodule(model, layer_of(model, layer), architecture_of(model).attention)


def attention_norm_of(model: nn.Module, layer: int) -> nn.Module:
    """The norm whose output a layer's attention reads."""
    return submodule(model, layer_of(model, layer), architecture_of(model).attention_norm)


def post_attention_norm(model: nn.Module, layer: int) -> nn.Module:
    """What a layer does with its attention's output before it adds it to the residual stream; mostly nothing."""
    path = architecture_of(model).post_attention_norm
    return submodule(model, layer_of(model, layer), path) if path else nn.Identity()


def place_of(model: nn.Module, module: nn.Module, field: str) -> nn.Module | None:
    """What the row's ``field`` names, counted from ``module``; None where the family has no such part.

    Raises:
        UserError: if it is named but not there.
    """
    path = getattr(architecture_of(model), field)
    return submodule(model, module, path) if path else None


def is_parallel(model: nn.Module) -> bool:
    """Whether a layer's MLP reads the stream before the attention's output is added, as GPT-NeoX's does by default."""
    setting = architecture_of(model).parallel_residual
    return setting is not None and getattr(model.config, setting)


def down_projection(model: nn.Module, layer: int) -> nn.Module:
    """The projection that an edit changes: input = features or neurons, output = what the MLP writes."""
    mlp = mlp_of(model, layer)
    return mlp.down_proj if isinstance(mlp, Transcoder) else submodule(model, mlp, architecture_of(model).down_proj)


def submodule(model: nn.Module, module: nn.Module, path: str) -> nn.Module:
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
    """The projection's ``oriented_weight``, so that changing it in place changes the model.

    Raises:
        EditError: for a weight that cannot be changed in place, since it is quantised or was offloaded.
    """
    weight = projection.get_parameter("weight").detach()
    if weight.is_meta:
        raise EditError("The weight to be edited is offloaded to the disk or the CPU; use --dtype bfloat16, or a --device_map that keeps its layer.")
    if not weight.is_floating_point():
        raise EditError(f"The weight to be edited is quantised ({weight.dtype}); load the model in float32, float16 or bfloat16.")
    return oriented_weight(projection)


def oriented_weight(projection: nn.Module) -> Float[Tensor, "d_out d_in"]:
    """The projection's weight as [outputs, inputs]: a view without a gradient.

    GPT-2's Conv1D stores [inputs, outputs]; the class decides, never the shape, since a square weight looks right both ways.
    """
    weight = projection.get_parameter("weight").detach()
    return weight.T if isinstance(projection, Conv1D) else weight
