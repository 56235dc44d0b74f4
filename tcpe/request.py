"""An edit request: what the model should say instead, where, and for which cluster of errors."""

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import TypedDict

from util.errors import RequestError


class RequestContext(TypedDict):
    """The same correction in another function."""

    prompt: str
    """Plain text that ends where the edit acts."""
    target_new: str
    """What the model should continue it with."""


@dataclass(frozen=True)
class EditRequest:
    """One row of the request CSV.

    Attributes:
        error: the number or name of the error.
        brief_description: the compiler's message.
        prompt: a format string with exactly one ``{}``, literal braces doubled.
        subject: fills the ``{}``; leading spaces matter to the tokeniser.
        target_new: what the model should continue the filled prompt with.
        target_clusters: the clusters of the "before" clustering that the edit is meant to empty.
        contexts: the same correction in other functions, averaged into key and value.

    Raises:
        RequestError: for a prompt without exactly one ``{}``, or an empty target.
    """

    error: str
    brief_description: str
    prompt: str
    subject: str
    target_new: str
    target_clusters: list[str] = field(default_factory=list)
    contexts: list[RequestContext] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.around_subject()
        if not self.target_new:
            raise RequestError(f"The edit request {self.error} has an empty target_new; say what the model should write.")

    @classmethod
    def from_text(
        cls,
        text: str,
        target_new: str,
        subject: str = "",
        *,
        error: str = "",
        brief_description: str = "",
        contexts: Sequence[RequestContext] = (),
    ) -> "EditRequest":
        """A request whose prompt is plain text, in which nothing is doubled.

        Args:
            text: what the model reads, the subject in it, up to where ``target_new`` follows.
            subject: the part of ``text`` that the edit acts on; without one it acts on the last token (``fact_token="last"``).

        Raises:
            RequestError: if ``text`` does not hold the subject exactly once.
        """
        if subject and text.count(subject) != 1:
            raise RequestError(
                f"The text of the edit request holds the subject {subject!r} {text.count(subject)} times, not once; give a longer subject, or an "
                "EditRequest whose prompt has {} in its place."
            )
        before, _, after = text.partition(subject) if subject else (text, "", "")
        prompt = "{}".join(part.replace("{", "{{").replace("}", "}}") for part in (before, after))
        return cls(error, brief_description, prompt, subject, target_new, [], list(contexts))

    def around_subject(self) -> tuple[str, str]:
        """The text before and after the subject, with single braces."""
        try:
            parts = list(Formatter().parse(self.prompt))
        except ValueError as error:
            raise RequestError(f"The prompt of the edit request {self.error} is no format string: {error}; double its braces.") from error
        fields = [name for _, name, _, _ in parts if name is not None]
        if fields != [""]:
            raise RequestError(
                f"The prompt of the edit request {self.error} needs exactly one {{}}, where the subject {self.subject!r} goes, and has "
                f"{len(fields)} ({', '.join('{' + name + '}' for name in fields)}); double its literal braces."
            )
        place = next(index for index, part in enumerate(parts) if part[1] is not None) + 1
        return "".join(part[0] for part in parts[:place]), "".join(part[0] for part in parts[place:])


def target_column(layer: int, mlp_or_tc: str) -> str:
    """The column that holds a request's target cluster for this layer and kind of edit."""
    return f"layer_{layer}_{mlp_or_tc}"


def load_request(path: str | Path, index: int, layer: int, mlp_or_tc: str) -> EditRequest:
    """Row ``index`` (from 0, by position) of the request CSV.

    The columns are ``Error, brief_description, prompt, subject, target_new``, one ``layer_{L}_{mlp_or_tc}`` with the target
    cluster's id (several are separated by ``;``), and optionally ``contexts``, a JSON list of objects with ``prompt`` and ``target_new``.

    Raises:
        RequestError: naming the missing column, the number of rows, or what is wrong with the row.
    """
    csv.field_size_limit(sys.maxsize)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise RequestError(f"Cannot read the edit requests {path}: {error.strerror}; give a CSV with --edit_sequence_path.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise RequestError(f"The edit requests {path} are no CSV in UTF-8 ({error}).") from error
    if not 0 <= index < len(rows):
        raise RequestError(f"--i {index} is out of range: {path} has {len(rows)} edit requests, counted from 0.")
    row = rows[index]
    column = target_column(layer, mlp_or_tc)
    kinds = [name for name in row if name and name.startswith(column)]
    if mlp_or_tc == "TC" and len(kinds) == 1:  # the width was not given: the one transcoder column is meant
        column = kinds[0]
    needed = ("Error", "brief_description", "prompt", "subject", "target_new", column)
    if missing := [name for name in needed if row.get(name) is None]:
        found = ", ".join(filter(None, rows[0]))
        raise RequestError(
            f"Row {index} of the edit requests {path} lacks {', '.join(missing)}; the header has {found}. The last column is named after "
            "--layer_num and --mlp_or_tc."
        )
    try:
        contexts = json.loads(row.get("contexts") or "[]")
    except ValueError as error:
        raise RequestError(f"The column contexts of row {index} in {path} is not JSON ({error}).") from error
    if not isinstance(contexts, list) or not all(_is_context(context) for context in contexts):
        raise RequestError(f'The column contexts of row {index} in {path} must be a JSON list of {{"prompt": text, "target_new": text}}.')
    clusters = [name.strip() for name in row[column].split(";") if name.strip()]
    return EditRequest(row["Error"], row["brief_description"], row["prompt"], row["subject"], row["target_new"], clusters, contexts)


def _is_context(value: object) -> bool:
    texts = list(value.values()) if isinstance(value, dict) and value.keys() == RequestContext.__annotations__.keys() else [None]
    return all(isinstance(text, str) and text for text in texts)
