"""Tiny random models of every known family, and a byte-level tokeniser, for tests: nothing is downloaded."""

import json
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
    Starcoder2Config,
)
from transformers.models.auto import AutoModelForCausalLM

from huggingface.transcoder import Transcoder

WIDTH, LAYERS, FEATURES = 32, 4, 96

_SIZES = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "intermediate_size": 48}
_GROUPED = {**_SIZES, "num_key_value_heads": 2}

_WINDOW = 12
"""Tokens that a sliding window holds: fewer than the tests' prompts have."""

CONFIGS = {
    "Llama": lambda vocabulary: LlamaConfig(vocab_size=vocabulary, **_GROUPED),
    "Qwen2": lambda vocabulary: Qwen2Config(vocab_size=vocabulary, **_GROUPED),
    "Qwen3": lambda vocabulary: Qwen3Config(vocab_size=vocabulary, **_GROUPED, head_dim=8),
    "Mistral": lambda vocabulary: MistralConfig(vocab_size=vocabulary, **_GROUPED, sliding_window=_WINDOW),
    "Phi3": lambda vocabulary: Phi3Config(vocab_size=vocabulary, **_GROUPED, pad_token_id=1),
    "Starcoder2": lambda vocabulary: Starcoder2Config(vocab_size=vocabulary, **_GROUPED),
    "Gemma": lambda vocabulary: GemmaConfig(vocab_size=vocabulary, **_GROUPED, head_dim=8),
    "Gemma2": lambda vocabulary: Gemma2Config(vocab_size=vocabulary, **_GROUPED, head_dim=8, sliding_window=_WINDOW),
    "Gemma3": lambda vocabulary: Gemma3TextConfig(vocab_size=vocabulary, **_GROUPED, head_dim=8, sliding_window=_WINDOW, sliding_window_pattern=2),
    "GPT2": lambda vocabulary: GPT2Config(vocab_size=vocabulary, n_embd=WIDTH, n_layer=LAYERS, n_head=4, n_inner=48),
    "GPTNeoX": lambda vocabulary: GPTNeoXConfig(vocab_size=vocabulary, **_SIZES),
}

_TEXTS = ["int solution(int n) { int[] dp = new int[n]; return dp.length; }\n```d\nlong x = cast(int) s.length;\n```"]


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokeniser that puts <s> in front, with every byte in its vocabulary."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=True), processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    fast.padding_side = "left"
    return fast


def tiny_sentencepiece(legacy: bool = False) -> PreTrainedTokenizerFast:
    """A BPE tokeniser like SentencePiece's: a space in front of a text, bytes as a last resort; it puts <s> in front and </s> behind.

    Args:
        legacy: tokens may span words, and a space is put in front after every special token, as in Llama 2's.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    if legacy:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", left=1, right=0)]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer.train_from_iterator(_TEXTS, trainers.BpeTrainer(vocab_size=330, special_tokens=special, show_progress=False))
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = content["added_tokens"][:3]  # bytes are ordinary tokens, which the trainer cannot be told
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>", padding_side="left"
    )


def tiny_model(family: str = "Llama", seed: int = 0, square: bool = False, **settings: Any) -> PreTrainedModel:
    """A random model with weights large enough that its distributions are far from uniform.

    Args:
        square: give the MLP as many neurons as the model is wide, so that no shape betrays a transposed weight.
        settings: of the configuration, beside or instead of those that all tiny models have.
    """
    torch.manual_seed(seed)
    config = CONFIGS[family](len(tiny_tokenizer()))
    if settings:
        config = type(config)(**config.to_dict() | settings)
    if square:
        setattr(config, "n_inner" if family == "GPT2" else "intermediate_size", WIDTH)
    config.bos_token_id, config.eos_token_id, config.pad_token_id = 0, 1, 1
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.3 if "embed" in name or "wte" in name else 0.2)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def tiny_transcoder(seed: int = 1) -> Transcoder:
    """A random ReLU transcoder of the tiny models' width."""
    torch.manual_seed(seed)
    matrices = torch.randn(WIDTH, FEATURES) / 4, torch.randn(FEATURES) / 4, torch.randn(FEATURES, WIDTH) / 4, torch.randn(WIDTH)
    return Transcoder.from_matrices(*matrices)
