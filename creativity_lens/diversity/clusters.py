"""Kinds of texts: clusters of embeddings at a stated cosine distance, how many there are and how even they are."""

import numpy as np
from jaxtyping import Float, Int, Integer

from creativity_lens.diversity.semantic import known_rows, unit_rows
from creativity_lens.errors import InputError, check_choice

METHODS = ("average", "hdbscan")
MOST = 5000  # texts: average linkage holds all distances, 100 MB at 5,000
FEWEST_DENSE = 101  # texts; below it a density cannot be told from chance


def clusters_of(
    embeddings: Float[np.ndarray, "text dim"], threshold: float, *, method: str = "average"
) -> Int[np.ndarray, " text"]:
    """The cluster of each text, from 0 on, the largest first; -1 for a text that could not be embedded.

    "average": average linkage (UPGMA) on cosine distances, cut where two clusters lie further apart than `threshold`.
    "hdbscan": dense regions (scikit-learn's HDBSCAN on cosine distances, at least 5 texts, regions closer than
    `threshold` joined), for more than 100 texts; a text in no region is a cluster of its own, as an outlier is with
    average linkage.

    Raises `InputError` for another method, a threshold that is no distance, HDBSCAN on 100 texts or fewer, and more
    than 5,000 texts, whose distances would fill the memory.

    >>> clusters_of(np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.01]]), 0.1).tolist()
    [1, 0, 0]
    """
    kept = known_rows(embeddings)
    rows = unit_rows(embeddings)
    if len(rows) > MOST:
        raise InputError(f"clusters: expected at most {MOST:,} texts at a time, got {len(rows):,}; give fewer.")
    found = np.full(len(embeddings), -1)
    found[kept] = labels_in(rows @ rows.T, threshold, method)
    return found


def labels_in(
    cosines: Float[np.ndarray, "text text"], threshold: float, method: str = "average"
) -> Int[np.ndarray, " text"]:
    """The same from the texts' cosines."""
    check_choice("method", method, METHODS)
    if not 0 <= threshold <= 2:
        raise InputError(f"threshold: expected a cosine distance from 0 to 2, got {threshold:g}; give another.")
    n = len(cosines)
    if method == "hdbscan" and n < FEWEST_DENSE:
        raise InputError(f"hdbscan: expected more than {FEWEST_DENSE - 1} texts in a group, got {n}; leave it away.")
    if n < 2:
        return np.zeros(n, dtype=int)
    distances = np.maximum(1 - cosines, 0)
    np.fill_diagonal(distances, 0)
    return _largest_first(_dense(distances, threshold) if method == "hdbscan" else _average(distances, threshold))


def cluster_entropy(labels: Integer[np.ndarray, " text"]) -> float:
    """Entropy of the clusters' shares of the texts, in nats; -1 is no cluster; NaN without texts.

    0 when all texts are of one cluster, log n when each is its own.

    >>> round(cluster_entropy(np.array([0, 0, 1, 1])), 6)  # log 2
    0.693147
    """
    sizes = cluster_sizes(labels)
    if not len(sizes):
        return float("nan")
    shares = sizes / sizes.sum()
    return float(max(0.0, -(shares * np.log(shares)).sum()))


def largest_share(labels: Integer[np.ndarray, " text"]) -> float:
    """Share of the texts in the largest cluster; NaN without texts.

    >>> largest_share(np.array([0, 0, 0, 1]))
    0.75
    """
    sizes = cluster_sizes(labels)
    return float(sizes.max() / sizes.sum()) if len(sizes) else float("nan")


def cluster_sizes(labels: Integer[np.ndarray, " text"]) -> Int[np.ndarray, " cluster"]:
    """Number of texts of each cluster; -1 is none."""
    return np.unique(labels[labels >= 0], return_counts=True)[1]


def _average(distances: Float[np.ndarray, "text text"], threshold: float) -> Int[np.ndarray, " text"]:
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    tree = linkage(squareform(distances, checks=False), "average")
    # equal texts are at a distance of rounding, and a threshold of 0 must join them
    return fcluster(tree, max(threshold, 1e-9), "distance").astype(int)


def _dense(distances: Float[np.ndarray, "text text"], threshold: float) -> Int[np.ndarray, " text"]:
    from sklearn.cluster import HDBSCAN

    labels = HDBSCAN(
        min_cluster_size=5,
        metric="precomputed",
        cluster_selection_epsilon=threshold,
        allow_single_cluster=True,
        copy=True,
    ).fit_predict(distances)
    labels = labels.astype(int)
    alone = labels < 0
    labels[alone] = labels.max() + 1 + np.arange(alone.sum())
    return labels


def _largest_first(labels: Int[np.ndarray, " text"]) -> Int[np.ndarray, " text"]:
    """Numbered by size, and by first member where sizes are equal."""
    _, first, inverse, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), dtype=int)
    rank[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    return rank[inverse]
