"""Texts, ratings and scores with a correlation that is known, in groups and clusters of given sizes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

HANNA = [2] * 16 + [3] * 2 + [4]  # prompts that share texts among the 119 stories whose text is there
OBJECTS = [5] * 7 + [15] * 7 + [40] * 7  # groups of very different sizes
Made = tuple[np.ndarray, np.ndarray, np.ndarray]  # scores, ratings, two covariates


@dataclass(frozen=True)
class World:
    """Where texts stand: their group, their cluster where that is another thing, and what clusters share."""

    name: str
    groups: list[str]
    clusters: list[str] | None = None
    shared: float = 0.0  # of the variance of scores and of ratings, by cluster

    def make(self, rho: float, rng: np.random.Generator, given: float = 0.0) -> Made:
        """Scores and ratings correlated `rho` within groups; covariates that move both where `given` is not 0."""
        numbers = np.unique(self.clusters or self.groups, return_inverse=True)[1]
        scores, ratings = _pair(rho, len(numbers), rng)
        if self.shared:
            by_cluster = np.sqrt(self.shared) * np.array(_pair(rho, numbers.max() + 1, rng))[:, numbers]
            scores, ratings = np.sqrt(1 - self.shared) * np.array([scores, ratings]) + by_cluster
        covariates = rng.standard_normal((2, len(numbers)))
        return scores + given * covariates[0], ratings + given * (covariates[0] + covariates[1] / 2), covariates


def _pair(rho: float, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    first, second = rng.standard_normal((2, n))
    return first, rho * first + np.sqrt(1 - rho**2) * second


def grouped(sizes: list[int]) -> list[str]:
    return [f"g{group}" for group, size in enumerate(sizes) for _ in range(size)]


PLOTS, AUTHORS = [f"plot {i // 3}" for i in range(36)], [f"author {i % 3}" for i in range(36)]
PROMPTS = World("119 stories, 19 prompts", grouped(HANNA))
SIZES = World("21 groups of 5 to 40", grouped(OBJECTS))
WITHIN_AUTHOR = World("12 plots by 3 authors", AUTHORS, PLOTS)
ALIKE = World("12 plots by 3 authors, plots alike", AUTHORS, PLOTS, shared=0.5)
OVERALL = World("120 texts", ["all"] * 120, [str(i) for i in range(120)])


def covered(study: Callable, truth: float, simulations: int) -> float:
    """Share of simulated studies `study(seed)` whose interval holds the truth."""
    found = [study(seed) for seed in range(simulations)]
    return float(np.mean([each.low <= truth <= each.high for each in found]))


def expected(study: Callable, simulations: int) -> float:
    """What the statistic is on average where it is defined: the truth that its interval is about.

    Once in a thousand times, nineteen small groups rank a score exactly as they rank a covariate.
    """
    found = np.array([study(10**6 + seed).rho for seed in range(simulations)])
    assert np.isnan(found).mean() < 0.005
    return float(np.nanmean(found))
