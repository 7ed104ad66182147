"""Texts with the fields beside them, from JSONL and CSV files: which group a text belongs to, which condition.

It guarantees that whatever is wrong with a file is one `InputError` of one line that names the file, the line and the
field. Unlike `text_files.load_texts` it keeps empty texts: they are counted among what is left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError, nearest
from creativity_lens.files import read_text
from creativity_lens.rows import parse_row, read_lines, shown
from creativity_lens.text_files import ENDINGS, read_csv

_WHAT = "a file of texts: .jsonl, one object a line; .csv, with a header; or .txt, one a line"
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True)
class TextFields:
    """The texts of a file and the values of some of its fields."""

    texts: tuple[str, ...]
    fields: dict[str, tuple[str, ...]]  # by the option that named them
    where: tuple[str, ...]  # file and line of each text


def load_fields(path: str | Path, column: str = "text", **options: str | None) -> TextFields:
    """The texts in `column` and, for each of `options` (option=field), the values of a field as strings.

    A .txt file has texts alone. Raises `InputError` for another ending, what `text_files` refuses, a missing field (the
    nearest is offered), a text that is no string, and a value that is empty, a list or an object.

    >>> load_fields("texts.jsonl", group="prompt").fields["group"]                    # doctest: +SKIP
    ('p1', 'p1', 'p2')
    """
    path = Path(path)
    kind = path.suffix.lower()
    asked = {option: field for option, field in options.items() if field is not None}
    if kind not in ENDINGS and not path.is_dir():
        raise InputError(f"{path}: expected {_WHAT}; got the ending '{path.suffix}'.")
    if kind == ".txt":
        for option, field in asked.items():
            raise InputError(f"--{option} {field}: {path} is one text a line, without fields; give .jsonl or .csv.")
        read_lines(path, _WHAT)
        lines = read_text(path, _WHAT).rstrip("\n").split("\n")
        return TextFields(tuple(line.rstrip("\r") for line in lines), {}, _places(path, range(1, len(lines) + 1)))
    if kind == ".csv":
        rows: list[tuple[int, Mapping[str, Any]]] = list(read_csv(path, _WHAT))
    else:
        rows = [(number, parse_row(f"{path}:{number}", line)) for number, line in read_lines(path, _WHAT)]
    if not rows:
        raise InputError(f"{path}: has a header and no rows; expected {_WHAT}.")
    places = _places(path, (number for number, _ in rows))
    texts = tuple(_text(where, row, column) for where, (_, row) in zip(places, rows, strict=True))
    fields = {
        option: tuple(_value(where, row, field, option) for where, (_, row) in zip(places, rows, strict=True))
        for option, field in asked.items()
    }
    return TextFields(texts, fields, places)


def truths(values: Iterable[str], where: Iterable[str], field: str) -> list[bool]:
    """Values that say true or false (1 or 0, yes or no), as such."""
    found = []
    for value, place in zip(values, where, strict=True):
        if value.lower() not in _TRUTH:
            raise InputError(f"{place}: '{field}': expected true or false (or 1 or 0), got {shown(value)}; mend it.")
        found.append(_TRUTH[value.lower()])
    return found


def _places(path: Path, numbers: Iterable[int]) -> tuple[str, ...]:
    return tuple(f"{path}:{number}" for number in numbers)


def _text(where: str, row: Mapping[str, Any], column: str) -> str:
    value = _field(where, row, column, "column")
    if not isinstance(value, str):
        raise InputError(f"{where}: '{column}': expected a string, got {value!r:.40}; write it in quotes.")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InputError(f"{where}: '{column}': holds a lone surrogate, which is no character; remove it.")
    return value


def _value(where: str, row: Mapping[str, Any], field: str, option: str) -> str:
    value = _field(where, row, field, option)
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float) or str(value).strip() == "":
        raise InputError(f"{where}: '{field}': expected a name or a number, got {value!r:.40}; fill it in.")
    return str(value)


def _field(where: str, row: Mapping[str, Any], field: str, option: str) -> Any:
    if field not in row:
        known = ", ".join(repr(name[:40]) for name in list(row)[:8]) or "none"
        hint = nearest(field[:100], row)
        raise InputError(f"{where}: no field {shown(field)}; it has {known}: set --{option}.{hint}")
    return row[field]
