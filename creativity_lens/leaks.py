"""Can a side be told from something that is not the concept? Cross-validated classifiers of words, and single features.

Every number is the AUC of creative against boring texts with an interval over topics (`auc_interval`).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import stats
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression

from creativity_lens.prompts import ContrastivePair, fold_topics
from creativity_lens.statistics import LEVEL, Estimate
from creativity_lens.text_features import FEATURES, text_features

FOLDS = 10
STRENGTH = 10.0  # of the fit: ten times scikit-learn's default, a classifier that is harder to pass

Texts = tuple[Sequence[str], Sequence[str]]  # creative and boring, aligned
Columns = tuple[Float[np.ndarray, " pair"], Float[np.ndarray, " pair"]]


def word_scores(pairs: Sequence[ContrastivePair], texts: Texts) -> Columns:
    """Held-out scores of a bag-of-words classifier: logistic regression on tf-idf, ten fixed folds of whole topics."""
    return _held_out(pairs, texts, CountVectorizer(token_pattern=r"\w+"), seed=0)


def character_scores(pairs: Sequence[ContrastivePair], texts: Texts) -> Columns:
    """The same on character 2- to 5-grams within words and with other folds: the second opinion."""
    return _held_out(pairs, texts, CountVectorizer(analyzer="char_wb", ngram_range=(2, 5)), seed=1)


def feature_columns(texts: Texts) -> dict[str, Columns]:
    """Every feature of every text, by feature."""
    sides = [[text_features(text) for text in side] for side in texts]
    return {name: (_column(sides[0], name), _column(sides[1], name)) for name in FEATURES}


def beyond(estimates: Sequence[tuple[Estimate, float, float]], *, level: float = 0.05) -> list[bool]:
    """Which of several AUCs lie beyond their limits (low, high), by Holm's step-down over all of them.

    The p-value of each is one-sided, Student's t on its interval's half-width towards the limit. An estimate without an
    interval is never beyond.
    """
    p_values = [_p_within(estimate, low, high) for estimate, low, high in estimates]
    failing = [False] * len(p_values)
    measured = sum(np.isfinite(p_values))
    for rank, index in enumerate(sorted(np.flatnonzero(np.isfinite(p_values)), key=lambda index: p_values[index])):
        if p_values[index] > level / (measured - rank):
            break
        failing[index] = True
    return failing


def _p_within(estimate: Estimate, low: float, high: float) -> float:
    """p-value of "the AUC lies within (low, high)", from the side on which it does not."""
    if not np.isfinite(estimate.low):
        return float("nan")
    over, under = estimate.value - high, low - estimate.value
    if max(over, under) <= 0:
        return 1.0
    half = estimate.value - estimate.low if over > under else estimate.high - estimate.value
    critical = stats.t.ppf((1 + LEVEL) / 2, estimate.n - 1)
    return float(stats.t.sf(max(over, under) / max(half / critical, 1e-12), estimate.n - 1))


def _held_out(pairs: Sequence[ContrastivePair], texts: Texts, counter: CountVectorizer, *, seed: int) -> Columns:
    place = {pair.id: index for index, pair in enumerate(pairs)}
    n = len(pairs)
    counts = counter.fit_transform([*texts[0], *texts[1]])  # counted once; what a fold knows is cut out of it below
    scores = np.full(2 * n, np.nan)
    for fit, held in fold_topics(pairs, min(FOLDS, len({pair.topic for pair in pairs})), seed=seed):
        known, read = (np.array([place[pair.id] + side for side in (0, n) for pair in part]) for part in (fit, held))
        seen = np.flatnonzero(counts[known].getnnz(axis=0))  # the vocabulary is that of the texts fitted on
        weights = TfidfTransformer(sublinear_tf=True)
        classifier = LogisticRegression(C=STRENGTH, max_iter=1000)
        classifier.fit(weights.fit_transform(counts[known][:, seen]), known < n)
        scores[read] = classifier.decision_function(weights.transform(counts[read][:, seen]))
    return scores[:n], scores[n:]


def _column(rows: Sequence[dict[str, float]], name: str) -> Float[np.ndarray, " pair"]:
    return np.array([row[name] for row in rows])
