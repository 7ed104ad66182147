"""That all sides do the same thing. Nothing is compared in speed before this has been shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

TOLERANCE = 1e-4  # of a direction, relative to its length
TIE = 1e-3  # of logits: rounding decides which of two tokens so close is the larger one


@dataclass(frozen=True)
class Check:
    """One thing that was held against ours."""

    text: str
    found: str
    is_same: bool


def same_ids(name: str, ours: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]], more: int = 0) -> Check:
    """The tokens that two sides read, but for `more` that ours reads at the end of each text."""
    cut = [list(ids[: len(ids) - more]) for ids in ours]
    same = sum(one == list(other) for one, other in zip(cut, theirs, strict=True))
    return Check(f"{name}: the tokens of the texts", f"{same} of {len(cut)} texts alike", same == len(cut))


def same_directions(name: str, ours: np.ndarray, theirs: np.ndarray) -> Check:
    """Mean differences [layer, d_model]: the largest distance at any layer, relative to ours, and the lowest cosine."""
    if ours.shape != theirs.shape:
        return Check(f"{name}: mean differences", f"{theirs.shape}, ours {ours.shape}", False)
    lengths = np.linalg.norm(ours, axis=1)
    apart = float((np.linalg.norm(ours - theirs, axis=1) / lengths).max())
    cosine = float(((ours * theirs).sum(1) / (lengths * np.linalg.norm(theirs, axis=1))).min())
    found = f"{len(ours)} layers, at most {apart:.1e} apart, cosine at least {cosine:.6f}"
    return Check(f"{name}: mean differences", found, apart <= TOLERANCE)


@dataclass(frozen=True)
class Fork:
    """Where two texts of one row part: the tokens before, and the two that were taken."""

    row: int
    before: tuple[int, ...]
    tokens: tuple[int, int]


def forks(ours: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]]) -> list[Fork]:
    """One for each row whose tokens are not the same.

    >>> forks([[1, 2, 3], [4, 5]], [[1, 2, 3], [4, 6]])
    [Fork(row=1, before=(4,), tokens=(5, 6))]
    """
    found = []
    for row, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        if len(one) != len(other):
            raise ValueError(f"row {row}: {len(other)} tokens, expected {len(one)}")
        at = next((at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), None)
        if at is not None:
            found.append(Fork(row, tuple(one[:at]), (one[at], other[at])))
    return found


def same_tokens(
    name: str,
    ours: Sequence[Sequence[int]],
    theirs: Sequence[Sequence[int]],
    margins: Callable[[list[Fork]], Sequence[float]],
) -> Check:
    """Greedy texts. Where two part, the two tokens' logits must be so close that rounding decides between them."""
    parted = forks(ours, theirs)
    widest = max(margins(parted), default=0.0) if parted else 0.0
    found = f"{len(ours) - len(parted)} of {len(ours)} texts have the same tokens"
    if parted:
        found += f"; the others part where two logits are within {widest:.1e}"
    return Check(f"{name}: greedy texts", found, widest <= TIE)


def refusal(checks: Sequence[Check]) -> str:
    """Why no ratios are to be had, or an empty string."""
    wrong = [check for check in checks if not check.is_same]
    return "; ".join(f"{check.text}: {check.found}" for check in wrong)
