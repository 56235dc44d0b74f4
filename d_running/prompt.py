"""The prompt of the benchmark: what the model is asked, and how its answer is opened and closed; ours, or the original's to the letter."""

from typing import TYPE_CHECKING, Literal

from d_running.java_text import natural_java, original_java
from d_running.language_pairs import JAVA_D, LanguagePairName, language_pair
from util.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

INSTRUCTION = "Translate the following Java function to its equivalent function in {}. Only provide the completed function."
ANSWER_CLOSING = "\n```"

PromptFormat = Literal["natural", "original"]
PROMPT_FORMAT: PromptFormat = "natural"
PROMPT_FORMAT_HELP = "form of the prompt: natural, or original: the original's spacing and fences, which its published figures were made with"


def instruction(pair: LanguagePairName = JAVA_D) -> str:
    """What a model is told to do, in words."""
    return INSTRUCTION.format(language_pair(pair).target_name)


def answer_opening(pair: LanguagePairName = JAVA_D) -> str:
    """What opens the fence of an answer."""
    return f"```{language_pair(pair).fence}\n"


def translation_prompt(
    tokenizer: "PreTrainedTokenizerBase", java: str, prompt_format: PromptFormat = PROMPT_FORMAT, pair: LanguagePairName = JAVA_D
) -> str:
    """The text that a model continues with the translated function: chat template, Java in a fence, the answer's fence opened.

    It begins with the template's BOS text, if the template writes one, so tokenise it without adding special tokens.

    Args:
        java: the function as it is shown (see `shown_java`).
        prompt_format: in the original's form the Java's fence has neither a language nor lines of its own, and the answer's fence stands
            behind a space and ends with the language: the model itself breaks the line.

    Raises:
        UserError: if the tokeniser has no chat template.
    """
    if tokenizer.chat_template is None:
        raise UserError("The model's tokeniser has no chat template, which the prompt is made with; give an instruction-tuned model.")
    user = {"role": "user", "content": question(java, prompt_format, pair)}
    asked = tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
    assert isinstance(asked, str)  # since it is not tokenised
    if prompt_format == "natural":
        return asked + answer_opening(pair)
    return (asked if asked[-1:].isspace() else f"{asked} ") + answer_opening(pair).rstrip()


def benchmark_prompt(
    tokenizer: "PreTrainedTokenizerBase", java: str, prompt_format: PromptFormat = PROMPT_FORMAT, pair: LanguagePairName = JAVA_D
) -> str:
    """`translation_prompt` for a function as the benchmark has it.

    Raises:
        UserError: if the tokeniser has no chat template.
    """
    return translation_prompt(tokenizer, shown_java(java, prompt_format), prompt_format, pair)


def question(java: str, prompt_format: PromptFormat = PROMPT_FORMAT, pair: LanguagePairName = JAVA_D) -> str:
    """What the user asks, without any chat template; ``java`` is the function as it is shown."""
    return f"{instruction(pair)}\n```java\n{java}\n```" if prompt_format == "natural" else f"{instruction(pair)}\n```{java}```"


def shown_java(java: str, prompt_format: PromptFormat = PROMPT_FORMAT) -> str:
    """A function of the benchmark in the form in which a prompt shows it: spaced naturally, or as the original spaces it."""
    return natural_java(java) if prompt_format == "natural" else original_java(natural_java(java))
