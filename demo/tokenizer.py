"""The embedded model's tokenizer: byte-level BPE whose pieces line Java up with D.

Punctuation stands alone, ``[]`` is one piece, a newline and the indentation behind it are one piece, digits stand
alone; so most of a translation is a copy, piece by piece. The fixed parts of the prompt are one token each.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from d_running.prompt import instruction

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCABULARY = 768
_BOS, _EOS, _PAD = "<s>", "</s>", "<pad>"
_PIECES = r"\n[ ]*| ?[A-Za-z_]+| ?[0-9]| ?\[\]| ?(?:\+\+|--|&&|\|\||[-+*/%<>=!]=|[^\sA-Za-z0-9])| +"
_CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'user' %}[INST] {{ message.content }} [/INST] "
    "{% else %}{{ message.content }}{{ eos_token }}{% endif %}{% endfor %}"
)


def train_tokenizer(texts: Iterable[str]) -> "PreTrainedTokenizerFast":
    """Train the tokenizer on ``texts``, Java and D; at most `VOCABULARY` tokens, deterministic."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_PIECES), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    fixed = ["[INST]", "[/INST]", instruction(), "```java", "```d", "```"]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(fixed),
        special_tokens=[_PAD, _BOS, _EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in fixed])
    bos = tokenizer.token_to_id(_BOS)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{_BOS} $A", special_tokens=[(_BOS, bos)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=_BOS, eos_token=_EOS, pad_token=_PAD, padding_side="left", chat_template=_CHAT_TEMPLATE
    )
