"""How far texts lie apart in meaning, from one embedding a text: spread, Vendi score, nearest neighbour.

Rows are brought to unit length here, so that any embedder will do; a row that is NaN or zero belongs to a text that
could not be embedded (an empty one) and is left out. Every distance is a cosine distance, 1 - cosine, from 0 to 2.
Nothing here is rounded, and nothing depends on the order of the texts.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from creativity_lens.errors import InputError

AT_ONCE = 1024  # rows of a block of distances: memory grows with the texts, not with their square
MOST_PAIRED = 4000  # texts whose distances to each other are looked at for one quantile: 8 million pairs
ROUNDING = 1e-9  # a text has cosine 1 with its twin up to this
QUANTILE = 0.01  # of the distances between texts of different groups: closer than this is closer than chance

Embeddings = Float[np.ndarray, "text dim"]


def semantic_spread(embeddings: Embeddings) -> float:
    """1 - mean cosine over all pairs of two different texts; NaN below 2 texts.

    0 when all texts mean the same, 1 when they have nothing in common, above 1 when they oppose each other. A mean over
    pairs, without a text's cosine with itself, is unbiased in the number of texts: 5 texts of a prompt and 50 have the
    same expected spread. From the sum of the rows, so n texts cost n steps and not n squared.

    >>> semantic_spread(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))  # cosines 1, 0, 0
    0.6666666666666667
    """
    rows = unit_rows(embeddings)
    n = len(rows)
    if n < 2:
        return float("nan")
    total = rows.sum(axis=0)
    return float(1 - (total @ total - n) / (n * (n - 1)))


def spread_by(embeddings: Embeddings, groups: Sequence[str]) -> dict[str, float]:
    """`semantic_spread` of the texts of each group, groups in the order in which they come first.

    >>> spread_by(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), ["sea", "sea", "bread"])
    {'sea': 1.0, 'bread': nan}
    """
    names, member = numbered(groups, len(embeddings))
    return {name: semantic_spread(embeddings[member == place]) for place, name in enumerate(names)}


def cross_spread(embeddings: Embeddings, groups: Sequence[str]) -> float:
    """1 - mean cosine over pairs of texts of *different* groups, each pair of groups counting the same.

    It is the expected spread of a set that holds one text of each group. NaN below 2 groups with a text. A fall of it
    says that texts on different prompts converge, which pooling all texts would hide behind the spread within.

    >>> cross_spread(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), ["sea", "sea", "bread"])
    1.0
    """
    return _mean_off_diagonal(group_means(embeddings, groups))


def cross_spread_without(embeddings: Embeddings, groups: Sequence[str]) -> Float[np.ndarray, " group"]:
    """`cross_spread` with each group left out in turn: what a delete-one jackknife needs. NaN below 3 groups.

    Groups without a text that could be embedded are not among them.
    """
    means = group_means(embeddings, groups)
    n = len(means)
    if n < 3:
        return np.full(n, np.nan)
    total, own = means.sum(axis=0), (means**2).sum(axis=1)
    left = total - means
    return 1 - ((left**2).sum(axis=1) - (own.sum() - own)) / ((n - 1) * (n - 2))


def group_means(embeddings: Embeddings, groups: Sequence[str]) -> Float[np.ndarray, "group dim"]:
    """Mean of the unit rows of each group that has any, in the order in which groups come first.

    The product of two of them is the mean cosine between a text of the one group and a text of the other.
    """
    names, member = numbered(groups, len(embeddings))
    kept = known_rows(embeddings)
    rows, member = unit_rows(embeddings), member[kept]
    sizes = np.bincount(member, minlength=len(names))
    order = np.argsort(member, kind="stable")
    filled = sizes > 0
    starts = np.cumsum(sizes) - sizes
    if not filled.any():
        return np.empty((0, embeddings.shape[1]))
    return np.add.reduceat(rows[order], starts[filled], axis=0) / sizes[filled, None]


def vendi(embeddings: Embeddings) -> float:
    """Vendi score: exp of the entropy of the eigenvalues of K/n, K being the cosines of the n texts; NaN for none.

    An effective number of texts: 1 when all are the same, n when they have nothing in common. It grows with n, so only
    equal numbers of texts compare. The eigenvalues are those of the smaller Gram matrix: n x n, or dim x dim where
    there are fewer dimensions than texts (they share all that are not 0).
    Source: Friedman and Dieng 2023, The Vendi Score, definition 1 (order 1).

    >>> round(vendi(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])), 6)  # eigenvalues 2/3 and 1/3
    1.889882
    """
    return vendi_of(unit_rows(embeddings))


def vendi_of(rows: Float[np.ndarray, "text dim"], cosines: Float[np.ndarray, "text text"] | None = None) -> float:
    """The same of rows of unit length, with their cosines where those are known."""
    n, dim = rows.shape
    if n == 0:
        return float("nan")
    if n > dim:
        cosines = rows.T @ rows
    elif cosines is None:
        cosines = rows @ rows.T
    values = np.linalg.eigvalsh(cosines / n)
    values = values[values > 1e-15]  # rounding leaves zeros slightly negative, and 0 log 0 is 0
    return float(np.exp(-(values * np.log(values)).sum()))


def nearest_distance(embeddings: Embeddings) -> float:
    """Mean over texts of the cosine distance to the nearest other text; NaN below 2 texts.

    It falls with the number of texts: only equal numbers compare. 0 when every text has a twin.

    >>> round(nearest_distance(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])), 6)  # 0, 0 and 1
    0.333333
    """
    rows = unit_rows(embeddings)
    n = len(rows)
    if n < 2:
        return float("nan")
    nearest = np.empty(n)
    for start in range(0, n, AT_ONCE):
        cosines = rows[start : start + AT_ONCE] @ rows.T
        here = np.arange(len(cosines))
        cosines[here, start + here] = -np.inf
        nearest[start : start + AT_ONCE] = 1 - cosines.max(axis=1)
    return float(np.maximum(nearest, 0).mean())  # rounding leaves twins slightly below 0


def threshold_of(embeddings: Embeddings, groups: Sequence[str], *, quantile: float = QUANTILE, seed: int = 0) -> float:
    """Cosine distance at the 1 % point of the distances between texts of different groups; NaN below 2 groups.

    Two texts on different prompts are closer than this once in a hundred: texts closer than this count as the same.
    Above 4,000 texts a random 4,000 of them stand for all. To compare conditions, find one threshold and give it to all
    of them.

    >>> threshold_of(np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]), ["a", "a", "b"], quantile=0)  # 1 - 0.8
    0.19999999999999996
    """
    _, member = numbered(groups, len(embeddings))
    kept = known_rows(embeddings)
    rows, member = unit_rows(embeddings), member[kept]
    if len(rows) > MOST_PAIRED:
        chosen = np.sort(np.random.default_rng(seed).choice(len(rows), MOST_PAIRED, replace=False))
        rows, member = rows[chosen], member[chosen]
    found = []
    for start in range(0, len(rows), AT_ONCE):
        cosines = rows[start : start + AT_ONCE] @ rows[start:].T
        here = np.arange(len(cosines))[:, None]
        different = member[start : start + AT_ONCE, None] != member[None, start:]
        found.append((1 - cosines)[different & (np.arange(cosines.shape[1])[None] > here)])
    distances = np.concatenate(found) if found else np.empty(0)
    return float(np.quantile(np.maximum(distances, 0), quantile)) if len(distances) else float("nan")


def equivalence_classes(embeddings: Embeddings, similarity: float) -> Int[np.ndarray, " text"]:
    """The class of each text, numbered from 0 as they open: the first whose representative has cosine >= `similarity`.

    Texts are taken in their order; a class's representative is its first member, so classes depend on the order (the
    number of them does where texts are no clear-cut kinds). -1 for a text that could not be embedded. The partition is
    NoveltyBench's greedy one (Zhang et al. 2025), with a cosine where it has a trained judge of equivalence.

    >>> equivalence_classes(np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [1.0, 0.1]]), 0.7).tolist()
    [0, 0, 1, 0]
    """
    kept = known_rows(embeddings)
    rows = unit_rows(embeddings)
    found = np.full(len(embeddings), -1)
    found[kept] = classes_by(len(rows), lambda place, opened: rows[opened] @ rows[place], similarity)
    return found


def classes_by(
    n: int, cosines: Callable[[int, list[int]], Float[np.ndarray, " opened"]], similarity: float
) -> Int[np.ndarray, " text"]:
    """The same, from a function that gives the cosines of a text with those that opened a class."""
    classes = np.empty(n, dtype=int)
    opened: list[int] = []
    for place in range(n):
        near = np.flatnonzero(cosines(place, opened) >= similarity - ROUNDING)
        if not len(near):
            opened.append(place)
        classes[place] = near[0] if len(near) else len(opened) - 1
    return classes


def known_rows(embeddings: Embeddings) -> Bool[np.ndarray, " text"]:
    """Which texts have an embedding that can be compared: finite, and not all zeros."""
    return np.isfinite(embeddings).all(axis=1) & (embeddings != 0).any(axis=1)


def unit_rows(embeddings: Embeddings) -> Float[np.ndarray, "kept dim"]:
    """The rows that can be compared, in float64 and at unit length."""
    rows = embeddings[known_rows(embeddings)].astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def numbered(groups: Sequence[str], n: int) -> tuple[list[str], Int[np.ndarray, " text"]]:
    """The groups in the order in which they come first, and the number of each text's group."""
    if len(groups) != n:
        raise InputError(f"groups: expected one for each of {n} texts; got {len(groups)}; give both columns.")
    places: dict[str, int] = {}
    member = np.array([places.setdefault(name, len(places)) for name in groups], dtype=int)
    return list(places), member


def _mean_off_diagonal(means: Float[np.ndarray, "group dim"]) -> float:
    """1 - the mean product of two different rows."""
    n = len(means)
    if n < 2:
        return float("nan")
    total = means.sum(axis=0)
    return float(1 - (total @ total - (means**2).sum()) / (n * (n - 1)))
