"""The knee of a curve: where diversity has been bought and little of its price been paid yet. Arithmetic alone.

Along gamma, diversity D and its price C (surprisal) go from (C_0, D_0) to (C_1, D_1). The *knee* is the gamma whose
point lies furthest above the chord between the two ends: the largest (D_g - D_0)(C_1 - C_0) - (C_g - C_0)(D_1 - D_0),
which is the distance times the chord's length, and needs no division by a gain that may be near 0. Divided by both
gains it is the share of the diversity gained less the share of the price paid.

A largest distance is above 0 for a straight line too, by luck. There is a knee only where the end point itself,
distance 0, is not among the gammas that cannot be told apart from the best (`statistics.confidence_set`, over prompts);
its interval is from the smallest to the largest gamma of that set, which holds the best one of those asked for with
probability 0.95. Between neighbours in the list of gammas nothing is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from jaxtyping import Float

from creativity_lens.errors import InputError
from creativity_lens.sampling import Weight
from creativity_lens.statistics import FEWEST, Weights, confidence_set, t_interval


@dataclass(frozen=True)
class Knee:
    """Where a curve bends, or why it is not said to."""

    gamma: float  # NaN where there is none
    low: float  # its interval: gammas that cannot be told apart from it
    high: float
    gained: float  # share of all the diversity gained at it
    paid: float  # share of all the price paid at it
    n: int  # prompts
    sentence: str

    @property
    def is_found(self) -> bool:
        """Whether the curve bends for sure."""
        return bool(np.isfinite(self.gamma))


def find_knee(
    gammas: Sequence[Weight],
    diversity: Float[np.ndarray, "gamma prompt"],
    price: Float[np.ndarray, "gamma prompt"],
    *,
    draws: int = 1999,
    seed: int = 0,
) -> Knee:
    """The knee of mean diversity against mean price over prompts, with its interval; the module says how it is found.

    `gammas` ascend, the first and the last are the chord's ends. Prompts with a NaN anywhere are left out. There is no
    knee with fewer than 8 prompts, where the 95 % interval of the diversity gained or of the price paid from end to end
    reaches 0, and where no gamma lies above the chord for sure.

    >>> g = np.linspace(0, 1, 6)[:, None]
    >>> noise = 0.01 * np.random.default_rng(0).normal(size=(6, 20))
    >>> find_knee(g[:, 0], np.minimum(2 * g, 0.8 + 0.2 * g) + noise, g + 0 * noise).gamma
    0.4
    """
    grid = [float(gamma) for gamma in gammas]
    if len(grid) < 3 or grid != sorted(set(grid)):
        raise InputError(f"gammas: expected at least 3 that ascend, got {grid}.")
    kept = np.isfinite(diversity).all(0) & np.isfinite(price).all(0)
    diversity, price = diversity[:, kept].astype(float), price[:, kept].astype(float)
    n = int(kept.sum())
    if n < FEWEST:
        return _none(n, f"no knee is looked for below {FEWEST} prompts (n = {n})")
    gained, paid = t_interval(diversity[-1] - diversity[0]), t_interval(price[-1] - price[0])
    if not gained.low > 0:
        return _none(n, f"no knee: from gamma {grid[0]:g} to {grid[-1]:g} no diversity is gained for sure")
    if not paid.low > 0:
        return _none(n, f"no knee: from gamma {grid[0]:g} to {grid[-1]:g} no price is paid for sure")

    def above(weights: Weights) -> Float[np.ndarray, "draw candidate"]:
        """How far each gamma but the last lies above the chord; the first one's 0 stands for both ends."""
        d, c = (weights @ values.T / weights.sum(1, keepdims=True) for values in (diversity, price))
        d, c = d - d[:, :1], c - c[:, :1]
        return (d * c[:, -1:] - c * d[:, -1:])[:, :-1]

    distance = above(np.ones((1, n)))[0]
    best = int(distance.argmax())
    possible = confidence_set(above, n, draws=draws, seed=seed)
    if best == 0 or possible[0]:
        return _none(n, "no knee: the curve does not bend for sure")
    ends = [grid[place] for place in np.flatnonzero(possible)]
    shares = [float((v[best] - v[0]).mean() / (v[-1] - v[0]).mean()) for v in (diversity, price)]
    said = (
        f"the knee is at gamma {grid[best]:g} (interval {ends[0]:g} to {ends[-1]:g}, n = {n} prompts): "
        f"{shares[0]:.0%} of the diversity for {shares[1]:.0%} of the price"
    )
    return Knee(grid[best], ends[0], ends[-1], shares[0], shares[1], n, said)


def _none(n: int, why: str) -> Knee:
    return Knee(nan, nan, nan, nan, nan, n, why)
