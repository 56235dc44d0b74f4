"""What a function really returns, in Java, Python or D."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What one call came to.

    Attributes:
        value: what it returned: int, float, bool, str, None and nested lists of them.
        failure: why there is no value, such as "throws java.lang.ArithmeticException"; else "".
        arguments: what the arguments are after the call, None for those that no call can change; empty if the oracle does not say.
    """

    value: Any = None
    failure: str = ""
    arguments: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Answers:
    """What all calls of one function came to.

    Attributes:
        answers: one per input; empty if the function could not be called.
        problem: why it could not, such as the compiler's message; else "".
        endless: the index of the input on which it did not end, if that is the problem.
    """

    answers: list[Answer] = field(default_factory=list)
    problem: str = ""
    endless: int | None = None
