"""Rows of a JSONL file, read one line at a time and checked: fields, types, texts, names, duplicates.

It guarantees that whatever is wrong with a user's file is one `InputError` of one line that names the file, the line
and the field, says what was expected, and what to do; that no text holds what cannot be written as UTF-8; and that the
file and its lines are bounded in size before they are parsed. It knows no particular row, only what rows share.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError, check_choice, nearest
from creativity_lens.files import read_text

_LARGEST_FILE = 64 * 2**20  # bytes; 408 pairs take 0.6 MiB
_LONGEST_LINE = 1_000_000  # characters
_LONGEST_NAME = 100  # characters of an id, topic or domain
# Lone surrogates cannot be written as UTF-8 (and pandas 3 raises on them); other controls could drive a terminal.
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_JSON_TYPES = {dict: "an object", list: "a list", str: "a string", bool: "true or false", int: "a number"}


def read_lines(file: Path, what: str) -> list[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1. `what` names the file's role ("a file of prompts")."""
    try:
        size = file.stat().st_size
    except OSError as error:
        problem = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise InputError(f"{file}: {problem}; expected {what}.") from None
    if size > _LARGEST_FILE:
        raise InputError(f"{file}: larger than {_LARGEST_FILE // 2**20} MiB; expected {what}: give a part of it.")
    # Not splitlines(): that would also cut at U+2028 and its kin, which may stand inside a JSON string.
    lines = [(number, line) for number, line in enumerate(read_text(file, what).split("\n"), start=1) if line.strip()]
    if not lines:
        raise InputError(f"{file}: the file is empty; expected {what}.")
    for number, line in lines:
        if len(line) > _LONGEST_LINE:
            raise InputError(f"{file}:{number}: {len(line):,} characters; at most {_LONGEST_LINE:,} expected, cut it.")
    return lines


def parse_row(where: str, line: str) -> dict[str, Any]:
    """One line as a JSON object in which no field stands twice (the json module would keep the last silently)."""
    try:
        row = json.loads(line, object_pairs_hook=partial(_each_once, where))
    except InputError:
        raise
    except json.JSONDecodeError as error:
        problem = f"{error.msg}, column {error.colno}"
        raise InputError(f"{where}: not JSON ({problem}); expected one object {{...}} on one line.") from None
    except (ValueError, RecursionError):
        raise InputError(f"{where}: a number too long, or nested too deep; expected an object of strings.") from None
    if not isinstance(row, dict):
        raise InputError(f"{where}: expected a JSON object {{...}}, got {_json_type(row)}; write one object a line.")
    return row


def _each_once(where: str, items: list[tuple[str, Any]]) -> dict[str, Any]:
    for name, count in Counter(name for name, _ in items).items():
        if count > 1:
            raise InputError(f"{where}: field {shown(name)}: stands {count} times in one row; keep one.")
    return dict(items)


def check_fields(where: str, row: dict[str, Any], *, required: Sequence[str], optional: Sequence[str] = ()) -> None:
    """Every required field is there, and none that is unknown (the nearest known one is offered)."""
    known = [*required, *optional]
    for name in row:
        if name not in known:
            hint = nearest(name[:_LONGEST_NAME], known) or f" Known: {', '.join(known)}."
            raise InputError(f"{where}: field {shown(name)}: unknown; rename or remove it.{hint}")
    for name in required:
        if name not in row:
            raise InputError(f"{where}: field '{name}': missing; every row needs {', '.join(required)}.")


def checked_text(where: str, field: str, value: Any) -> str:
    """A string that says something and can be written as UTF-8."""
    if not isinstance(value, str):
        raise InputError(f"{where}: field '{field}': expected a string, got {_json_type(value)}; write it in quotes.")
    if not value.strip():
        raise InputError(f"{where}: field '{field}': expected a text, got an empty one; write it or remove the row.")
    if found := _NO_TEXT.search(value):
        what = "a lone surrogate" if "\ud800" <= found[0] <= "\udfff" else "a control character"
        at = f"U+{ord(found[0]):04X} at character {found.start() + 1}"
        raise InputError(f"{where}: field '{field}': expected plain text, got {what} ({at}); remove it.")
    return value


def checked_name(where: str, field: str, value: Any) -> str:
    """A short text on one line, with single spaces: "fox " and "fox" must not pass for two topics."""
    name = checked_text(where, field, value)
    if len(name) > _LONGEST_NAME:
        raise InputError(f"{where}: field '{field}': {len(name)} characters; at most {_LONGEST_NAME} expected, cut it.")
    if name != " ".join(name.split()):
        raise InputError(f"{where}: field '{field}': got {name!r}; remove the spaces or line breaks it has too many.")
    return name


def checked_choice(where: str, field: str, value: Any, choices: Sequence[str]) -> str:
    """A name that is one of `choices`; else they are listed and the nearest is offered."""
    return check_choice(f"{where}: field '{field}'", checked_name(where, field, value), choices)


def check_once(source: str | Path, field: str, numbered: Sequence[tuple[int, str]]) -> None:
    """No value stands on two lines; `numbered` holds (line, value)."""
    first: dict[str, int] = {}
    for number, value in numbered:
        if value in first:
            both = f"on lines {first[value]} and {number}"
            raise InputError(f"{source}:{number}: field '{field}': {shown(value)} stands twice, {both}; change one.")
        first[value] = number


def check_all_or_none(source: str | Path, field: str, numbered: Sequence[tuple[int, str | None]]) -> None:
    """Either every line names a value or none does; `numbered` holds (line, value or None)."""
    first, expected = numbered[0]
    for number, value in numbered:
        if (value is None) != (expected is None):
            here, there = ("none", "one") if value is None else ("one", "none")
            both = f"{here} here, but {there} on line {first}"
            raise InputError(f"{source}:{number}: field '{field}': {both}; name one in every row or in no row.")


def shown(value: str) -> str:
    """A user's value in a message: quoted, escaped and cut, so that the message stays one short line."""
    return repr(value if len(value) <= 60 else value[:57] + "...")


def _json_type(value: Any) -> str:
    return "null" if value is None else _JSON_TYPES.get(type(value), "a number")
