"""Ratings in anybody's CSV or JSONL, by the names of its columns; and the long format as a CSV file.

It guarantees that whatever is wrong with a file is one `InputError` of one line that names the file, the line and the
column, offers the nearest for a wrong name, and says what to do; and that nothing is left out silently.
"""

import csv
import io
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from creativity_lens.errors import InputError, nearest
from creativity_lens.files import write_text
from creativity_lens.ratings.foreign import number, on_scale, string
from creativity_lens.ratings.table import ABOUT_ITEM, COLUMNS, PANEL, Ratings, scale_ends
from creativity_lens.rows import parse_row, read_lines
from creativity_lens.text_files import read_csv

ENDING = ".ratings.csv"  # what an imported file is called
_WHAT = "a file of ratings: .csv with a header, or .jsonl, one object a line"
_LONG = "ratings in long format, as `clens ratings import` writes"
_NEEDED = ("item", "text", "criterion", "value")
_Rows = list[tuple[int, dict[str, Any]]]


def _warn(note: str) -> None:
    warnings.warn(note, stacklevel=3)


def read_columns(
    path: str | Path,
    *,
    rating: str | Sequence[str],
    text: str = "text",
    rater: str | None = None,
    group: str | None = None,
    prompt: str | None = None,
    author: str | None = None,
    panel: str | None = None,
    item: str | None = None,
    criterion: str | None = None,
    scale: str | None = None,
    name: str | None = None,
    say: Callable[[str], None] = _warn,
) -> Ratings:
    """The ratings of a CSV or JSONL file; every argument but the last three names a column.

    `rating` may name several columns: each is a criterion of its own. `panel` and `criterion` are columns if there are
    columns of that name, otherwise one name for all rows. Without `item`, equal texts by one author in one group are
    one item. `scale` is "1-7". Whatever is passed over or was decided by itself is said through `say`, which warns.

    Raises `InputError` for another ending, what is no CSV or JSONL, a column that is not there, a rating that is no
    number or off the scale, and a rater who rated an item twice.

    >>> read_columns("mine.csv", text="story", rating="creativity", rater="worker", scale="1-7")   # doctest: +SKIP
    """
    path = Path(path)
    if scale is not None:
        scale_ends(scale)
    ratings = (rating,) if isinstance(rating, str) else tuple(rating)
    if not ratings or len(set(ratings)) != len(ratings):
        raise InputError(f"{path}: rating: expected different columns such as creativity,surprise, got {rating!r:.60}.")
    needed = {"text": text, "rater": rater, "group": group, "prompt": prompt, "author": author, "item": item}
    columns = {field: column for field, column in needed.items() if column is not None}
    rows = _rows(path, [*columns.values(), *ratings])
    if not rows:
        raise InputError(f"{path}: a header and no rows; expected {_WHAT}.")
    names = {name for _, row in rows for name in row}
    if criterion is not None and len(ratings) > 1:
        raise InputError(f"{path}: criterion: {len(ratings)} columns of ratings are criteria already; leave it away.")
    notes: list[str] = []
    for field, given in {"panel": panel, "criterion": criterion}.items():
        if given in names:
            columns[field] = str(given)
        elif given is not None:
            notes.append(
                f"{path}: no column '{given}'; it is taken as the {field} of all ratings.{nearest(given, names)}"
            )
    constant = {"panel": panel or PANEL, "criterion": criterion, "scale": scale or math.nan}
    found, empty = [], []
    for line, row in rows:
        about = constant | {
            field: _cell(f"{path}:{line}", column, row, as_is=field in ("text", "prompt"))
            for field, column in columns.items()
        }
        for column in ratings:
            value = row.get(column)
            if value is None or (isinstance(value, str) and not value.strip()):
                empty.append(line)
                continue
            value = on_scale(f"{path}:{line}: '{column}'", number(f"{path}:{line}: '{column}'", value), scale)
            if criterion is None:
                about["criterion"] = column
            for field in ("item", "panel", "criterion"):
                if field in about and not isinstance(about[field], str):
                    raise InputError(
                        f"{path}:{line}: no {field} ('{columns[field]}' is empty); expected one in every row."
                    )
            found.append((line, about | {"value": value}))
    if empty:
        some = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
        s = "s" * (len(empty) > 1)
        notes.append(f"{path}: {len(empty)} empty rating{s} passed over (line{s} {some}).")
    if not found:
        raise InputError(f"{path}: no ratings; expected numbers in {', '.join(repr(each) for each in ratings)}.")
    if item is None and (unknown := _name_items([row for _, row in found])):
        have = "rating has" if unknown == 1 else "ratings have"
        notes.append(f"{path}: {unknown} {have} neither text nor item: each is taken as of an item of its own.")
    _check_same(path, found)
    _check_once(path, found, rater, named=item is not None)
    frame = pd.DataFrame([row for _, row in found])
    read = Ratings.of(frame, name or _stem(path), group_name=group or "group")
    for note in notes:
        say(note)
    return read


def read_long(path: str | Path, *, name: str | None = None) -> Ratings:
    """Ratings from a CSV file in the long format: columns item, text, criterion, value, and any other of `COLUMNS`.

    Raises `InputError` for another file, which `clens ratings import` can bring into this format.

    >>> read_long("mine.ratings.csv").criteria                   # doctest: +SKIP
    ['creativity']
    """
    path = Path(path)
    mend = f"`clens ratings import {path} --text COLUMN --rating COLUMN` makes such a file."

    def check(header: list[str]) -> None:
        for column in _NEEDED:
            if column not in header:
                raise InputError(f"{path}:1: no column '{column}'; expected {_LONG}: {mend}")
        for column in header:
            if column not in COLUMNS:
                raise InputError(
                    f"{path}:1: unknown column '{column:.40}'; expected {_LONG} (columns {', '.join(COLUMNS)})."
                    f"{nearest(column, COLUMNS)}"
                )

    if path.suffix.lower() != ".csv" and not path.is_dir():
        raise InputError(f"{path}: expected {_LONG}, with the ending .csv; {mend}")
    found = []
    for line, row in read_csv(path, _LONG, check=check):
        cells = {column: cell if cell.strip() else math.nan for column, cell in row.items()}
        for column in _NEEDED:
            if column != "text" and cells[column] is math.nan:
                raise InputError(f"{path}:{line}: no {column}; expected one in every row.")
        value = number(f"{path}:{line}: 'value'", row["value"])
        scale = cells.get("scale")
        if isinstance(scale, str):
            on_scale(f"{path}:{line}: 'value'", value, scale)
        found.append((line, cells | {"value": value}))
    if not found:
        raise InputError(f"{path}: a header and no rows; expected {_LONG}.")
    _check_same(path, found)
    _check_once(path, found, "rater", named=True)
    frame = pd.DataFrame([row for _, row in found])
    return Ratings.of(frame, name or _stem(path), group_name="group")


def write_long(ratings: Ratings, path: str | Path) -> None:
    """Write ratings whole as CSV in the long format; what is missing is an empty cell. `read_long` reads it back."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")  # any other leaves a lone \r in a text without quotes
    writer.writerow(COLUMNS)
    for row in ratings.frame[list(COLUMNS)].itertuples(index=False):
        writer.writerow(["" if pd.isna(cell) else _written(cell) for cell in row])
    write_text(Path(path), text.getvalue())


def _stem(path: Path) -> str:
    return path.name.removesuffix(ENDING).removesuffix(path.suffix)


def _written(cell: str | float) -> str:
    """A text as it is; a number so that it is read back exactly."""
    return cell if isinstance(cell, str) else f"{int(cell)}" if cell == int(cell) else repr(float(cell))


def _rows(path: Path, columns: Sequence[str]) -> _Rows:
    """The rows of the file, in which each of the columns must stand."""

    def check(names: Sequence[str]) -> None:
        for column in columns:
            if column not in names:
                known = ", ".join(repr(name[:40]) for name in names[:12]) or "none"
                raise InputError(f"{path}:1: no column '{column}'; it has {known}.{nearest(column, names)}")

    kind = path.suffix.lower()
    if kind not in (".csv", ".jsonl") and not path.is_dir():
        raise InputError(f"{path}: expected {_WHAT}; got the ending '{path.suffix}'.")
    if kind == ".csv":
        return list(read_csv(path, _WHAT, check=check))
    rows = [(line, parse_row(f"{path}:{line}", text)) for line, text in read_lines(path, _WHAT)]
    check(list(dict.fromkeys(name for _, row in rows for name in row)))  # a field may be missing where it is empty
    return rows


def _cell(where: str, column: str, row: dict[str, Any], *, as_is: bool) -> str | float:
    """A text as it is, or a name without the blanks around it; NaN where it is missing or blank."""
    value = row.get(column)
    if value is None:
        return math.nan
    found = string(where, column, value)
    return (found if as_is else found.strip()) if found.strip() else math.nan


def _name_items(rows: list[dict[str, Any]]) -> int:
    """Number the items by text, group and author; returns how many rows have no text to be known by."""
    known: dict[Any, str] = {}
    unknown = 0
    for place, row in enumerate(rows):
        key: Any = (row["text"], *(str(row.get(field, "")) for field in ("group", "author")))
        if not isinstance(row["text"], str):
            key, unknown = place, unknown + 1
        row["item"] = known.setdefault(key, str(len(known) + 1))
    return unknown


def _check_same(path: Path, found: _Rows) -> None:
    """An item has one text, prompt, group, author and source in all its rows."""
    before: dict[tuple[str, str], tuple[int, str]] = {}
    for line, row in found:
        for field in ABOUT_ITEM:
            here = str(row.get(field, ""))
            first, there = before.setdefault((row["item"], field), (line, here))
            if here != there:
                raise InputError(
                    f"{path}:{line}: item '{row['item']:.40}' has another {field} than on line {first}; give different "
                    "texts different names."
                )


def _check_once(path: Path, found: _Rows, rater: str | None, *, named: bool) -> None:
    """No rater rated an item twice on a criterion; without raters there is one rating each, their mean."""
    before: dict[Any, int] = {}
    for line, row in found:
        who = row.get("rater", math.nan)
        key = (row["item"], str(who), row.get("panel"), row["criterion"])
        first = before.setdefault(key, line)
        if first == line:
            continue
        of = (f"item '{row['item']:.40}'" if named else f"'{row['text']:.40}'") + f" on '{row['criterion']:.40}'"
        if isinstance(who, str):
            raise InputError(
                f"{path}:{line}: rater '{who:.40}' rated {of} twice (before on line {first}); keep one row."
            )
        mend = "name the column of raters" if rater is None else f"fill '{rater}'"
        raise InputError(
            f"{path}:{line}: a second rating of {of} (before on line {first}) and no rater; {mend}, or keep one row."
        )
