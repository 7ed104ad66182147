"""Directions in numpy's `.npz`, read row by row: an archive may claim, and unpack to, far more than its own size."""

import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from creativity_lens.errors import InputError
from creativity_lens.exports.foreign import MOST_LAYERS, Foreign, Problem, open_file, some, vector_problems

WHAT = "an .npz file of directions, [layer, d_model]"
_NAMES = ("vectors", "directions")  # which array is meant, where there are several
_END = b"PK\x05\x06"
_LONGEST_TAIL = 22 + 65535  # bytes in which an archive's last record lies
_DIRECTORY = 1 << 14  # bytes of the list of its members: some hundred
_TIMES = 4  # what is unpacked and kept, in sizes of the file


# what zipfile, zlib and numpy raise on bytes from elsewhere
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError,
    OverflowError, LookupError, TypeError,
)  # fmt: skip


class _UnfitError(ValueError):
    """The archive is not what was expected; says why."""


def read_npz(path: str | Path) -> Foreign:
    """What an archive's array of directions holds, one row a layer; rows of zeros are layers without a direction.

    Raises `InputError` for what is no archive of arrays, is damaged, holds pickles, or unpacks to more than it may.
    """
    path = Path(path)
    file, size = open_file(path, WHAT)
    with file:
        try:
            vectors = _read(file, size)
        except _UnfitError as error:
            raise InputError(f"{path}: {error}; expected {WHAT}.") from None
        except _DAMAGED:
            raise InputError(f"{path}: damaged or not an archive of arrays; expected {WHAT}.") from None
    problems = vector_problems(vectors, "row {}")
    if not vectors:
        problems.append(Problem("all rows are zeros, which push nowhere."))
    return Foreign(vectors, None, some(problems))


def _read(file: BinaryIO, size: int) -> dict[int, np.ndarray]:
    _check_directory(file, size)
    with zipfile.ZipFile(file) as archive:
        arrays = {}
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _UnfitError("compressed in a way that numpy does not write")
            with archive.open(member) as stream:
                arrays[member.filename.removesuffix(".npy")] = (member, _header(stream))
        flat = [name for name, (_, (shape, _)) in arrays.items() if len(shape) == 2]
        named = [name for name in _NAMES if name in flat] or flat
        if not named or (len(flat) > 1 and named == flat):
            held = ", ".join(f"{name[:40]} {shape}" for name, (_, (shape, _)) in list(arrays.items())[:4]) or "none"
            raise _UnfitError(f"expected one array with two axes, or one named 'vectors', got {held}")
        member, (shape, dtype) = arrays[named[0]]
        with archive.open(member) as stream:
            _header(stream)
            return _rows(stream, shape, dtype, size)


def _check_directory(file: BinaryIO, size: int) -> None:
    """Refuse an archive whose list of members is long, before zipfile makes objects of it."""
    file.seek(max(0, size - _LONGEST_TAIL))
    tail = file.read(_LONGEST_TAIL)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:
        raise _UnfitError("not an archive, or cut off")
    (length,) = struct.unpack_from("<I", tail, at + 12)
    if length > _DIRECTORY or b"PK\x06\x07" in tail:
        raise _UnfitError("too many arrays")


def _header(stream: Any) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise _UnfitError(f"an array of format version {version}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, columns_first, dtype = read(stream)
    if dtype.hasobject:
        raise _UnfitError("it holds pickled objects, which are not read")
    if columns_first and len(shape) == 2:
        raise _UnfitError("an array stored column by column; save np.ascontiguousarray(it)")
    return shape, dtype


def _rows(stream: Any, shape: tuple[int, ...], dtype: np.dtype, size: int) -> dict[int, np.ndarray]:
    rows, width = shape
    if dtype.kind != "f" or dtype.itemsize > 8:
        raise _UnfitError(f"numbers of type {dtype}, expected float16, float32 or float64")
    if not 0 < rows <= MOST_LAYERS + 1 or width < 1:
        raise _UnfitError(f"an array of {rows:,} rows and {width:,} columns")
    each, kept = width * dtype.itemsize, 0
    if each > _TIMES * size:
        raise _UnfitError(f"rows of {each:,} bytes in a file of {size:,}")
    vectors = {}
    for row in range(rows):
        data = stream.read(each)
        if len(data) != each:
            raise _UnfitError(f"cut off in row {row} of {rows:,}")
        numbers = np.frombuffer(data, dtype)
        if not numbers.any():
            continue
        kept += 4 * width
        if kept > _TIMES * size:
            raise _UnfitError("it unpacks to far more than its own size")
        with np.errstate(over="ignore"):  # a float64 too large becomes infinity, which is reported
            vectors[row] = numbers.astype(np.float32)
    if stream.read(1):
        raise _UnfitError("bytes behind its array")
    return vectors
