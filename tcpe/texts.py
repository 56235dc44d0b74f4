"""The texts that the second moment is taken over."""

import itertools
import numbers

from util.errors import UserError, check_argument
from util.texts import Texts

FLAG = "--mom2_dataset"


def load_texts(name: str, n: int) -> list[str]:
    """The first ``n`` texts of a dataset without empty ones, or all of them if it has fewer.

    Args:
        name: as ``util.texts.Texts`` takes it.

    Raises:
        UserError: if it is not there, cannot be read or holds no text, or ``n`` is no whole number.
    """
    check_argument("n", n, numbers.Integral, "a whole number")
    texts = [text for text in itertools.islice(Texts(name, flag=FLAG).read(), n) if text.strip()]
    if not texts:
        raise UserError(f"{name} holds no text; give another {FLAG}.")
    return texts
