"""The topic of each text: NMF over tf-idf, or k-means over sentence embeddings, one model for both sides.

Topics are fitted on equal numbers of generated and human texts of every item, so that neither side has its way with
what the topics are; then every text gets its strongest one. Entropies depend on the number of topics and on the texts
they were fitted on: compare them within one fit, never across.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from creativity_lens.errors import InputError, check_choice

METHODS = ("nmf", "kmeans")
TOP_WORDS = 8
NO_TOPIC = "no topic"  # of a text that has none of the words that topics are made of
_WORD = r"(?u)\b[^\W\d_]{2,}\b"


@dataclass(frozen=True)
class Topics:
    """The topic of each text, and what the topics are."""

    labels: tuple[str, ...]
    words: dict[str, tuple[str, ...]]  # the words that weigh most in each topic
    by: str
    notes: tuple[str, ...] = ()


def find_topics(
    texts: Sequence[str],
    fitted: Int[np.ndarray, " fitted"],
    *,
    method: str = "nmf",
    n_topics: int = 10,
    embedder: Any = None,
    seed: int = 0,
) -> Topics:
    """Topics of texts, found in those whose numbers are `fitted`.

    `embedder` (see `load_embedder`) is needed for k-means. Raises `InputError` for fewer than two topics, and for texts
    that differ too little to have so many.

    >>> find_topics(["sea and sand", "sand by the sea", "bread and salt", "salt in bread"], np.arange(4), n_topics=2)
    Topics(labels=('1', '1', '2', '2'), words={'1': ('sand', 'sea'), '2': ('bread', 'salt')}, by='NMF ...
    """
    check_choice("--topics", method, METHODS)
    if n_topics < 2:
        raise InputError(f"--n-topics: expected at least 2, got {n_topics}.")
    different = len({texts[i] for i in fitted})
    if different < n_topics:
        raise InputError(
            f"topics: expected at least {n_topics} different texts to find {n_topics} topics in, got {different}; give "
            "more texts, or fewer --n-topics."
        )
    rows, vocabulary = _weighted_words(texts, fitted)
    if method == "kmeans":
        return _kmeans(texts, fitted, n_topics, embedder, seed, rows, vocabulary)
    if rows.shape[1] < n_topics:
        raise InputError(
            f"topics: expected at least {n_topics} different words to find {n_topics} topics in, got {rows.shape[1]}; "
            "give longer texts, or fewer --n-topics."
        )
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = NMF(n_topics, init="nndsvda", max_iter=400, random_state=seed).fit(rows[fitted])
        weights = model.transform(rows)
    notes = ("the topics did not converge in 400 rounds",) if model.n_iter_ >= 400 else ()
    scaled = weights * np.linalg.norm(model.components_, axis=1)  # how long a topic is, is no part of how strong it is
    labels = np.where(scaled.max(axis=1) > 0, scaled.argmax(axis=1), -1)
    by = f"NMF over tf-idf, {n_topics} topics, fitted on {len(fitted)} texts, both sides alike"
    return _named(labels, {i: _top(model.components_[i], vocabulary) for i in range(n_topics)}, by, notes)


def _weighted_words(texts: Sequence[str], fitted: Int[np.ndarray, " fitted"]) -> tuple[Any, Any]:
    """Tf-idf rows of all texts, with the words and the weights of the fitted ones; English function words left out."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    rare = 2 if len(fitted) >= 50 else 1  # a word of one text joins no two
    vectors = TfidfVectorizer(token_pattern=_WORD, stop_words="english", min_df=rare, max_features=20_000)
    try:
        vectors.fit([texts[i] for i in fitted])
    except ValueError:
        raise InputError("topics: expected texts that share words, got none beside 'the' and its kind.") from None
    return vectors.transform(texts), vectors.get_feature_names_out()


def _kmeans(
    texts: Sequence[str], fitted: np.ndarray, n_topics: int, embedder: Any, seed: int, rows: Any, vocabulary: Any
) -> Topics:
    from sklearn.cluster import KMeans

    vectors = np.asarray(embedder.embed(list(texts)), dtype=float)
    model = KMeans(n_topics, n_init=10, random_state=seed).fit(vectors[fitted])
    labels = model.predict(vectors)
    words = {}
    for i in range(n_topics):
        inside, outside = rows[np.flatnonzero(labels == i)], rows[np.flatnonzero(labels != i)]
        lead = np.zeros(rows.shape[1])
        if inside.shape[0]:
            lead += np.asarray(inside.mean(axis=0)).ravel()
        if outside.shape[0]:
            lead -= np.asarray(outside.mean(axis=0)).ravel()
        words[i] = _top(lead, vocabulary)
    by = f"k-means over embeddings by {embedder.id}, {n_topics} topics, fitted on {len(fitted)} texts, both sides alike"
    return _named(labels, words, by, ())


def _top(weights: Float[np.ndarray, " word"], vocabulary: Any) -> tuple[str, ...]:
    order = np.argsort(-weights, kind="stable")[:TOP_WORDS]
    return tuple(str(vocabulary[i]) for i in order if weights[i] > 1e-9)


def _named(
    labels: Int[np.ndarray, " text"], words: dict[int, tuple[str, ...]], by: str, notes: tuple[str, ...]
) -> Topics:
    """Topics numbered from 1, the largest first, of equal ones the one that comes first."""
    where = {i: np.flatnonzero(labels == i) for i in words}
    order = sorted(words, key=lambda i: (-len(where[i]), *where[i][:1], i))
    number = {i: str(place) for place, i in enumerate(order, start=1)} | {-1: NO_TOPIC}
    return Topics(tuple(number[int(i)] for i in labels), {number[i]: words[i] for i in order}, by, notes)
