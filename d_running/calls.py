"""Calls of a sample's function with what comes of them in Java, and the test programs that they make."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from d_running.gold import Signature, Unusable, converted
from d_running.language_pairs import LanguagePairName, language_pair
from d_running.oracles import Answer


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes:
        arguments: before it, as the types of the parameters take them.
        result: what it returns; None for void.
        after: the arguments after it, None for those that are no arrays; empty where they are not known.
    """

    arguments: list[Any]
    result: Any
    after: list[Any]


def java_call(signature: Signature, arguments: list[Any], answer: Answer) -> Call:
    """The call that Java answered.

    Raises:
        Unusable: if it failed, or a value does not fit its type.
    """
    if answer.failure:
        raise Unusable(f"Java {answer.failure}")
    result = None if signature.return_type == "void" else converted(signature.return_type, answer.value)
    return Call(arguments, result, arguments_after(signature, answer))


def arguments_after(signature: Signature, answer: Answer) -> list[Any]:
    """The arguments after a call of Java's, as the types of the parameters take them.

    Raises:
        Unusable: for one that does not fit its type.
    """
    try:
        return [None if value is None else converted(kind, value) for kind, value in zip(signature.param_types, answer.arguments, strict=True)]
    except Unusable as error:
        raise Unusable(f"an argument after the call: {error}") from error


def compared_arguments(calls: Sequence[Call]) -> list[int]:
    """The parameters whose arguments a call changes."""
    changed = {k for call in calls for k, value in enumerate(call.after) if value is not None and repr(value) != repr(call.arguments[k])}
    return sorted(changed)


def render_calls(
    signature: Signature, calls: Sequence[Call], pair: LanguagePairName, compared: Sequence[int] = (), exact: bool = False
) -> str:
    """The test program with these calls, which compares the arguments of the parameters ``compared`` after them too.

    Raises:
        BenchmarkError: if a value has no form in the target language.
    """
    return language_pair(pair).render_test_program(
        signature.return_type,
        signature.param_types,
        [call.arguments for call in calls],
        [call.result for call in calls],
        exact,
        {k: [call.after[k] for call in calls] for k in compared},
    )
