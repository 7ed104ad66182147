"""Intervals of measures of a whole set, from how they change when groups are left out."""

import numpy as np
from jaxtyping import Float
from scipy import stats

from creativity_lens.statistics import FEWEST, LEVEL, Estimate


def jackknife_interval(
    value: float, without: Float[np.ndarray, " block"], *, groups: int, in_block: int = 1, unit: str = ""
) -> Estimate:
    """`value` with a delete-a-block jackknife interval, Student's t with one degree of freedom less than blocks.

    `without` are the values with each block of `in_block` groups left out in turn, out of `groups`. No interval (NaN)
    below 8 groups, where a value is not finite, and where leaving groups out changes nothing.

    In simulations with 10 and 30 groups of 3 texts it covered the truth 0.94 to 0.99 of the time for measures away from
    their bounds. Close to a bound (every text a cluster of its own, no n-gram twice) it is too short, as t is there.
    Source: Shao and Tu 1995, The Jackknife and Bootstrap, section 2.3.

    >>> jackknife_interval(0.5, np.linspace(0.48, 0.52, 10), groups=10)      # doctest: +SKIP
    """
    if groups < FEWEST or len(without) < FEWEST or not (np.isfinite(value) and np.isfinite(without).all()):
        return Estimate(value, np.nan, np.nan, groups, unit)
    blocks = len(without)
    variance = (groups - in_block) / (in_block * blocks) * float(((without - without.mean()) ** 2).sum())
    if variance <= (1e-12 * max(1.0, abs(value))) ** 2:
        return Estimate(value, np.nan, np.nan, groups, unit)
    half = float(stats.t.ppf((1 + LEVEL) / 2, blocks - 1)) * np.sqrt(variance)
    return Estimate(value, value - half, value + half, groups, unit)
