"""Files of texts to be scored: one text a line, one JSON object a line, or a CSV table with a header.

It guarantees that whatever is wrong with a file is one `InputError` of one line that names the file, the line and what
was expected, and that the file is bounded in size before it is parsed. Empty texts are left out and counted.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError, nearest
from creativity_lens.files import read_text
from creativity_lens.rows import parse_row, read_lines

ENDINGS = (".txt", ".jsonl", ".csv")
_WHAT = "a file of texts: .txt, one a line; .jsonl, one object a line; or .csv, with a header"
_LONGEST_CELL = 1_000_000  # characters


@dataclass(frozen=True)
class TextFile:
    """The texts of a file that are not empty."""

    ids: tuple[str, ...]  # as the file names them ("id"), else the line's number
    texts: tuple[str, ...]
    empty: tuple[int, ...]  # numbers of the lines without a text


def load_texts(path: str | Path, column: str = "text") -> TextFile:
    """The texts of a .txt, .jsonl or .csv file; `column` names the field or column that holds them.

    Raises `InputError` for a folder, another ending, a file that is not UTF-8 or too large, a line that is no JSON
    object or a row of another width than the header, a missing column (the nearest is offered), a value that is no
    string, and a file without any text.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in ENDINGS and not path.is_dir():
        raise InputError(f"{path}: expected {_WHAT}; got the ending '{path.suffix}'.")
    if kind == ".csv":
        return _kept(path, column, read_csv(path, _WHAT, check=lambda names: _check_column(path, 1, names, column)))
    numbered = read_lines(path, _WHAT)  # refuses folders, binaries, and what is too large
    if kind == ".txt":
        total = read_text(path, _WHAT).rstrip("\n").count("\n") + 1
        full = {number for number, _ in numbered}
        empty = tuple(number for number in range(1, total + 1) if number not in full)
        return TextFile(tuple(str(n) for n, _ in numbered), tuple(line.strip("\r\n") for _, line in numbered), empty)
    return _kept(path, column, _objects(path, numbered))


def read_csv(
    path: Path, what: str, *, delimiter: str = ",", check: Callable[[list[str]], object] | None = None
) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV file as cells by column, with the line that each one ends on: cells may hold line breaks.

    `what` names the file's role; `check` sees the header before any row is looked at; with a tab as `delimiter` quotes
    are letters like others. Raises `InputError` for what `read_lines` refuses, a column that stands twice, a row of
    another width than the header, and broken quotes.

    >>> read_csv(Path("a.csv"), "a file of ratings")                       # doctest: +SKIP
    [(2, {'id': '1', 'text': 'The tide came in.'})]
    """
    read_lines(path, what)  # refuses folders, binaries, and what is too large
    old = csv.field_size_limit(_LONGEST_CELL)
    lines = io.StringIO(read_text(path, what), newline="")
    reader = (
        csv.reader(lines, strict=True, delimiter=delimiter, quoting=csv.QUOTE_NONE)
        if delimiter == "\t"
        else csv.reader(lines, strict=True, delimiter=delimiter)
    )
    found = []
    try:
        header = next(reader, [])
        if twice := [name for place, name in enumerate(header) if name in header[:place]]:
            raise InputError(f"{path}:1: the column '{twice[0]}' stands twice; rename one.")
        if check is not None:
            check(header)
        for row in reader:
            if row and len(row) != len(header):
                raise InputError(
                    f"{path}:{reader.line_num}: expected {len(header)} cells, as in the header, got {len(row)}; "
                    "put texts with commas in quotes."
                )
            if row:
                found.append((reader.line_num, dict(zip(header, row, strict=True))))
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: not CSV ({error}); put texts in quotes, quotes doubled.") from None
    finally:
        csv.field_size_limit(old)
    return found


def _kept(path: Path, column: str, rows: Iterable[tuple[int, dict[str, Any]]]) -> TextFile:
    """The texts of the rows that have one."""
    found = [_checked(path, number, row, column) for number, row in rows]
    kept = [(name, text) for _, name, text in found if text.strip()]
    if not kept:
        raise InputError(f"{path}: every '{column}' is empty; expected texts.")
    names, texts = zip(*kept, strict=True)
    return TextFile(names, texts, tuple(number for number, _, text in found if not text.strip()))


def _objects(path: Path, numbered: list[tuple[int, str]]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in numbered:
        yield number, parse_row(f"{path}:{number}", line)


def _checked(path: Path, number: int, row: dict[str, Any], column: str) -> tuple[int, str, str]:
    """Line, name and text of a row."""
    _check_column(path, number, list(row), column)
    text = row[column]
    if not isinstance(text, str):
        raise InputError(f"{path}:{number}: '{column}': expected a string, got {text!r:.40}; write it in quotes.")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(f"{path}:{number}: '{column}': holds a lone surrogate, which is no character; remove it.")
    name = row.get("id")
    return number, str(name) if isinstance(name, str | int) and name != "" else str(number), text


def _check_column(path: Path, number: int, names: list[str], column: str) -> None:
    if column not in names:
        known = ", ".join(repr(name[:40]) for name in names[:8]) or "none"
        raise InputError(
            f"{path}:{number}: no column '{column}'; it has {known}: set --column.{nearest(column, names)}"
        )
