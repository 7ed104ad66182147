"""Scores of lists of words: 100 times the mean cosine distance of the first seven valid ones, all pairs alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from creativity_lens.association.parsing import candidates_of, word_of
from creativity_lens.association.vectors import Vectors
from creativity_lens.diversity.semantic import semantic_spread
from creativity_lens.ratings import Ratings
from creativity_lens.statistics import Estimate

SCORED = 7  # the first so many valid words count


@dataclass(frozen=True)
class ScoredList:
    """The valid words of a list, and its score; NaN where there are fewer than seven."""

    words: tuple[str, ...]  # valid and distinct, in their order
    score: float

    @property
    def is_valid(self) -> bool:
        """Whether there are enough valid words for a score."""
        return len(self.words) >= SCORED


def score_list(items: Sequence[str], vectors: Vectors) -> ScoredList:
    """A list's valid words and its divergent association score.

    Source: Olson et al. 2021, "Naming unrelated nouns predicts creativity". With orthogonal vectors a score is 100,
    with equal ones 0.

    >>> score_list(["a1", "river"], {"river": np.array([1.0, 0.0])})
    ScoredList(words=('river',), score=nan)
    """
    words = tuple(dict.fromkeys(word for item in items if (word := word_of(item, vectors)) is not None))
    if len(words) < SCORED:
        return ScoredList(words, math.nan)
    rows = np.stack([vectors[word] for word in words[:SCORED]]).astype(np.float64)
    return ScoredList(words, 100 * semantic_spread(rows))


@dataclass(frozen=True, eq=False)
class People:
    """People's lists, scored with the same vectors as the model's."""

    name: str
    scores: Float[np.ndarray, " person"]  # of those with seven valid words
    asked: int
    agreement: float  # Spearman's correlation with the scores that came with the lists; NaN where none did

    def percentile(self, score: float) -> float:
        """Percent of the people who score below, ties half; NaN for NaN or without people."""
        if not len(self.scores) or not math.isfinite(score):
            return math.nan
        below, ties = (self.scores < score).sum(), (self.scores == score).sum()
        return float(100 * (below + ties / 2) / len(self.scores))

    def percentiles(self, score: Estimate) -> Estimate:
        """The percentile of a mean score and those of its interval's ends; the people are taken as they are."""
        value, low, high = (self.percentile(end) for end in (score.value, score.low, score.high))
        return Estimate(value, low, high, score.n, "percent")


def lists_of(ratings: Ratings) -> dict[str, list[str]]:
    """Each person's words by item, from texts in which they stand parted by commas."""
    items = ratings.with_texts().items
    return {
        str(item): [word.strip() for word in str(text).split(",")]
        for item, text in zip(items["item"], items["text"], strict=True)
    }


def score_people(ratings: Ratings, vectors: Vectors) -> People:
    """People's lists scored; where published scores came with them (criterion "DAT"), how well the two agree."""
    lists = lists_of(ratings)
    scored = {item: score_list(words, vectors).score for item, words in lists.items()}
    known = {item: score for item, score in scored.items() if math.isfinite(score)}
    agreement = math.nan
    if "DAT" in ratings.criteria:
        published = ratings.means("DAT")
        shared = [item for item in known if item in published.index]
        ours, theirs = [known[item] for item in shared], [float(published[item]) for item in shared]
        if len(set(ours)) > 1 and len(set(theirs)) > 1:
            agreement = float(stats.spearmanr(ours, theirs).statistic)
    return People(ratings.name, np.array(list(known.values()), dtype=float), len(lists), agreement)


def every_candidate(lists: Sequence[Sequence[str]]) -> set[str]:
    """All the ways in which the items of some lists may stand in a vocabulary: what has to be looked up."""
    return {way for items in lists for item in items for way in candidates_of(item)}
