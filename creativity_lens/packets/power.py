"""The smallest difference between two conditions that a packet can be expected to show, told before anyone rates.

People's answers are compared by prompt: each prompt's mean under one condition less that under the other, and a paired
t test over prompts. In units of the standard deviation of those differences the answer is exact; in points of the scale
it needs an assumption about how much raters and texts scatter, and says so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from creativity_lens.packets.parts import Item
from creativity_lens.packets.people import compared, smallest_difference
from creativity_lens.statistics import FEWEST

RATER_SHARE = 1 / 4  # assumed: standard deviation of one rating around its text's mean, as a share of the scale's width
TEXT_SHARE = 1 / 8  # assumed: that of texts of one prompt and condition
PAIR_SPREAD = 0.2  # assumed: standard deviation, over prompts, of the share of raters that prefer one side


@dataclass(frozen=True)
class Power:
    """What a paired comparison over prompts can show with 80 % power at the 5 % level."""

    prompts: int  # with texts of both conditions
    raters: int
    spread: float  # smallest difference / standard deviation of the prompts' differences; NaN below 8 prompts
    size: float  # the same in points of the scale, or as a share of preferences above one half: assumed
    sentence: str


def texts_power(items: Sequence[Item], conditions: Sequence[str], scale: tuple[int, int], raters: int) -> Power | None:
    """Of texts rated on a scale, for the first comparison; None where no prompt (group) has texts of both conditions.

    >>> texts_power(items, ("unsteered", "steered"), (1, 7), raters=5).prompts       # doctest: +SKIP
    32
    """
    couple = next(iter(compared(conditions)), None)
    counts = _counts(items, couple) if couple else []
    if couple is None or not counts:
        return None
    prompts = len(counts)
    texts = prompts / sum(1 / min(each) for each in counts)  # harmonic: what the variances add up to
    width = scale[1] - scale[0]
    rater, text = RATER_SHARE * width, TEXT_SHARE * width
    scatter = math.sqrt(2 * (text**2 + rater**2 / raters) / texts)
    spread = smallest_difference(prompts)
    assumed = (
        f"about {spread * scatter:.2f} points of {scale[0]}-{scale[1]} with {_many(raters, 'rater')} (assumed: single "
        f"ratings scatter by {rater:.2g} points around their text's mean, a prompt's texts by {text:.2g})"
    )
    return Power(prompts, raters, spread, spread * scatter, _sentence(prompts, spread, _between(couple), assumed))


def pairs_power(pairs: Sequence[tuple[Item, Item]], conditions: Sequence[str], raters: int) -> Power | None:
    """Of pairs of texts of two conditions, for the first comparison; None where no pair is of both."""
    couple = next(iter(compared(conditions)), None)
    groups = [one.group for one, other in pairs if couple and {one.condition, other.condition} == set(couple)]
    prompts = len({group if group is not None else f" {place}" for place, group in enumerate(groups)})
    if couple is None or not prompts:
        return None
    spread = smallest_difference(prompts)
    scatter = math.sqrt(PAIR_SPREAD**2 + 0.25 / (raters * len(groups) / prompts))
    share = min(1.0, 0.5 + spread * scatter) if math.isfinite(spread) else math.nan
    assumed = (
        f"about {100 * share:.0f} % of preferences, where 50 % is no difference, with {_many(raters, 'rater')} "
        f"(assumed: prompts differ in that share by {100 * PAIR_SPREAD:.0f} points)"
    )
    return Power(prompts, raters, spread, share - 0.5, _sentence(prompts, spread, _between(couple), assumed))


def _counts(items: Sequence[Item], couple: tuple[str, str]) -> list[list[int]]:
    """Texts of the one and of the other condition, of each group that has both."""
    found: dict[str, list[int]] = {}
    for item in items:
        if item.group is not None and item.condition in couple:
            found.setdefault(item.group, [0, 0])[couple.index(item.condition)] += 1
    return [each for each in found.values() if min(each) > 0]


def _between(couple: tuple[str, str]) -> str:
    return " and ".join(reversed(couple))


def _sentence(prompts: int, spread: float, between: str, assumed: str) -> str:
    if not math.isfinite(spread):
        return (
            f"{_many(prompts, 'prompt')} with texts of {between}: an interval needs {FEWEST}, so `clens rate collect` "
            "will tell the difference without one, and no finding can be claimed."
        )
    return (
        f"The smallest difference between {between} that this packet finds with 80 % power is {spread:.2f} standard "
        f"deviations of the prompts' differences (paired t over {prompts} prompts), {assumed}."
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
