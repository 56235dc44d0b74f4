"""The one prompt of the benchmark: what the model is asked, and how its answer is opened and closed."""

from typing import TYPE_CHECKING

from util.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

INSTRUCTION = (
    "Translate the following Java function to its equivalent function in the D programming language (dlang). Only provide the completed function."
)
ANSWER_OPENING = "```d\n"
ANSWER_CLOSING = "\n```"


def translation_prompt(tokenizer: "PreTrainedTokenizerBase", java: str) -> str:
    """The text that a model continues with the D function: chat template, Java in a fence, the answer's fence opened.

    It begins with the template's BOS text, if the template writes one, so tokenise it without adding special tokens.

    Raises:
        UserError: if the tokeniser has no chat template.
    """
    if tokenizer.chat_template is None:
        raise UserError("The model's tokeniser has no chat template, which the prompt is made with; give an instruction-tuned model.")
    user = {"role": "user", "content": f"{INSTRUCTION}\n```java\n{java}\n```"}
    return tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True) + ANSWER_OPENING
