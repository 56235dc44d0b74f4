"""circuit-tracer's graph of a prompt, for ``benchmarks.attribution_graphs``: a script of its own, since it needs older packages than this project.

usage: PYTHON -m benchmarks.circuit_tracer_side FOLDER        with the Python that circuit-tracer is installed in
"""

import json
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def main() -> None:
    from circuit_tracer.attribution.attribute import attribute
    from circuit_tracer.replacement_model.replacement_model_transformerlens import TransformerLensReplacementModel
    from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder, TranscoderSet
    from transformer_lens import HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_llama_weights
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    hf_model = AutoModelForCausalLM.from_pretrained(task["model"], dtype=torch.float32)
    settings = hf_model.config
    config = HookedTransformerConfig(
        n_layers=settings.num_hidden_layers, d_model=settings.hidden_size, n_ctx=settings.max_position_embeddings, d_head=settings.head_dim,
        n_heads=settings.num_attention_heads, d_mlp=settings.intermediate_size, d_vocab=settings.vocab_size, normalization_type="RMS",
        positional_embedding_type="rotary", gated_mlp=True, final_rms=True, rotary_base=10000, rotary_dim=settings.head_dim, act_fn="silu",
        eps=settings.rms_norm_eps, original_architecture="LlamaForCausalLM", device="cpu", model_name="llama",
    )  # fmt: skip
    model = TransformerLensReplacementModel(config)
    state = convert_llama_weights(hf_model, config)
    model.load_and_process_state_dict(state, fold_ln=False, center_writing_weights=False, center_unembed=False, fold_value_biases=False)
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    model.tokenizer = PreTrainedTokenizerFast(tokenizer_file=f"{task['model']}/tokenizer.json", **special)
    tensors = load_file(folder / "transcoders.safetensors")
    coders = {}
    for layer in range(settings.num_hidden_layers):
        own = {name: tensors[f"{layer}.{name}"] for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
        coder = SingleLayerTranscoder(settings.hidden_size, len(own["b_enc"]), torch.nn.functional.relu, layer, dtype=torch.float32)
        coder.load_state_dict(own)
        coders[layer] = coder
    model._configure_replacement_model(TranscoderSet(coders, "ln2.hook_normalized", "hook_mlp_out"))
    # It leaves out what the first token's features do; ours does not.
    model.zero_positions = slice(0, 0)
    model.requires_grad_(False)
    seconds = []
    for _ in range(task["rounds"]):
        begun = time.perf_counter()
        graph = attribute(
            torch.tensor(task["ids"]), model, batch_size=task["batch_size"], max_n_logits=task["logits"], desired_logit_prob=task["mass"]
        )
        seconds.append(time.perf_counter() - begun)
    ids = torch.tensor([target.vocab_idx for target in graph.logit_targets])
    found = {"edges": graph.adjacency_matrix, "features": graph.active_features[graph.selected_features], "logits": ids}
    save_file({name: one.contiguous() for name, one in found.items()}, folder / "found.safetensors", {"seconds": json.dumps(seconds)})


if __name__ == "__main__":
    main()
