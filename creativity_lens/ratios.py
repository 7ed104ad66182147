"""Ratios of means over prompts, and differences of estimates whose intervals are not symmetric: closed forms.

Fieller's interval of a ratio is bounded exactly where the t interval of the denominator's mean leaves 0 out, so that
"is there anything to divide by" and "how sure is the ratio" are one question. It covers 0.93 to 0.97 in simulations
with 8, 16 and 32 prompts, normal or skewed, also of denominators that are only just told from 0; the studentised
bootstrap covers 0.86 to 0.95 there.
"""

import numpy as np
from jaxtyping import Float
from scipy import stats

from creativity_lens.statistics import FEWEST, LEVEL, Estimate

SHARE = "share"


def ratio_of_means(
    top: Float[np.ndarray, " prompt"], bottom: Float[np.ndarray, " prompt"], *, unit: str = SHARE
) -> Estimate:
    """mean(top) / mean(bottom) over the same prompts, with Fieller's interval.

    Its ends are the ratios r at which a t test just tells mean(top - r bottom) from 0. They are NaN where the t
    interval of the bottom's mean contains 0, and below 8 prompts.

    >>> top, bottom = np.array([1.0, 2, 1, 2, 1, 2, 1, 2]), np.array([3.0, 3, 2, 4, 4, 2, 3, 3])
    >>> ratio_of_means(top, bottom)
    Estimate(value=0.5, low=0.335..., high=0.711..., n=8, unit='share')
    """
    n = len(top)
    over, under = (float(side.mean()) if n else np.nan for side in (top, bottom))
    value = over / under if under else np.nan
    if n < FEWEST or not np.isfinite(value):
        return Estimate(value, np.nan, np.nan, n, unit)
    t = float(stats.t.ppf((1 + LEVEL) / 2, n - 1))
    (var_top, both), (_, var_bottom) = t * t * np.cov(top, bottom) / n
    # (over - r under)^2 <= t^2 var(top - r bottom) / n is a parabola in r
    a, b, c = under**2 - var_bottom, over * under - both, over**2 - var_top
    if a <= 0:
        return Estimate(value, np.nan, np.nan, n, unit)
    root = np.sqrt(max(b * b - a * c, 0.0))
    return Estimate(value, float((b - root) / a), float((b + root) / a), n, unit)


def difference_of(first: Estimate, second: Estimate, correlation: float) -> Estimate:
    """first - second, its interval put together from theirs and from the correlation of the two estimates.

    Each end lies as far out as the nearer ends of the two intervals say, which need not be symmetric (the method of
    variance estimates recovery; Zou 2007). For symmetric intervals it is the usual one for a difference.

    >>> difference_of(Estimate(0.5, 0.3, 0.6, 16, "share"), Estimate(0.1, 0.0, 0.3, 16, "share"), 0.0)
    Estimate(value=0.4, low=0.117..., high=0.541..., n=16, unit='share')
    """
    below = _length(first.value - first.low, second.high - second.value, correlation)
    above = _length(first.high - first.value, second.value - second.low, correlation)
    value = first.value - second.value
    return Estimate(value, value - below, value + above, min(first.n, second.n), first.unit)


def _length(one: float, other: float, correlation: float) -> float:
    return float(np.sqrt(max(one * one + other * other - 2 * correlation * one * other, 0.0)))
