"""How different the texts of one item are, in a form that any part of them can be asked for.

Labels: entropy in bits. Sets, embeddings and numbers: the mean distance of two different texts (1 - Jaccard,
1 - cosine, |a - b|). The entropy of counts is too small in small samples (ten labels hold half a bit too little), so
two sides are only ever compared at equal numbers of texts: `at(rows, count)` is the mean over *all* choices of `count`
of the texts, exactly. A mean over pairs has no such bias, and is its own mean at any count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

AT_ONCE = 2**22  # distances gathered in one block: 32 MB


def entropy_bits(counts: Float[np.ndarray, "*set label"]) -> Float[np.ndarray, "*set"]:
    """Entropy of counts, in bits: -sum p log2 p, 0 where nothing is counted.

    >>> float(entropy_bits(np.array([1.0, 1.0, 2.0])))
    1.5
    """
    total = np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    shares = counts / total
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(np.abs(-(shares * logs).sum(axis=-1)))


def expected_entropy(counts: Int[np.ndarray, " label"], count: int) -> float:
    """Mean entropy, in bits, of `count` of the labels drawn without putting back: exact, by the hypergeometric law.

    >>> expected_entropy(np.array([2, 2]), 2)  # 4 of the 6 pairs have 1 bit, 2 have none
    0.666...
    """
    total = int(counts.sum())
    if count >= total:
        return float(entropy_bits(counts.astype(float)))
    terms = _terms(total, count)
    return float(abs(terms[counts].sum()))


@lru_cache(maxsize=256)
def _terms(total: int, count: int) -> Float[np.ndarray, " held"]:
    """Mean of -x/count log2(x/count) for a label that `held` of `total` texts have."""
    drawn = np.arange(count + 1)
    shares = drawn / count
    each = -shares * np.log2(shares, out=np.zeros(count + 1), where=shares > 0)
    held = np.arange(total + 1)[:, None]
    return np.asarray(stats.hypergeom.pmf(drawn[None], total, held, count) @ each)


def jaccard(sets: Sequence[frozenset[str]]) -> Float[np.ndarray, "text text"]:
    """Jaccard similarity of every two sets, |a and b| / |a or b|; of two empty ones it is 1.

    >>> jaccard([frozenset("ab"), frozenset("bc"), frozenset(), frozenset()]).round(2).tolist()[2]
    [0.0, 0.0, 1.0, 1.0]
    """
    members = sorted(set().union(*sets))
    place = {member: i for i, member in enumerate(members)}
    held = np.zeros((len(sets), len(members)))
    for row, one in enumerate(sets):
        held[row, [place[member] for member in one]] = 1
    both = held @ held.T
    size = held.sum(axis=1)
    either = size[:, None] + size[None] - both
    return np.divide(both, either, out=np.ones_like(both), where=either > 0)


@dataclass(frozen=True, eq=False)
class Pool:
    """The texts of one item, generated and human ones together: either their labels or their distances."""

    codes: Int[np.ndarray, " text"] | None = None
    distances: Float[np.ndarray, "text text"] | None = None

    def of(self, chosen: Int[np.ndarray, "set member"]) -> Float[np.ndarray, " set"]:
        """Dispersion of each of several sets of texts, given by their numbers in the pool."""
        n_sets, size = chosen.shape
        if self.codes is not None:
            labels = int(self.codes.max()) + 1
            at = self.codes[chosen] + labels * np.arange(n_sets)[:, None]
            counts = np.bincount(at.ravel(), minlength=n_sets * labels).reshape(n_sets, labels)
            return entropy_bits(counts.astype(float))
        assert self.distances is not None
        found = np.empty(n_sets)
        step = max(1, AT_ONCE // (size * size))
        for start in range(0, n_sets, step):
            some = chosen[start : start + step]
            found[start : start + step] = self.distances[some[:, :, None], some[:, None, :]].sum(axis=(1, 2))
        return found / (size * (size - 1))

    def at(self, rows: Int[np.ndarray, " member"], count: int) -> float:
        """Mean dispersion of `count` of these texts over all choices of them."""
        if self.codes is not None:
            return expected_entropy(np.bincount(self.codes[rows], minlength=int(self.codes.max()) + 1), count)
        return float(self.of(rows[None])[0])

    def alike(self, rows: Int[np.ndarray, " member"]) -> float:
        """Mean similarity of two of these texts: 1 - distance, for labels the share of pairs with one label."""
        if self.codes is None:
            return 1 - float(self.of(rows[None])[0])
        counts = np.bincount(self.codes[rows])
        return float((counts * (counts - 1)).sum() / (len(rows) * (len(rows) - 1)))
