"""The two sides of a measure of monoculture: rows of generated and of human texts, each row belonging to an item.

It guarantees that whatever is wrong with a file or a row is one `InputError` of one line with file and line.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError, nearest
from creativity_lens.rows import parse_row, read_lines, shown
from creativity_lens.text_files import read_csv

_WHAT = "texts of items: .jsonl, one object a line, or .csv, with a header"
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Side:
    """The rows of one side, where they came from, and the line of each."""

    name: str  # "generated", or the file's name
    rows: tuple[Row, ...]
    lines: tuple[int, ...]

    def where(self, row: int) -> str:
        """File and line of a row, as an error names them."""
        return f"{self.name}:{self.lines[row]}"

    def field(self, row: int, name: str, *, option: str = "") -> Any:
        """A field of a row; the nearest is offered where it is missing."""
        fields = self.rows[row]
        if name not in fields:
            known = ", ".join(repr(str(key)[:40]) for key in list(fields)[:8]) or "none"
            todo = f": set {option}." if option else "."
            hint = nearest(name[:100], map(str, fields))
            raise InputError(f"{self.where(row)}: no field {shown(name)}; it has {known}{todo}{hint}")
        return fields[name]

    def only(self, rows: Sequence[int]) -> "Side":
        """Some of the rows."""
        return Side(self.name, tuple(self.rows[i] for i in rows), tuple(self.lines[i] for i in rows))

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Side({self.name!r}, {len(self.rows)} rows)"


def load_side(path: str | Path) -> Side:
    """The rows of a .jsonl or .csv file, with all their fields; the cells of a CSV file are strings.

    Raises `InputError` for what cannot be read, and for a file without rows.
    """
    path = Path(path)
    if path.suffix.lower() not in (".jsonl", ".csv") and not path.is_dir():
        raise InputError(f"{path}: expected {_WHAT}; got the ending '{path.suffix}'.")
    if path.suffix.lower() == ".csv":
        numbered: list[tuple[int, Any]] = list(read_csv(path, _WHAT))
    else:
        numbered = [(number, parse_row(f"{path}:{number}", line)) for number, line in read_lines(path, _WHAT)]
    if not numbered:
        raise InputError(f"{path}: expected {_WHAT}; got a header and no row.")
    lines, rows = zip(*numbered, strict=True)
    return Side(str(path), rows, lines)


def as_side(rows: Side | Sequence[Any], name: str) -> Side:
    """Rows given from Python, counted from 1."""
    if isinstance(rows, Side):
        return rows
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise InputError(f"{name}:{number}: expected a row such as {{'item': ..., 'text': ...}}, got {row!r:.40}.")
    return Side(name, tuple(rows), tuple(range(1, len(rows) + 1)))


@dataclass(frozen=True)
class Filter:
    """A condition on a field, such as perplexity <= 20. A field without a value (null, NaN) does not meet any."""

    field: str
    sign: str
    value: str

    def __str__(self) -> str:
        return f"{self.field} {self.sign} {self.value}"

    def keeps(self, side: Side) -> list[bool]:
        """Which rows meet the condition."""
        return [self._meets(side, row) for row in range(len(side))]

    def _meets(self, side: Side, row: int) -> bool:
        got = side.field(row, self.field)
        limit = _number(self.value)
        if got is None:
            return False
        if isinstance(got, bool):
            got = str(got).lower()
        if limit is not None:
            number = got if isinstance(got, int | float) else _number(got) if isinstance(got, str) else None
            if number is not None:
                return not math.isnan(number) and _COMPARE[self.sign](number, limit)
        if self.sign not in ("=", "==", "!=") or not isinstance(got, str | int | float):
            raise InputError(
                f"{side.where(row)}: field {shown(self.field)}: expected a number, to compare with {self}; got "
                f"{got!r:.40}."
            )
        return _COMPARE[self.sign](str(got), self.value)


def read_filter(text: str) -> Filter:
    """A condition as it is written on the command line.

    >>> read_filter("perplexity<=20")
    Filter(field='perplexity', sign='<=', value='20')
    """
    found = re.fullmatch(r"\s*([^<>=!]+?)\s*(<=|>=|!=|==|=|<|>)\s*([^<>=!].*?)\s*", text)
    if not found:
        raise InputError(f"--keep: expected a condition such as 'perplexity<=20', got {shown(text)}.")
    made = Filter(*found.groups())
    if made.sign in ("<", ">", "<=", ">=") and _number(made.value) is None:
        raise InputError(f"--keep: expected a number after {made.sign}, got {shown(made.value)}.")
    return made


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else number
