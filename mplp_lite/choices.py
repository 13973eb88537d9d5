"""One way to refuse a name that is not known."""

from collections.abc import Iterable
from typing import Any


def check_choice(what: str, given: Any, known: Iterable[str]) -> None:
    """Lets `given` pass if it is among `known`.

    Raises:
        ValueError: if it is not; the sentence names `what` was given and what is known.
    """
    if given not in known:
        raise ValueError(f"{what}={given!r} is unknown; use one of {list(known)}.")
