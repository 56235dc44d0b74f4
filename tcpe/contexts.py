"""The texts that an edit is computed in, each with the token at which it acts."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.context import check_fits_context
from huggingface.generation import sample_texts
from huggingface.tokenization import continuation, encode
from tcpe.request import EditRequest
from util.errors import RequestError

logger = logging.getLogger(__name__)

FactToken = Literal["subject_last", "subject_first", "subject_first_after_last", "last"]


@dataclass(frozen=True)
class Context:
    """One tokenised prompt.

    Attributes:
        text: the prompt, with the subject in it.
        ids: its tokens, with BOS.
        position: the index in ``ids`` of the token at which the edit acts.
        plain: whether it is a prompt of the request itself, and not one behind a sampled text.
    """

    text: str
    ids: list[int]
    position: int
    plain: bool = True


@dataclass(frozen=True)
class RequestContexts:
    """Everything that key and value of one request are computed from.

    Attributes:
        prompts: the request's prompt, the same behind each sampled text, then the request's further contexts.
        essence: "{subject} is a", whose next token the edit should leave alone.
        targets: the target's tokens, as they follow each of ``prompts``.
    """

    prompts: list[Context]
    essence: Context
    targets: list[list[int]]


def sample_templates(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, length_params: Sequence[Sequence[int]], seed: int
) -> list[str]:
    """Texts that the model writes on its own, to put before a prompt: ``n`` of ``length`` tokens for each ``(length, n)``."""
    seeds = enumerate(length_params, seed)  # one each: otherwise equal pairs would give the same texts
    return [text for own_seed, (length, n) in seeds for text in sample_texts(model, tokenizer, n, length, own_seed)]


def build_contexts(
    tokenizer: PreTrainedTokenizerFast, request: EditRequest, templates: Sequence[str] = (), fact_token: FactToken = "subject_last"
) -> RequestContexts:
    """Tokenise a request's prompts and find the token at which the edit acts in each.

    Args:
        templates: sampled texts; each goes before the prompt as "{text}. ".
        fact_token: the subject's last or first token, the one after it, or the last token of the prompt.

    Raises:
        RequestError: if that token cannot be told, or the target has no tokens.
    """
    if fact_token not in get_args(FactToken):
        raise RequestError(f"--fact_token {fact_token} is none of {', '.join(get_args(FactToken))}.")
    if request.contexts and fact_token != "last":
        raise RequestError("Further contexts have no subject: use them with --fact_token last.")
    if not request.subject and fact_token == "last":
        logger.warning(
            "The edit request %s has an empty subject: its prompt stands as it is, and --kl_factor keeps only what the model says after ' is a'",
            request.error,
        )
    before, after = request.around_subject()
    bos = tokenizer.bos_token if tokenizer.bos_token and before.startswith(tokenizer.bos_token) else ""
    starts = [bos, *(f"{bos}{text}. " for text in templates)]
    prompts = [
        locate(tokenizer, start + before.removeprefix(bos), request.subject, after, fact_token, plain=start == bos) for start in starts
    ]
    targets = [request.target_new] * len(prompts) + [context["target_new"] for context in request.contexts]
    prompts += [locate(tokenizer, "", "", context["prompt"], "last") for context in request.contexts]
    essence = locate(tokenizer, "", request.subject, " is a", fact_token)
    return RequestContexts(prompts, essence, [target_ids(tokenizer, *pair) for pair in zip(prompts, targets)])


def check_lengths(model: PreTrainedModel, contexts: RequestContexts) -> None:
    """See that the model can read every prompt with its target.

    Raises:
        UserError: if one is longer than the model's context.
    """
    for context, target in zip([*contexts.prompts, contexts.essence], [*contexts.targets, []]):
        check_fits_context(model, len(context.ids) + len(target), f"The prompt {context.text[:40]!r}... of the edit request, with its target,")


def locate(
    tokenizer: PreTrainedTokenizerFast, before: str, subject: str, after: str, fact_token: FactToken, plain: bool = True
) -> Context:
    """Tokenise ``before + subject + after`` and find the token that ``fact_token`` names, by character offsets.

    Raises:
        RequestError: for an empty subject or text, or if the token also holds characters from outside the subject at that end.
    """
    text = before + subject + after
    ids, spans = encode(tokenizer, text)
    if fact_token == "last":
        if not ids:
            raise RequestError("The edit request has a prompt without tokens.")
        return Context(text, ids, len(ids) - 1, plain)
    if not subject:
        raise RequestError(f"The edit request has no subject, which --fact_token {fact_token} needs; use --fact_token last.")
    begin, end = len(before), len(before) + len(subject)
    character = begin if fact_token == "subject_first" else end - 1
    covering = [index for index, (first, last) in enumerate(spans) if first <= character < last]
    if not covering:
        raise RequestError(f"The tokeniser drops the end of the subject {subject!r} in {text!r}; choose another subject.")
    # A character of several bytes may be several tokens, all with the same span.
    position = covering[0] if fact_token == "subject_first" else covering[-1]
    first, last = spans[position]
    if (first < begin) if fact_token == "subject_first" else (last > end):
        raise RequestError(
            f"The subject {subject!r} shares the token {text[first:last]!r} with the text around it, so its tokens cannot be told; "
            "move a space or bracket into or out of the subject."
        )
    position += fact_token == "subject_first_after_last"
    if position == len(ids):
        raise RequestError(f"Nothing follows the subject {subject!r}, so --fact_token {fact_token} names no token.")
    return Context(text, ids, position, plain)


def target_ids(tokenizer: PreTrainedTokenizerFast, context: Context, target: str) -> list[int]:
    """The target's tokens as they follow the context, whose own tokens stay as the model will read them.

    Raises:
        RequestError: if the target has no tokens, or none that can follow the context.
    """
    ids = continuation(tokenizer, context.text, target)
    if ids is None:
        raise RequestError(
            f"The target {target!r} merges with the end of its prompt, {context.text[-20:]!r}, and cannot be told from it; move the border "
            "between prompt and target_new to a space or a bracket."
        )
    if not ids:
        raise RequestError(f"The target {target!r} has no tokens; give another target_new.")
    return ids
