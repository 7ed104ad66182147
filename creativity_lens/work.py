"""Work: what runs a model, as batches of rows whose results are known by their content.

A verb is a module-level function `verb(model, settings, rows)` that returns one array per name, a row of it for each of
`rows`. `carry_out` hands works to the engine of the model, which does them here or elsewhere, once: a result is
a function of the work and of the model's identity, so it is kept under a key made of both. A batch that does not fit
into memory is halved here, whatever its verb.
"""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType
from typing import Any, Protocol, runtime_checkable

import numpy as np

from creativity_lens.errors import InputError
from creativity_lens.progress import track

Arrays = dict[str, np.ndarray]  # axis 0 of each is the row
Verb = Callable[[Any, Any, Sequence[Any]], Arrays]
_Known = dict[int, tuple[Any, bytes]]


@dataclass(frozen=True, eq=False)
class Work:
    """A batch: which verb, its settings, its rows, and what it costs."""

    verb: Verb  # verb(model, settings, rows), a module-level function
    settings: Any  # frozen values, the same for all rows
    rows: tuple[Any, ...]
    cost: int  # tokens that it reads and writes


@dataclass(frozen=True, eq=False)
class Result:
    """What a work gave, and the sizes its batch was cut to where memory did not suffice."""

    arrays: Arrays
    halved: tuple[int, ...] = ()


@runtime_checkable
class Engine(Protocol):
    """Where works are done."""

    @property
    def threads(self) -> int:
        """Threads of a worker: float32 sums depend on them."""

    def keeping(self, store: Any, cache_bytes: int, on_halved: Callable[[int], None]) -> "Engine":
        """The same engine for one run: with a `CellStore` for its results, and with room for batches that is fixed.

        `on_halved` is told of every batch that was cut for memory, also of one that is read from the store.
        """

    def room(self, model: Any) -> int | None:
        """Bytes that the caches of one batch may take, fixed for the run; None where that is seen batch by batch."""

    def run(self, model: Any, works: Sequence[Work]) -> Iterator[tuple[int, Result]]:
        """Every work's number and result, once each, in any order."""


def carry_out(
    model: Any,
    works: Sequence[Work],
    *,
    description: str,
    unit: str = "tokens",
    quiet: bool = False,
    engine: Engine | None = None,
) -> list[Result]:
    """Have the model's engine do the works, or the one that is given; results in the order of the works."""
    results: list[Result | None] = [None] * len(works)
    for number, result in _results(model, works, description, unit, quiet, engine):
        results[number] = result
    return [result for result in results if result is not None]


def carry_out_rows(
    model: Any, works: Sequence[Work], rows: Sequence[Sequence[int]], total: int, *, description: str
) -> Arrays:
    """`carry_out` for works that share out `total` rows: the arrays of all in one, put in place as they come.

    `rows[i]` says where the rows of work i belong; see `gather`.
    """
    made = _results(model, works, description, "tokens", False, None)
    return gather(((rows[number], result.arrays) for number, result in made), total)


def _results(
    model: Any, works: Sequence[Work], description: str, unit: str, quiet: bool, engine: Engine | None
) -> Iterator[tuple[int, Result]]:
    left = set(range(len(works)))
    with track(description, sum(work.cost for work in works), unit=unit, quiet=quiet) as advance:
        for number, result in (model.engine if engine is None else engine).run(model, works):
            yield number, result
            left.remove(number)
            advance(works[number].cost)
    if left:
        raise RuntimeError(f"{description}: expected {len(works)} results, got {len(works) - len(left)}")


def gather(parts: Iterable[tuple[Sequence[int], Arrays]], total: int) -> Arrays:
    """Arrays of `total` rows out of parts and the numbers of their rows; parts are not kept.

    Rows that no part has are NaN or 0, and so is what parts of differing width, their last dimension, lack.
    """
    whole: Arrays = {}
    for rows, arrays in parts:
        for name, part in arrays.items():
            if len(part) != len(rows):  # one row alone would be spread over all
                raise ValueError(f"{name}: expected {len(rows)} rows, got {len(part)}")
            made = whole.get(name)
            if made is None:
                made = _blank((total, *part.shape[1:]), part.dtype)
            elif part.ndim > 1 and part.shape[-1] > made.shape[-1]:
                wider = _blank((*made.shape[:-1], part.shape[-1]), made.dtype)
                wider[..., : made.shape[-1]] = made
                made = wider
            whole[name] = made
            if part.ndim > 1:
                made[list(rows), ..., : part.shape[-1]] = part
            else:
                made[list(rows)] = part
    return whole


def _blank(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    return np.full(shape, np.nan if dtype.kind == "f" else 0, dtype)


def do(model: Any, work: Work, on_halved: Callable[[int], None] | None = None) -> Result:
    """Do a work in this process. A batch that does not fit into memory is done in halves, and the result says so.

    `on_halved(rows)` is told at once. Raises `InputError` where a single row does not fit.
    """
    try:
        return Result(work.verb(model, work.settings, work.rows))
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        if len(work.rows) == 1:
            raise InputError(
                f"{model.name}: ran out of memory on a batch of one row; expected room for it: use a smaller dtype, "
                "shorter texts, or more GPUs."
            ) from None
    # after the except block: while it lasts, the failed pass keeps its tensors alive
    middle = len(work.rows) // 2
    if on_halved is not None:
        on_halved(middle)
    halves = [do(model, replace(work, rows=part), on_halved) for part in (work.rows[:middle], work.rows[middle:])]
    places = (range(middle), range(middle, len(work.rows)))
    arrays = gather(zip(places, (half.arrays for half in halves), strict=True), len(work.rows))
    return Result(arrays, (middle, *halves[0].halved, *halves[1].halved))


def largest_first(works: Sequence[Work]) -> list[int]:
    """Numbers of the works, the costliest first: so no worker is left with a long one at the end."""
    return sorted(range(len(works)), key=lambda number: (-works[number].cost, number))


def work_key(work: Work, identity: Mapping[str, Any]) -> str:
    """The name of a work's result: SHA-256 of verb, settings, rows in their order, and the model's identity.

    >>> work_key(Work(max, None, (1, 2), 2), {"id": "m"})[:8]
    '7af309aa'
    """
    return fingerprint_of((work.verb, work.settings, work.rows, dict(identity)))


def fingerprint_of(value: Any) -> str:
    """SHA-256 of a value of plain values, tuples, dataclasses, arrays and tensors; equal for equal content alone.

    Raises `TypeError` for a kind of value whose content it does not know.
    """
    return _digest(value, {}).hex()


def _digest(value: Any, known: "_Known") -> bytes:
    """`known` holds the digests of objects already seen, which rows of one batch share, and keeps them alive."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        exact = value.hex() if isinstance(value, float) else str(value)
        return _sum(type(value).__name__, exact.encode("utf-8", "surrogatepass"))
    if id(value) in known:
        return known[id(value)][1]
    found = _digest_new(value, known)
    known[id(value)] = (value, found)
    return found


def _digest_new(value: Any, known: "_Known") -> bytes:
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufcmMSU":
        whole = np.asarray(value, order="C")
        return _sum("array", f"{whole.dtype.str}{whole.shape}".encode(), whole.tobytes())
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        flat = value.detach().cpu().contiguous().flatten()
        bytes_ = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
        return _sum("tensor", f"{value.dtype}{tuple(value.shape)}".encode(), bytes_)
    if torch is not None and isinstance(value, torch.dtype | torch.device):
        return _sum("torch", str(value).encode())
    if is_dataclass(value) and not isinstance(value, type):
        named = ((field.name.encode(), _digest(getattr(value, field.name), known)) for field in fields(value))
        kind = f"dataclass {type(value).__module__}.{type(value).__qualname__}"
        return _sum(kind, *(part for pair in named for part in pair))
    if isinstance(value, Mapping):
        pairs = sorted((_digest(key, known), _digest(each, known)) for key, each in value.items())
        return _sum("mapping", *(part for pair in pairs for part in pair))
    if isinstance(value, list | tuple):
        # token ids and masks, in one go: they are most of what is looked at
        kinds = set(map(type, value))
        if kinds == {int} or kinds == {bool}:
            return _sum(f"sequence of {kinds.pop().__name__}", ",".join(map(str, value)).encode())
        return _sum("sequence", *(_digest(each, known) for each in value))
    if isinstance(value, PurePath):
        return _sum("path", str(value).encode())
    # of a module: one made on the way, or bound to an object, has content that its name does not tell
    has_name = isinstance(value, type | FunctionType | BuiltinFunctionType)
    if has_name and value.__name__ == value.__qualname__ and value.__name__.isidentifier():
        return _sum("function", f"{value.__module__}.{value.__qualname__}".encode())
    raise TypeError(f"expected plain values, arrays or dataclasses of them, got {type(value).__name__}")


def _sum(kind: str, *parts: bytes) -> bytes:
    """Lengths stand before the parts, so that no two lists of parts read alike."""
    found = hashlib.sha256(kind.encode())
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.digest()


def _out_of_memory(error: Exception) -> bool:
    said = ("can't allocate memory", "ALLOC_FAILED")  # by PyTorch on a CPU, and by the GPU's own libraries
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # torch's, not imported here
    return known or any(words in str(error) for words in said)
