"""Files of other tools, read with suspicion: what they hold, and why a reader of theirs would turn them down.

Whatever is wrong with such a file is one `InputError`, and reading one never takes more memory than ten times the file:
sizes that a file claims are checked against its own size before anything is made of them.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeGuard

import numpy as np

from creativity_lens.errors import InputError

MOST_LAYERS = 4096  # far beyond any model; a file that names more of them is wrong or means harm


@dataclass(frozen=True)
class Problem:
    """One rule that a file breaks."""

    said: str  # who turns it down and why, one sentence
    unusable: bool = True  # whether nothing can be imported from it either


@dataclass(frozen=True, eq=False)
class Foreign:
    """What a file of another tool holds."""

    vectors: Mapping[int, np.ndarray]  # float32 [d_model], by the file's own number
    model_type: str | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()  # what no reader minds, but a user may want to know
    numbering: str | None = None  # "post" or "pre", where the file says it itself, as those of this package do

    @property
    def width(self) -> int:
        """Numbers in a vector; 0 where there is none."""
        return len(next(iter(self.vectors.values()))) if self.vectors else 0

    def norms(self) -> dict[int, float]:
        """Lengths of the vectors, by the file's own number."""
        return {number: float(np.linalg.norm(vector.astype(float))) for number, vector in self.vectors.items()}


def vector_problems(vectors: Mapping[int, np.ndarray], name: str) -> list[Problem]:
    """What is wrong with the numbers themselves; `name` is what the file calls one, as in "direction.{}"."""
    problems = []
    widths = {number: len(vector) for number, vector in vectors.items()}
    if len(set(widths.values())) > 1:
        first, *others = widths
        odd = next(number for number in others if widths[number] != widths[first])
        one, other = (f"{name.format(number)} has {widths[number]:,}" for number in (first, odd))
        problems.append(Problem(f"widths differ: {one}, {other}; readers refuse it."))
    for number, vector in vectors.items():
        if not np.isfinite(vector).all():
            problems.append(Problem(f"{name.format(number)}: NaN or infinity, which would break every text."))
        elif not vector.any():
            problems.append(Problem(f"{name.format(number)}: only zeros, which push nowhere."))
    return problems


def some(problems: Iterable[Problem], most: int = 8) -> tuple[Problem, ...]:
    """The first problems; the rest are counted."""
    listed = list(problems)
    rest = listed[most:]
    if not rest:
        return tuple(listed)
    return (*listed[:most], Problem(f"and {len(rest):,} more.", any(each.unusable for each in rest)))


def open_file(path: Path, what: str) -> tuple[BinaryIO, int]:
    """An open file and its size. Raises `InputError` for what is no file, is empty, or cannot be read."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: expected {what}, got a folder.")
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: expected {what}, got a device or a pipe.")
        size = path.stat().st_size
        file = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected {what}.") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason}); expected {what}.") from None
    if size == 0:
        file.close()
        raise InputError(f"{path}: the file is empty; expected {what}.")
    return file, size


def is_layer_number(text: str) -> bool:
    """Whether a text is a number as files count layers: plain digits, few of them."""
    return text.isascii() and text.isdecimal() and len(text) <= 9


def finite(value: object) -> TypeGuard[float]:
    """Whether a value is a number that is one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
