"""Kept results: one file per work, named by its key, checked by a sum over every byte when it is read.

A cell file is one line, `creativity-lens cell 1 SHA256`, and the safetensors bytes that the sum is of. A file that is
not as it was written is never used: its work is done again.
"""

import hashlib
import json
import re
import warnings
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from creativity_lens.storage import Storage
from creativity_lens.tensor_header import ordered_file
from creativity_lens.work import Result

_HEAD = re.compile(rb"creativity-lens cell 1 ([0-9a-f]{64})\n")
_HEAD_BYTES = len("creativity-lens cell 1 ") + 64 + 1
_NAME = re.compile(r"[0-9a-f]{64}\.cell")


@dataclass(frozen=True, eq=False)
class CellStore:
    """The kept results of a run: `storage` is its folder of cells."""

    storage: Storage

    def read(self, key: str) -> Result | None:
        """The result of that key; None where there is none, or, with a warning, where its file is damaged."""
        data = self.storage.read(f"{key}.cell")
        if data is None:
            return None
        try:
            return _unpack(key, data)
        except ValueError as error:
            warnings.warn(f"{key[:12]}….cell: {error}; its texts are done again.", stacklevel=2)
            return None

    def write(self, key: str, result: Result) -> None:
        """Keep a result, whole or not at all. Raises `InputError` where it cannot be written."""
        # safetensors writes an array's memory as it lies there, which for a view is not its values in order
        dense = {name: np.asarray(array, order="C") for name, array in result.arrays.items()}
        body = ordered_file(save(dense, {"key": key, "halved": json.dumps(list(result.halved))}))
        self.storage.write(
            f"{key}.cell", f"creativity-lens cell 1 {hashlib.sha256(body).hexdigest()}\n".encode() + body
        )

    def names(self) -> list[str]:
        """Names of the cell files, sorted."""
        return [name for name in self.storage.names() if _NAME.fullmatch(name)]

    def check(self, name: str) -> str:
        """What is wrong with the file of that name; "" where nothing is."""
        data = self.storage.read(name)
        if data is None:
            return "no such file"
        try:
            _unpack(name.removesuffix(".cell"), data)
        except ValueError as error:
            return str(error)
        return ""


def _unpack(key: str, data: bytes) -> Result:
    """Raises `ValueError`, saying what is wrong."""
    head = _HEAD.fullmatch(data[:_HEAD_BYTES])
    if head is None:
        raise ValueError("damaged (its first line is not that of a cell)")
    body = data[_HEAD_BYTES:]
    if hashlib.sha256(body).hexdigest().encode() != head[1]:
        raise ValueError("damaged (its bytes do not give its checksum)")
    try:
        arrays = load(body)
        length = int.from_bytes(body[:8], "little")
        about = json.loads(body[8 : 8 + length])["__metadata__"]
        if about["key"] != key:
            raise ValueError("holds another work's result")
        return Result(arrays, tuple(int(size) for size in json.loads(about["halved"])))
    except (SafetensorError, LookupError, TypeError) as error:
        raise ValueError(f"damaged ({type(error).__name__})") from None
