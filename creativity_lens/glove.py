"""Files of word vectors as text (GloVe, word2vec, fastText): read as a stream, of which only the asked words are kept.

A row is a word and its numbers, parted by single spaces; the word itself may hold spaces, as some of the published
files' do. A first line of two whole numbers, as word2vec writes, is a header. `.gz` and `.zip` are read as they are.
Every row's width is checked, numbers where they are used; memory does not grow with the file.
"""

import gzip
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Float

from creativity_lens.errors import InputError
from creativity_lens.progress import track

PUBLISHED = "glove.840B.300d"  # the file of the published scores of the divergent association task
PUBLISHED_ROWS, PUBLISHED_WIDTH = 2_196_017, 300
_WHAT = "word vectors as text (a word and its numbers on every line)"
_LONGEST_ROW = 2**16  # bytes; 300 numbers take about 3,000
_FIRST = 200  # rows that the width is taken from
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_HEADER = re.compile(rb"\d{1,18} \d{1,18}")
_PICKLES = (b"\x80", b"\x93NUMPY")  # pickles, and numpy's arrays


@dataclass(frozen=True, eq=False)
class Glove:
    """The vectors of some words, and the file that they are from."""

    name: str  # of the file
    width: int
    rows: int  # of the whole file
    vectors: Mapping[str, Float[np.ndarray, " dim"]]  # float32, as they stand there, of the asked words that it has

    @property
    def is_published(self) -> bool:
        """Whether the file has as many rows and numbers as GloVe 840B 300d, on which scores were published."""
        return (self.rows, self.width) == (PUBLISHED_ROWS, PUBLISHED_WIDTH)

    @property
    def id(self) -> str:
        """What was read, for a report."""
        return f"{self.name} ({self.rows:,} words, {self.width} wide)"

    def __repr__(self) -> str:
        return f"Glove({self.id}, {len(self.vectors)} kept)"


def check_glove(path: str | Path) -> int:
    """The width of a file's vectors, from its first rows, after a look at its end: cheap, before work is spent.

    Raises `InputError` for what is no such file, and one whose last row is not whole: a download that broke off.
    """
    path = Path(path)
    with _opened(path) as (handle, first):
        width = _width(path, list(_head(path, handle, first)))
        if _is_plain(path):
            handle.seek(max(0, path.stat().st_size - _LONGEST_ROW))
            _check_end(path, handle.read(), width)
    return width


def read_glove(path: str | Path, words: Iterable[str]) -> Glove:
    """The vectors of `words`, read in one pass; words that the file does not have, or has as zeros, are left out.

    Words are looked up as they are written: lower case is the caller's to choose. Where a word stands twice the first
    row counts. Raises `InputError` for a file that is no text of vectors, a row of another width or without a line end
    (a file cut short), a wanted vector that is not of finite numbers, another number of rows than the header says or
    than the published file of that name has, and archives that are damaged.

    >>> read_glove("glove.840B.300d.txt", ["giraffe", "tax"]).vectors["tax"].shape       # doctest: +SKIP
    (300,)
    """
    path = Path(path)
    width = check_glove(path)
    wanted = {word.encode("utf-8", "surrogatepass"): word for word in words}
    found: dict[str, Float[np.ndarray, " dim"]] = {}
    said: int | None = None
    rows = 0
    # a bar by bytes on disk: the number of rows is not known, and an archive is shorter than what it holds
    with _opened(path) as (handle, first), track("word vectors", path.stat().st_size, unit="bytes") as advance:
        read, ratio = 0, 1.0 if _is_plain(path) else 0.4
        for number, row in _lines(path, handle, first):
            if number == 1 and _HEADER.fullmatch(row.rstrip()):
                said = int(row.split()[0])
                continue
            rows += 1
            read += len(row)
            if read > 2**22:
                advance(int(read * ratio))
                read = 0
            if row.count(b" ") < width:
                raise _narrow(path, (number, row), width)
            start = row[: row.find(b" ")]
            if start in wanted and wanted[start] not in found:
                word, *numbers = row.rsplit(b" ", width)
                if word == start:  # else a word with spaces, of which this is the first part
                    vector = _vector(path, number, numbers)
                    if vector.any():
                        found[wanted[start]] = vector
    if not rows:
        raise InputError(f"{path}: no vectors; expected {_WHAT}.")
    _check_rows(path, rows, said)
    return Glove(path.name, width, rows, found)


def _check_rows(path: Path, rows: int, said: int | None) -> None:
    if said is not None and said != rows:
        raise InputError(f"{path}: expected {said:,} rows, as its header says, got {rows:,}; get the file whole.")
    if path.name.startswith(PUBLISHED) and rows != PUBLISHED_ROWS:
        raise InputError(
            f"{path}: expected {PUBLISHED_ROWS:,} rows, as the published file of that name has, got {rows:,}; get it "
            "whole, or give a part of it another name."
        )


def _vector(path: Path, number: int, numbers: list[bytes]) -> Float[np.ndarray, " dim"]:
    for each in numbers:
        if not _NUMBER.fullmatch(each):
            raise InputError(f"{path}:{number}: expected a number, got {each.decode('utf-8', 'replace')!r:.40}.")
    with np.errstate(over="ignore"):
        vector = np.array(numbers, dtype=np.float64).astype(np.float32)
    if not np.isfinite(vector).all():
        raise InputError(f"{path}:{number}: expected finite numbers, got one beyond float32.")
    return vector


def _width(path: Path, rows: list[tuple[int, bytes]]) -> int:
    """Numbers in a row: as most of the first rows have, since a word may hold spaces, and none has fewer."""
    if not rows:
        raise InputError(f"{path}: no vectors; expected {_WHAT}.")
    counts = [row.count(b" ") for _, row in rows]
    width = max(sorted(set(counts)), key=counts.count)
    _, usual = rows[counts.index(width)]
    if width < 2 or not all(_NUMBER.fullmatch(each) for each in usual.split(b" ")[1:]):
        raise InputError(f"{path}: expected {_WHAT}; got a line that begins {usual[:30].decode('utf-8', 'replace')!r}.")
    if min(counts) < width:
        raise _narrow(path, rows[counts.index(min(counts))], width)
    return width


def _narrow(path: Path, row: tuple[int, bytes], width: int) -> InputError:
    number, line = row
    return InputError(
        f"{path}:{number}: expected a word and {width} numbers, as most of the first rows have, got "
        f"{line.count(b' ')}; get the file whole."
    )


def _head(path: Path, handle: BufferedIOBase, first: bytes) -> Iterator[tuple[int, bytes]]:
    for number, row in _lines(path, handle, first):
        if number > _FIRST:
            return
        if number > 1 or not _HEADER.fullmatch(row.rstrip()):
            yield number, row


def _lines(path: Path, handle: BufferedIOBase, first: bytes) -> Iterator[tuple[int, bytes]]:
    """Rows with their numbers, without line ends and trailing spaces; every one must have its line end."""
    line, number = first, 0
    try:
        while line:
            number += 1
            if len(line) >= _LONGEST_ROW:
                raise InputError(f"{path}:{number}: a line longer than {_LONGEST_ROW:,} bytes; expected {_WHAT}.")
            if not line.endswith(b"\n"):
                raise _cut(path, number)
            yield number, line.rstrip(b" \r\n")
            line = handle.readline(_LONGEST_ROW)
    except (EOFError, zlib.error, zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{path}: damaged or cut short after line {number:,} ({error}); get it whole.") from None


def _check_end(path: Path, end: bytes, width: int) -> None:
    if not end.endswith(b"\n"):
        raise _cut(path)
    last = end.rstrip(b" \r\n").rpartition(b"\n")[2]
    if last.count(b" ") < width:
        raise _cut(path)


def _cut(path: Path, number: int | None = None) -> InputError:
    where = f"{path}:{number}" if number else str(path)
    return InputError(f"{where}: the last row is not whole: the file is cut short; get it whole.")


def _is_plain(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(2) not in (b"\x1f\x8b", b"PK")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BufferedIOBase, bytes]]:
    """The file as bytes, unpacked, and its first line."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: expected {_WHAT}, got a folder.")
        with path.open("rb") as plain:
            start = plain.read(2)
            plain.seek(0)
            if start == b"PK":
                with zipfile.ZipFile(plain) as archive, archive.open(_member(path, archive)) as member:
                    unpacked = cast(zipfile.ZipExtFile, member)
                    yield unpacked, _first(path, unpacked)
            elif start == b"\x1f\x8b":
                with gzip.open(plain) as inner:
                    yield inner, _first(path, inner)
            else:
                yield plain, _first(path, plain)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected {_WHAT}.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path}: cannot be unpacked ({error}); get it whole.") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}).") from None


def _member(path: Path, archive: zipfile.ZipFile) -> str:
    texts = [name for name in archive.namelist() if name.endswith((".txt", ".vec"))]
    if len(texts) != 1:
        raise InputError(f"{path}: expected one .txt or .vec file inside, got {len(texts)}; unpack it and name one.")
    return texts[0]


def _first(path: Path, handle: BufferedIOBase) -> bytes:
    line = handle.readline(_LONGEST_ROW)
    if b"\0" in line or line.startswith(_PICKLES):
        raise InputError(f"{path}: expected {_WHAT}, got a binary file.")
    return line
