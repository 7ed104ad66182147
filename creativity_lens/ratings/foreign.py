"""Files that others published, looked at before they are believed: which must be there, their columns, their numbers.

It guarantees that a folder without a file, a file that was cut, a column that is missing and a number that is none are
one `InputError` of one line that names the file and the place, and that files are bounded in size before they are
parsed.
"""

import json
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError, nearest
from creativity_lens.files import read_text
from creativity_lens.ratings.table import scale_ends
from creativity_lens.rows import read_lines, shown
from creativity_lens.text_files import read_csv

# Not float() alone: it takes "1_0", "nan" and digits of other scripts.
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def expect_files(folder: Path, names: Sequence[str], title: str) -> list[Path]:
    """The files of these names in the folder; an `InputError` says which is not there.

    >>> expect_files(Path("ttcw"), ["ttcw_annotations.json"], "TTCW")       # doctest: +SKIP
    [PosixPath('ttcw/ttcw_annotations.json')]
    """
    wanted = " and ".join(names)
    if not os.path.isdir(folder):  # unlike Path's, no error for an over-long name
        problem = "got a file" if os.path.exists(folder) else "there is none"
        raise InputError(f"{folder}: expected a folder of {title} with {wanted}; {problem}.")
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise InputError(f"{folder}: has no {missing[0]}; expected a folder of {title} with {wanted}, as published.")
    return [folder / name for name in names]


def read_columns_of(
    path: Path, what: str, columns: Sequence[str], *, delimiter: str = ","
) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV file that must have these columns, by line; the nearest is offered for one that is missing."""

    def check(header: list[str]) -> None:
        for column in columns:
            if column not in header:
                raise InputError(f"{path}:1: no column '{column}'; expected {what}.{nearest(column, header)}")

    rows = read_csv(path, what, delimiter=delimiter, check=check)
    if not rows:
        raise InputError(f"{path}: a header and no rows; expected {what}.")
    return rows


def read_objects(path: Path, what: str, fields: Sequence[str]) -> list[dict[str, Any]]:
    """The objects of a JSON list, each with these fields."""
    read_lines(path, what)  # refuses folders, binaries, and what is too large
    try:
        found = json.loads(read_text(path, what))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not JSON ({error.msg}); expected {what}: was it cut?") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: a number too long, or nested too deep; expected {what}.") from None
    if not isinstance(found, list) or not found or not all(isinstance(each, dict) for each in found):
        raise InputError(f"{path}: expected {what}: a JSON list of objects.")
    for place, each in enumerate(found, start=1):
        for field in fields:
            if field not in each:
                raise InputError(f"{path}: entry {place}: no '{field}'; expected {what}.{nearest(field, each)}")
    return found


def numbers_of(where: str, cell: str, count: int | None = None) -> list[float]:
    """The numbers of a list in one cell, "[4, 5, 3]"; `count` of them where it is given."""
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        found = None
    # bool is an int to Python, and true is no rating
    plain = isinstance(found, list) and all(type(each) in (int, float) and math.isfinite(each) for each in found)
    if not plain:
        raise InputError(f"{where}: expected a list of numbers such as [4, 5], got {shown(cell)}.")
    if count is not None and len(found) != count:
        raise InputError(f"{where}: expected {count} values, one per prompt, got {len(found)}.")
    return [float(each) for each in found]


def number(where: str, value: object) -> float:
    """A finite number, also where it is written as a text."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if type(value) not in (int, float) or not abs(value) < math.inf:  # type: ignore[arg-type]
        written = value if isinstance(value, str) else json.dumps(value, default=str)
        hint = " write 3.5, not 3,5." if re.fullmatch(r"\s*\d+,\d+\s*", written) else " mend it, or leave it empty."
        raise InputError(f"{where}: expected a number, got {shown(written)};{hint}")
    return float(value)  # type: ignore[arg-type]


def on_scale(where: str, value: float, scale: str | None) -> float:
    """The value, if it is on the scale "1-7"; None holds any."""
    if scale is not None:
        low, high = scale_ends(scale)
        if not low <= value <= high:
            raise InputError(f"{where}: {value:g} is off the scale {scale}; mend it, or name the right scale.")
    return value


def whole(where: str, value: object) -> int:
    """A whole number, also where it is written as a text."""
    found = number(where, value)
    if found != int(found):
        raise InputError(f"{where}: expected a whole number, got {found:g}.")
    return int(found)


def string(where: str, field: str, value: object) -> str:
    """A text that can be written as UTF-8; whole numbers are read as they are written."""
    if type(value) is int:
        value = str(value)
    if not isinstance(value, str):
        raise InputError(f"{where}: '{field}': expected a string, got {json.dumps(value, default=str):.40}.")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InputError(f"{where}: '{field}': holds a lone surrogate, which is no character; remove it.")
    if "\0" in value:
        raise InputError(f"{where}: '{field}': holds a NUL, which files of text cannot; remove it.")
    return value
