"""Layers as they are asked for and named: "all", "0-7", "2,4", or "depth 0.25" as a share of the blocks.

Layers count from 0. How they are written can be checked before any model is there; whether they exist, only with it.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

from creativity_lens.errors import InputError, nearest

_WRITTEN = "layers: expected 'all', '0-7' or '2,4', got"
_DEPTH = re.compile(r"depth\s+(0|0?\.\d{1,6})")


def check_layers(layers: Any) -> None:
    """Refuse, with an `InputError`, layers that no model could have."""
    if isinstance(layers, str):
        if not _DEPTH.fullmatch(layers.strip().lower()):
            _ranges(layers)
        return
    if not hasattr(layers, "__iter__"):
        raise InputError(f"layers: expected 'all', '0-7', '2,4' or a list of numbers, got {layers!r}.")
    numbers = list(layers)
    if not numbers:
        raise InputError("layers: expected at least one layer, got none.")
    for number in numbers:
        if isinstance(number, bool) or not hasattr(number, "__index__"):
            raise InputError(f"layers: expected whole numbers, got {number!r}.")


def choose_layers(layers: Any, n_layers: int, name: str) -> list[int]:
    """Layer numbers of a model of `n_layers` blocks, rising and without repeats; `name` is what errors call the model.

    >>> choose_layers("2,4-5", 8, "pocket-chat"), choose_layers("depth 0.25", 32, "llama-2-7b")
    ([2, 4, 5], [8])
    """
    if hasattr(layers, "__iter__") and not isinstance(layers, str):
        layers = list(layers)  # a generator would be empty the second time
    check_layers(layers)
    if isinstance(layers, str):
        if depth := _DEPTH.fullmatch(layers.strip().lower()):
            return [min(round(float(depth[1]) * n_layers), n_layers - 1)]
        ends = _ranges(layers) or [(0, n_layers - 1)]
    else:
        ends = [(int(number), int(number)) for number in layers]
    for number in (number for both in ends for number in both):
        if not 0 <= number < n_layers:
            raise InputError(f"layers: expected 0 to {n_layers - 1} for {name}, got {number}.")
    return sorted({number for first, last in ends for number in range(first, last + 1)})


def _ranges(layers: str) -> list[tuple[int, int]]:
    """First and last of each part of "0-3,7"; none for "all"."""
    return [_range(part, layers) for part in layers.split(",")] if layers.strip().lower() != "all" else []


def _range(part: str, whole: str) -> tuple[int, int]:
    first, dash, last = (piece.strip() for piece in part.partition("-"))
    last = last if dash else first
    if not all(end.isdecimal() and len(end) < 10 for end in (first, last)):
        raise InputError(f"{_WRITTEN} '{whole[:60]}'.{nearest(whole[:60], ['all'])}")
    if int(last) < int(first):
        raise InputError(f"layers: expected a rising range such as 0-7, got '{part.strip()}'.")
    return int(first), int(last)


def drawn_only(n_layers: int) -> int:
    """The first layer of the last fifth, which is drawn and never chosen: pushing there mostly picks words."""
    return math.ceil(0.8 * n_layers)


def layer_ranges(layers: Sequence[int]) -> str:
    """Layers in short: "0-7", or "0,2,5" where some between are missing.

    >>> layer_ranges((0, 1, 2)), layer_ranges((0, 2))
    ('0-2', '0,2')
    """
    unbroken = len(layers) > 1 and list(range(layers[0], layers[-1] + 1)) == list(layers)
    return f"{layers[0]}-{layers[-1]}" if unbroken else ",".join(map(str, layers))
