"""The one prompt of the benchmark: what the model is asked, and how its answer is opened and closed."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

INSTRUCTION = (
    "Translate the following Java function to its equivalent function in the D programming language (dlang). "
    "Only provide the completed function."
)
ANSWER_OPENING = "```d\n"
ANSWER_CLOSING = "\n```"


def translation_prompt(tokenizer: "PreTrainedTokenizerBase", java: str) -> str:
    """The text that a model continues with the D function: chat template, Java in a fence, the answer's fence opened.

    It begins with the template's BOS text, if the template writes one, so tokenise it without adding special tokens.
    """
    user = {"role": "user", "content": f"{INSTRUCTION}\n```java\n{java}\n```"}
    return tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True) + ANSWER_OPENING
