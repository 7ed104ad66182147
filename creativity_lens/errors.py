"""Errors that are the user's to mend: one line that says what was expected, what came, and what to do."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input. The command line prints it as one line and exits with status 2; Python raises it as a `ValueError`.

    Whatever a file name or a library put into the message, it stays one line and cannot drive a terminal: characters
    that do not print are escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in message))


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: " Did you mean 'x'?" or "" when nothing is near.

    >>> nearest("mean_diference", ["mean_difference", "first_component"])
    " Did you mean 'mean_difference'?"
    """
    lowered = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(str(name).lower(), list(lowered), n=1, cutoff=0.6)
    return f" Did you mean '{lowered[found[0]]}'?" if found else ""


def check_choice(name: str, value: str, known: Iterable[str]) -> str:
    """Return `value` if it is one of `known`, else raise an `InputError` that lists them and offers the nearest."""
    choices = list(known)
    if value not in choices:
        raise InputError(f"{name}: expected one of {', '.join(choices)}; got '{value}'.{nearest(value, choices)}")
    return value
