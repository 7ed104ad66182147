"""GGUF control vectors read back, by a parser of our own: the format's own package maps files and trusts their sizes.

The rules are those of llama.cpp's loaders (which turn the whole file down) and of repeng and EasySteer.
"""

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from creativity_lens.errors import InputError
from creativity_lens.exports.foreign import (
    MOST_LAYERS,
    Foreign,
    Problem,
    is_layer_number,
    open_file,
    some,
    vector_problems,
)
from creativity_lens.exports.gguf import OWN

WHAT = "a GGUF control vector"
_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # value type -> bytes
_STRING, _ARRAY, _UINT32 = 8, 9, 4
_F32 = 0
_MOST_KEYS = _MOST_TEXTS = 4096
_LONGEST_KEPT = 1000  # bytes of a name or of a value that is looked at
_AS_FAR_AS_IT_GOES = re.compile(r"direction\.(\s+\+?|\+)\d+.*|direction\.\d+\D.*", re.DOTALL)  # what C++'s stoi takes
_LONGEST_NAME = 63  # bytes of a tensor's name, llama.cpp's limit
_OURS = f"{OWN}layer_index"  # this package wrote the file, and counts blocks as llama.cpp does
_WANTED = ("general.architecture", "general.alignment", "controlvector.model_hint", "controlvector.layer_count", _OURS)


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int  # from the start of the data

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


class _DamagedError(ValueError):
    """The bytes are no GGUF file, or not all of one."""


class _Cursor:
    """A place in a file that cannot be read past its end."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self.size, self.at = file, size, 0

    def skip(self, count: int) -> None:
        if count > self.size - self.at:
            raise _DamagedError(f"cut off: {count:,} more bytes expected at byte {self.at:,} of {self.size:,}")
        self.at += count

    def take(self, count: int) -> bytes:
        start = self.at
        self.skip(count)
        self._file.seek(start)
        return self._file.read(count)

    def number(self, code: str) -> int:
        return int(struct.unpack(f"<{code}", self.take(struct.calcsize(code)))[0])

    def text(self) -> str:
        """A string, cut where it is longer than anything that is looked at."""
        length = self.number("Q")
        kept = self.take(min(length, _LONGEST_KEPT)) if length <= self.size - self.at else b""
        self.skip(length - len(kept))
        try:
            return kept.decode("utf-8") if length <= _LONGEST_KEPT else kept.decode("utf-8", "replace")
        except UnicodeDecodeError:
            raise _DamagedError("a name or text that is not UTF-8") from None


def read_gguf(path: str | Path) -> Foreign:
    """What a GGUF control vector holds, and what its readers would refuse.

    Raises `InputError` for what is no GGUF file, is damaged, or claims more tensors than any model has layers.
    """
    path = Path(path)
    file, size = open_file(path, WHAT)
    with file:
        try:
            return _read(_Cursor(file, size), file)
        except _DamagedError as error:
            raise InputError(f"{path}: not a whole GGUF file ({error}); expected {WHAT}.") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); expected {WHAT}.") from None


def _read(cursor: _Cursor, file: BinaryIO) -> Foreign:
    tensors, values = _header(cursor)
    alignment = values.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise _DamagedError("its alignment is no power of two")
    start = -(-cursor.at // alignment) * alignment
    end = _check_places(tensors, start, cursor.size, alignment)
    vectors: dict[int, np.ndarray] = {}
    problems = list(_name_problems(tensors))
    for tensor in tensors:
        number = _number(tensor.name)
        if number is None or tensor.kind != _F32 or len(_true_shape(tensor)) > 1 or number in vectors:
            continue
        file.seek(start + tensor.offset)
        vectors[number] = np.fromfile(file, "<f4", tensor.elements).astype(np.float32, copy=False)
        if len(vectors[number]) != tensor.elements:
            raise _DamagedError("it grew shorter while it was read")
    problems += vector_problems(vectors, "direction.{}")
    if not tensors:
        problems.append(Problem("llama.cpp and repeng: it holds no direction.N, so nothing would be steered."))
    if end > cursor.size:
        problems.append(Problem("llama.cpp: the file ends before the padding of its last tensor.", unusable=False))
    problems += _metadata_problems(values, len(tensors))
    return Foreign(vectors, _hint(values), some(problems), _notes(values), "post" if _OURS in values else None)


def _header(cursor: _Cursor) -> tuple[list[_Tensor], dict[str, object]]:
    if cursor.take(min(4, cursor.size)) != b"GGUF":
        raise _DamagedError("it does not begin with GGUF")
    version = cursor.number("I")
    if version not in (2, 3):
        swapped = version and version % 65536 == 0
        raise _DamagedError("it is big-endian" if swapped else f"version {version}, expected 2 or 3")
    n_tensors, n_keys = cursor.number("Q"), cursor.number("Q")
    for count, most, of in ((n_tensors, MOST_LAYERS, "tensors, one a layer"), (n_keys, _MOST_KEYS, "metadata keys")):
        if count > most:
            raise _DamagedError(f"it claims {count:,} where at most {most:,} {of}, are expected")
    values: dict[str, object] = {}
    seen = set()
    for _ in range(n_keys):
        key = cursor.text()
        if key in seen:
            raise _DamagedError(f"its key {key[:60]!r} stands twice")
        seen.add(key)
        value = _value(cursor, cursor.number("I"))
        if key in _WANTED:
            values[key] = value
    tensors = [_tensor(cursor) for _ in range(n_tensors)]
    return tensors, values


def _value(cursor: _Cursor, kind: int) -> object:
    """A metadata value, as far as it is looked at: texts and whole numbers; the rest is passed over."""
    if kind == _STRING:
        return cursor.text()
    if kind == _UINT32:
        return cursor.number("I")
    if kind in _SCALARS:
        data = cursor.take(_SCALARS[kind])
        return int.from_bytes(data, "little", signed=kind in (5, 11)) if kind in (5, 10, 11) else None
    if kind != _ARRAY:
        raise _DamagedError(f"a metadata value of unknown type {kind}")
    inner, count = cursor.number("I"), cursor.number("Q")
    if inner in _SCALARS:
        cursor.skip(_SCALARS[inner] * count)
    elif inner == _STRING:
        if count > _MOST_TEXTS:
            raise _DamagedError(f"it lists {count:,} texts, as models do and control vectors do not")
        for _ in range(count):
            cursor.skip(cursor.number("Q"))
    else:
        raise _DamagedError(f"a list of unknown type {inner}")
    return None


def _tensor(cursor: _Cursor) -> _Tensor:
    name, dimensions = cursor.text(), cursor.number("I")
    if dimensions > 4:
        raise _DamagedError(f"tensor {name[:60]!r} claims {dimensions:,} dimensions")
    shape = tuple(cursor.number("Q") for _ in range(dimensions))
    return _Tensor(name, shape, cursor.number("I"), cursor.number("Q"))


def _check_places(tensors: list[_Tensor], start: int, size: int, alignment: int) -> int:
    """Each tensor begins where the one before it ended, as llama.cpp demands, so none can claim another's bytes.

    Returns where the padded data should end.
    """
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    expected = 0
    for tensor in tensors:
        try:
            block, each = GGML_QUANT_SIZES[GGMLQuantizationType(tensor.kind)]
        except (ValueError, KeyError):
            raise _DamagedError(f"tensor {tensor.name[:60]!r} is of unknown type {tensor.kind}") from None
        length = tensor.elements // block * each
        if tensor.offset != expected:
            raise _DamagedError(f"tensor {tensor.name[:60]!r} is at {tensor.offset:,}, expected {expected:,}")
        if start + expected + length > size:
            raise _DamagedError(
                f"cut off: tensor {tensor.name[:60]!r} ends at {start + expected + length:,} of {size:,}"
            )
        expected += -(-length // alignment) * alignment
    return start + expected


def _number(name: str) -> int | None:
    head, dot, tail = name.partition(".")
    right = head == "direction" and bool(dot) and is_layer_number(tail)
    return int(tail) if right and int(tail) <= MOST_LAYERS else None


def _true_shape(tensor: _Tensor) -> tuple[int, ...]:
    """The shape as llama.cpp counts dimensions: ones at the end are none."""
    shape = list(tensor.shape)
    while len(shape) > 1 and shape[-1] == 1:
        shape.pop()
    return tuple(shape)


def _name_problems(tensors: list[_Tensor]) -> Iterator[Problem]:
    names = set()
    for tensor in tensors:
        name, number = repr(tensor.name if len(tensor.name) <= 60 else tensor.name[:57] + "..."), _number(tensor.name)
        if tensor.name in names or len(tensor.name.encode()) > _LONGEST_NAME:
            yield Problem(f"llama.cpp: tensor {name} stands twice or has a name of more than {_LONGEST_NAME} bytes.")
        elif number is None and _AS_FAR_AS_IT_GOES.fullmatch(tensor.name):
            yield Problem(
                f"tensor {name}: expected only names direction.N; llama.cpp reads a number as far as it goes, repeng "
                "refuses the file."
            )
        elif number is None:
            yield Problem(
                f"llama.cpp: tensor {name}: expected only names direction.N, N from 1 to {MOST_LAYERS:,}; the whole "
                "file is rejected."
            )
        elif number == 0:
            yield Problem("llama.cpp: direction.0: N counts from 1; the whole file is rejected.", unusable=False)
        elif str(number) != tensor.name.partition(".")[2]:
            yield Problem(f"tensor {name}: a number with zeros in front, which readers take for the same layer twice.")
        names.add(tensor.name)
        if number is not None and tensor.kind != _F32:
            yield Problem(f"llama.cpp: tensor {name} is not F32 (type {tensor.kind}); the whole file is rejected.")
        if number is not None and len(_true_shape(tensor)) > 1:
            yield Problem(f"llama.cpp: tensor {name} has shape {tensor.shape}, expected one dimension.")
        elif number is not None and len(tensor.shape) != 1:
            yield Problem(f"repeng: tensor {name} has shape {tensor.shape}, expected one dimension.", unusable=False)


def _metadata_problems(values: dict[str, object], tensors: int) -> Iterator[Problem]:
    if _hint(values) is None:
        yield Problem("repeng and EasySteer: no controlvector.model_hint, so they refuse the file.", unusable=False)
    count = values.get("controlvector.layer_count")
    if isinstance(count, int) and count != tensors:
        yield Problem(
            f"controlvector.layer_count says {count:,}, the file holds {tensors:,}: one is wrong.", unusable=False
        )


def _notes(values: dict[str, object]) -> tuple[str, ...]:
    architecture = values.get("general.architecture")
    if architecture == "controlvector":
        return ()
    said = repr(architecture[:60]) if isinstance(architecture, str) else "none"
    return (f"general.architecture is {said}, expected 'controlvector': repeng and EasySteer complain, and go on.",)


def _hint(values: dict[str, object]) -> str | None:
    hint = values.get("controlvector.model_hint")
    return hint if isinstance(hint, str) and hint else None
