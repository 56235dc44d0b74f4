"""How much text a model can read at once."""

from transformers import PreTrainedModel

from util.errors import UserError


def context_length(model: PreTrainedModel) -> int | None:
    """The number of tokens that the model has positions for, None if its configuration names no limit."""
    return getattr(model.config, "max_position_embeddings", None)


def check_fits_context(model: PreTrainedModel, tokens: int, what: str) -> None:
    """Refuse a text that is longer than the model's context: learned positions end there, rotary ones were never trained beyond.

    Args:
        tokens: how many the model would read, its special tokens included.
        what: begins the sentence, such as "The prompt of ABS".

    Raises:
        UserError: naming both lengths.
    """
    limit = context_length(model)
    if limit is not None and tokens > limit:
        raise UserError(f"{what} has {tokens} tokens, and this {type(model).__name__} reads at most {limit}; give a shorter text, or another model.")
