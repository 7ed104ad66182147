"""What a model's weights take once they are loaded, known from config.json and file headers: said, or refused."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from creativity_lens.costs import dimensions_of, rows_that_fit, token_bytes, weight_bytes
from creativity_lens.errors import InputError
from creativity_lens.loading import DTYPES
from creativity_lens.memory import free_memory
from creativity_lens.model_files import bytes_needed
from creativity_lens.model_hub import readable

SAID_FROM = 10**9  # bytes of weights from which what a model needs is said before it is loaded
_SHOWN_LENGTH = 128  # tokens of the rows that are counted then
_MARGIN = 1.05  # of packed weights, for buffers and bookkeeping


@dataclass(frozen=True)
class Needed:
    """A model that is about to be loaded: what its files hold, as what, and to where."""

    name: str
    stored: Mapping[str, int]  # safetensors type -> count of numbers
    dtype: str
    place: torch.device
    gpus: int = 1  # that it is spread over
    fused: int = 0  # numbers that are held twice
    config: Mapping[str, Any] | None = None  # config.json; what is packed, it tells, and without it nothing is
    quantize: str | None = None

    @property
    def places(self) -> list[str]:
        """The devices that hold the weights."""
        return [f"cuda:{index}" for index in range(self.gpus)] if self.gpus > 1 else [str(self.place)]

    @property
    def weights(self) -> int:
        """Bytes of the weights once loaded."""
        total = sum(self.stored.values()) + self.fused
        try:
            return weight_bytes(dimensions_of(self.config or {}), self.dtype, quantize=self.quantize, numbers=total)
        except InputError:
            return total * torch.finfo(DTYPES[self.dtype]).bits // 8


def memory_line(need: Needed) -> str:
    """What a model will take and what is free.

    Rows are those of a batch of texts that are written: their caches, logits and work space beside the weights.

    >>> memory_line(Needed("llama-2-7b", stored, "bfloat16", torch.device("cuda"), config=config))  # doctest: +SKIP
    'llama-2-7b in bfloat16 on cuda: 13.5 GB of weights and 0.5 MB per cached token; 76.1 GB are free, room for batches
    of 461 rows of 128 tokens'
    """
    known = [free for free in map(free_memory, need.places) if free is not None]
    kind = need.dtype if need.quantize is None else f"{need.quantize} and {need.dtype}"
    said = f"{need.name} in {kind} on {' and '.join(need.places)}: {readable(need.weights)} of weights"
    try:
        sizes = dimensions_of(need.config or {})
    except InputError:
        return f"{said}; {readable(sum(known))} are free" if known else said
    said += f" and {_small(token_bytes(sizes, need.dtype))} per cached token"
    if not known:
        return said
    left = known[0] - need.weights / need.gpus  # batches are planned by the first GPU
    rows = rows_that_fit(sizes, _SHOWN_LENGTH, need.dtype, left, on_gpu=need.place.type == "cuda")
    room = f"room for batches of {rows:,} rows of {_SHOWN_LENGTH} tokens" if left > 0 else "which is too little"
    return f"{said}; {readable(sum(known))} are free, {room}"


def say_memory(need: Needed) -> None:
    """Print the memory line on standard error, of a model whose weights take a gigabyte or more."""
    if sum(need.stored.values()) * torch.finfo(DTYPES[need.dtype]).bits // 8 >= SAID_FROM:
        print(memory_line(need), file=sys.stderr)


def refuse_too_large(need: Needed) -> None:
    """Raise `InputError` where the weights alone would not fit in what is free on their device or devices."""
    plain, packed = bytes_needed(need.stored, need.dtype, fused=need.fused), None
    if need.config is not None:
        packed = math.ceil(_MARGIN * replace(need, dtype="bfloat16", fused=0, quantize="4bit").weights)
    if need.quantize is not None:
        _refuse(need, packed or plain, need.places)
        return  # read from the files, and packed on the GPU
    offers_packing = packed and not need.fused and need.place.type == "cuda"
    _refuse(need, plain, need.places, f"quantize '4bit' ({readable(packed)}), " if packed and offers_packing else "")
    kinds = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
    converted = any(kind in ("F64", "F32", "BF16", "F16") and kind != kinds[need.dtype] for kind in need.stored)
    if need.place.type != "cpu" and need.gpus == 1 and converted:
        _refuse(need, plain, ["cpu"])  # converted there; otherwise only mapped from the files


def _refuse(need: Needed, size: int, places: list[str], smaller: str = "") -> None:
    free = [free_memory(place) for place in places]
    known = [one for one in free if one is not None]
    if len(known) == len(free) and sum(known) < size:
        half = f"dtype 'bfloat16' ({readable(size // 2)}), " if need.dtype == "float32" else ""
        raise InputError(
            f"{need.name}: expected {readable(size)} of free memory on {' and '.join(places)} to load it as "
            f"{need.quantize or need.dtype}, got {readable(sum(known))}; use {half}{smaller}a smaller model, or "
            "`devices` for several GPUs."
        )


def _small(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 10**5 else f"{size / 1e3:.1f} kB"
