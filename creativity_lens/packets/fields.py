"""Fields of a packet's files, checked one by one: every error names the file, the field, and what was expected."""

import re
from collections.abc import Sequence
from typing import Any

from creativity_lens.errors import InputError

_HEX = re.compile("[0-9a-f]+")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


def check_format(where: str, value: dict[str, Any], expected: str, what: str) -> None:
    """The object says that it is in the expected format."""
    found = value.get("format")
    if found != expected:
        got = f"format {found[:40]!r}" if isinstance(found, str) else "no format"
        raise InputError(f"{where}: expected {what} (format '{expected}'), got {got}; give the right file.")


def whole_number(where: str, field: str, value: Any, low: int, high: int) -> int:
    """A whole number between two ends; true and false are none."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(f"{where}: '{field}': expected a whole number from {low} to {high}, got {shown(value)}.")
    return value


def objects(where: str, field: str, value: Any) -> list[dict[str, Any]]:
    """A list of objects."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise InputError(f"{where}: '{field}': expected a list of objects, got {shown(value)}.")
    return value


def hex_digits(where: str, field: str, value: Any, count: int) -> str:
    """A string of `count` hexadecimal digits."""
    if not isinstance(value, str) or len(value) != count or not _HEX.fullmatch(value):
        raise InputError(f"{where}: '{field}': expected {count} hexadecimal digits, got {shown(value)}.")
    return value


def short_text(where: str, field: str, value: Any) -> str:
    """A string of at most 1000 characters."""
    if not isinstance(value, str) or len(value) > 1000:
        raise InputError(f"{where}: '{field}': expected a short string, got {shown(value)}.")
    return value


def shown(value: Any) -> str:
    """A value of a foreign file, short enough for an error's line."""
    if isinstance(value, dict | list):  # repr of what is nested deep recurses
        return "a list" if isinstance(value, list) else "an object"
    text = ascii(value) if not isinstance(value, int) or isinstance(value, bool) or abs(value) < 10**40 else "a number"
    return text if len(text) <= 60 else text[:57] + "..."


def short_key(at: str, field: str, value: Any) -> str:
    """A key within a packet: letters, digits, - and _."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InputError(f"{at}: '{field}': expected a key such as i001, got {shown(value)}.")
    return value


def plain_text(at: str, field: str, value: Any, longest: int) -> str:
    """A text that says something and can be written as UTF-8; line breaks and what a model wrote may stand in it."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{at}: '{field}': expected a text, got {shown(value)}.")
    if len(value) > longest:
        raise InputError(f"{at}: '{field}': {len(value):,} characters; at most {longest:,} expected.")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InputError(f"{at}: '{field}': holds a lone surrogate, which is no character; remove it.")
    return value


def check_unique(where: str, field: str, names: Sequence[str]) -> None:
    """No name stands twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{where}: '{field}': {name[:60]!r} stands twice; expected it once.")
        seen.add(name)
