"""Directions in JSON files of other tools, read without trusting their size or shape.

Python's parser makes an object of 24 bytes of every number and more of every pair of brackets. Lists of numbers are
therefore taken out first, straight into float32, and what is left must be short.
"""

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from creativity_lens.errors import InputError
from creativity_lens.exports.foreign import (
    MOST_LAYERS,
    Foreign,
    Problem,
    finite,
    is_layer_number,
    open_file,
    some,
    vector_problems,
)

_REST = 1 << 16  # bytes that may stand outside strings and lists of numbers, and in strings
# a string (skipped, so that brackets in it mean nothing), or a list of numbers; possessive, so that no state piles up
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|\[[-+.0-9eE,\s]*+\]|\[[-+.0-9eE,\sNaInfity]*+\]', re.DOTALL)
_MARK = "\0"  # a list of numbers stands in the text as a string of this and its number
_HOOK = re.compile(r"blocks\.(\d{1,9})\.hook_out")


@dataclass(frozen=True, eq=False)
class _Document:
    """A parsed file, its lists of numbers aside."""

    value: Any
    lists: list[np.ndarray]

    def numbers(self, value: Any) -> np.ndarray | None:
        """The list of numbers that a value stands for, or None. `[[..]]`, as some tools write, is that one list."""
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, str) and value.startswith(_MARK) and value[1:].isdecimal():
            index = int(value[1:])
            return self.lists[index] if index < len(self.lists) else None
        return None


def _read(path: Path, what: str) -> _Document:
    file, _ = open_file(path, what)
    try:
        with file:
            data = file.read()
        return _parse(data)
    except (RecursionError, UnicodeDecodeError, ValueError) as error:
        said = "nested too deep" if isinstance(error, RecursionError) else str(error).split("\n")[0][:160]
        raise InputError(f"{path}: not JSON that can be read ({said}); expected {what}.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected {what}.") from None


def _parse(data: bytes) -> _Document:
    rest: list[bytes] = []
    lists: list[np.ndarray] = []
    length = at = 0
    view = memoryview(data)

    def keep(piece: bytes) -> None:
        nonlocal length
        length += len(piece)
        if length > _REST:
            raise ValueError(f"more than {_REST // 1024} KiB beside its lists of numbers")
        rest.append(piece)

    for found in _TOKEN.finditer(data):
        start, end = found.span()
        if end - at > _REST and data[start : start + 1] != b"[":
            break  # what is kept below is then too long
        if data[start : start + 1] != b"[":
            continue
        if len(lists) > MOST_LAYERS:
            raise ValueError(f"more than {MOST_LAYERS:,} lists of numbers")
        keep(_bounded(view, at, start))
        keep(b'"\\u0000%d"' % len(lists))
        lists.append(_numbers(bytes(view[start + 1 : end - 1])))
        at = end
    keep(_bounded(view, at, len(data)))
    return _Document(json.loads(b"".join(rest).decode("utf-8")), lists)


def _bounded(view: memoryview, start: int, end: int) -> bytes:
    return bytes(view[start : min(end, start + _REST + 1)])


def _numbers(text: bytes) -> np.ndarray:
    count = text.count(b",") + 1 if text.strip() else 0
    if not count:
        return np.zeros(0, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # older versions of numpy stop at what is no number, and only warn
        try:
            found = np.fromstring(text, np.float32, sep=",")  # told the count, it would invent what is missing
        except (ValueError, DeprecationWarning, RuntimeWarning):
            raise ValueError("a list holds what is no number") from None
    if len(found) != count:
        raise ValueError("a list holds what is no number")
    return found


def read_svec(path: str | Path) -> Foreign:
    """What an `.svec` file holds, and what AISteer360 and activation-steering would refuse.

    Raises `InputError` for what is no JSON or is too large beside its vectors.
    """
    path = Path(path)
    document = _read(path, "an .svec file")
    value = document.value
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected an .svec file, a JSON object with 'directions', got something else.")
    problems: list[Problem] = []
    listed = value.get("directions")
    if not isinstance(listed, dict) or not listed:
        problems.append(Problem("both readers: no 'directions' with a list a layer."))
        listed = {}
    vectors = _by_layer(document, listed, problems)
    model_type = value.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        problems.append(Problem("both readers: no 'model_type', so they refuse the file.", unusable=False))
    problems += _variance_problems(value.get("explained_variances"), listed)
    own = value.get("clens")
    dialect = own.get("dialect") if isinstance(own, dict) else None
    numbering = {"aisteer360": "post", "activation-steering": "pre"}.get(dialect) if isinstance(dialect, str) else None
    notes = (f"Written in the dialect of {str(dialect)[:60]}.",) if dialect is not None else ()
    return Foreign(
        vectors,
        model_type if isinstance(model_type, str) and model_type else None,
        some([*problems, *vector_problems(vectors, "layer {}")]),
        notes,
        numbering,
    )


def _by_layer(document: _Document, listed: Mapping[str, Any], problems: list[Problem]) -> dict[int, np.ndarray]:
    vectors: dict[int, np.ndarray] = {}
    for key, item in listed.items():
        shown = repr(key if len(key) <= 60 else key[:57] + "...")
        vector = document.numbers(item)
        if not is_layer_number(key) or int(key) > MOST_LAYERS:
            problems.append(Problem(f"layer {shown}: expected a number from 0 to {MOST_LAYERS:,}."))
        elif vector is None:
            problems.append(Problem(f"layer {shown}: expected one list of numbers."))
        elif int(key) in vectors:
            problems.append(Problem(f"layer {shown}: stands twice."))
        else:
            vectors[int(key)] = vector
    return vectors


def _variance_problems(variances: Any, layers: Mapping[str, Any]) -> list[Problem]:
    if not isinstance(variances, dict):
        return [Problem("activation-steering: no 'explained_variances', so it refuses the file.", unusable=False)]
    if any(key not in variances for key in layers):
        return [Problem("activation-steering: 'explained_variances' lacks a layer.", unusable=False)]
    if not all(is_layer_number(key) and finite(value) for key, value in variances.items()):
        return [Problem("both readers: 'explained_variances' holds what is no number by layer.", unusable=False)]
    return []


def read_vllm(path: str | Path) -> Foreign:
    """What a file of interventions for vLLM through TransformerLens holds, and what its driver would refuse."""
    path = Path(path)
    document = _read(path, "a JSON file of interventions")
    if not isinstance(document.value, dict) or not document.value:
        raise InputError(f"{path}: expected a JSON object of interventions by hook, got something else.")
    vectors: dict[int, np.ndarray] = {}
    problems = []
    for hook, spec in document.value.items():
        shown, place = repr(hook[:60]), _HOOK.fullmatch(hook)
        vector = document.numbers(spec.get("value")) if isinstance(spec, dict) else None
        if place is None or int(place[1]) > MOST_LAYERS:
            problems.append(Problem(f"{shown}: expected the name of a residual hook, blocks.N.hook_out."))
        elif not isinstance(spec, dict) or spec.get("op") != "add" or vector is None:
            problems.append(Problem(f'{shown}: expected {{"op": "add", "value": [..]}}.'))
        elif set(spec) - {"op", "value", "pos"}:
            extra = sorted(set(spec) - {"op", "value", "pos"})[0]
            problems.append(Problem(f"{shown}: TransformerLens refuses the unknown key {extra[:60]!r}."))
        else:
            vectors[int(place[1])] = vector
    return Foreign(vectors, None, some([*problems, *vector_problems(vectors, "blocks.{}.hook_out")]))


def read_plain(path: str | Path) -> Foreign:
    """What a JSON file of one direction holds."""
    path = Path(path)
    document = _read(path, "a JSON file of one direction")
    value = document.value
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object with 'layer' and 'vector', got something else.")
    layer, vector = value.get("layer"), document.numbers(value.get("vector"))
    if not isinstance(layer, int) or isinstance(layer, bool) or not 0 <= layer <= MOST_LAYERS:
        return Foreign({}, None, (Problem("expected 'layer', a whole number from 0."),))
    if vector is None:
        return Foreign({}, None, (Problem("expected 'vector', a list of numbers."),))
    problems = vector_problems({layer: vector}, "layer {}")
    depth, wide = value.get("n_layers"), value.get("d_model")
    if (finite(wide) and wide != len(vector)) or (finite(depth) and depth <= layer):
        problems.append(
            Problem(f"layer {layer} and {len(vector):,} numbers do not fit its n_layers {depth} and d_model {wide}.")
        )
    return Foreign({layer: vector}, None, some(problems))
