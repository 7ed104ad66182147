"""Did people find the steered texts more creative? Texts of the same prompt are compared, prompt by prompt.

For each rater and prompt the mean rating under one condition is set against that under the other, which takes out who
is strict and which prompts are dull; then raters are averaged, and prompts are the observations. Where every rater
rated every text this is the mean over raters per text, then over texts per prompt. The interval is over prompts: it
speaks of other prompts and of these raters, so how many of the raters lean the same way is said beside it.

The first criterion and the first comparison are the primary ones, fixed before anything is collected. A difference is
claimed when the 95 % interval excludes none; all others are exploratory, and say so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from creativity_lens.packets.packet import Packet
from creativity_lens.ratings import Ratings
from creativity_lens.statistics import FEWEST, Estimate, cluster_bootstrap, smallest_detectable, t_interval

BASELINE = "unsteered"
COMPARED = (("steered", BASELINE), ("prompted", BASELINE), ("steered", "prompted"))
ROUNDING = 1e-9  # differences of means of whole numbers that are smaller are none
# how a criterion is said of a text; any other is "higher on NAME"
_MORE = {
    "creativity": "more creative",
    "originality": "more original",
    "novelty": "more novel",
    "surprise": "more surprising",
    "coherence": "more coherent",
    "quality": "better",
}
_LESS = {"better": "worse"}

Values = Float[np.ndarray, "rater prompt"]


@dataclass(frozen=True)
class Comparison:
    """One condition against another on one criterion.

    `estimate` is in points of the scale, its neutral value 0; or, where pairs were compared, the share of comparisons
    that went to the first condition (ties half), its neutral value 0.5.
    """

    estimate: Estimate  # over prompts
    p: float  # paired t test, two-sided; NaN for pairs, whose interval is a bootstrap
    sign_p: float  # sign test over prompts, two-sided, prompts without a difference left out
    higher: int  # prompts in which the first condition is ahead
    lower: int
    tied: int
    standardised: float  # in standard deviations of the prompts' differences
    detectable: float  # the smallest distance from neutral that this packet could have found with 80 % power
    raters: int
    raters_higher: int  # raters who put the first condition ahead, each over their prompts
    raters_lower: int
    neutral: float = 0.0
    first: str = "steered"
    second: str = BASELINE
    criterion: str = "creativity"
    panel: str = ""
    is_primary: bool = True

    @property
    def found(self) -> bool:
        """Whether the interval excludes that there is no difference."""
        return self.estimate.has_interval and not self.estimate.low <= self.neutral <= self.estimate.high

    @property
    def level(self) -> str:
        """What is compared with what."""
        return f"{self.first} - {self.second}"

    @property
    def sentence(self) -> str:
        """The finding in words, with what it rests on."""
        said = _sentence(self)
        return said if self.is_primary else f"Exploratory: {said[0].lower()}{said[1:]}"

    def rows(self) -> list[dict[str, Any]]:
        """The comparison as rows of a table."""
        about = {
            "criterion": self.criterion,
            "panel": self.panel,
            "level": self.level,
            "raters": self.raters,
            "role": "primary" if self.is_primary else "exploratory",
        }
        ends = {"low": self.estimate.low, "high": self.estimate.high, "n": self.estimate.n}
        main = {"estimate": self.estimate.value, "p": self.p, "detectable": self.detectable, **ends}
        untied = self.higher + self.lower
        few = "" if self.estimate.has_interval else f"no interval below {FEWEST} prompts"
        return [
            about | {"measure": "preference" if self.neutral else "difference", "note": few} | main,
            about | {"measure": "standardised difference", "estimate": self.standardised, "n": self.estimate.n},
            about
            | {"measure": "share of prompts ahead", "estimate": _share(self.higher, untied), "p": self.sign_p}
            | {"n": untied, "note": f"{self.tied} without a difference left out" if self.tied else ""},
            about
            | {"measure": "share of raters ahead", "estimate": _share(self.raters_higher, self.raters)}
            | {"n": self.raters},
        ]


def smallest_difference(n_prompts: int, spread: float = 1.0) -> float:
    """The mean difference between two conditions that a paired t test over so many prompts finds with 80 % power.

    `spread` is the standard deviation of the prompts' differences, and the result is in its units. NaN below 8
    prompts, where no difference of any size is claimed.

    >>> round(smallest_difference(40), 2)
    0.45
    """
    if n_prompts < FEWEST:
        return float("nan")
    evenly = np.arange(n_prompts, dtype=float)  # any numbers of this spread: only it and their count matter
    return float(spread * smallest_detectable(evenly / evenly.std(ddof=1)))


def compared(conditions: Sequence[str]) -> list[tuple[str, str]]:
    """Which conditions are compared: steered, prompted and unsteered as ever, any other with the baseline.

    The baseline is "unsteered", or the first condition where there is no such.

    >>> compared(["unsteered", "steered", "human"])
    [('steered', 'unsteered'), ('human', 'unsteered')]
    """
    found = [(first, second) for first, second in COMPARED if first in conditions and second in conditions]
    base = BASELINE if BASELINE in conditions else next(iter(conditions), "")
    done = {name for couple in found for name in couple} | {base}
    return found + [(name, base) for name in conditions if name not in done]


def compare(values: Values, *, neutral: float = 0.0, draws: int = 1999, seed: int = 0) -> Comparison:
    """Compare two conditions from each rater's difference (or preference, neutral 0.5) per prompt, NaN where not rated.

    A prompt's value is the mean over its raters. Means get Student's t interval over prompts, preferences the
    studentised bootstrap over prompts, which keeps to the ends 0 and 1. Below 8 prompts there is no interval.

    >>> compare(np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 1.0]])).estimate.value      # prompts 0.5, 0 and 1.5
    0.6666666666666666
    """
    prompts, raters = _means(values, 0), _means(values, 1)
    n = len(prompts)
    away = _signs(prompts - neutral)
    higher, lower = int(np.sum(away > 0)), int(np.sum(away < 0))
    lean = _signs(raters - neutral)
    error = float(stats.sem(prompts)) if n > 1 else math.nan
    varies = error > ROUNDING
    p = math.nan
    if neutral:
        estimate = cluster_bootstrap(
            lambda weights: weights @ prompts / weights.sum(axis=1),
            n, draws=draws, seed=seed, unit="share", bounds=(0.0, 1.0),
        )  # fmt: skip
    else:
        estimate = t_interval(prompts, unit="points")
        if varies and n >= FEWEST:
            p = float(2 * stats.t.sf(abs(estimate.value) / error, n - 1))
    return Comparison(
        estimate,
        p,
        float(stats.binomtest(higher, higher + lower).pvalue) if higher + lower else math.nan,
        higher,
        lower,
        n - higher - lower,
        float((prompts.mean() - neutral) / (error * math.sqrt(n))) if varies else math.nan,
        smallest_detectable(prompts) if varies else math.nan,
        len(raters),
        int(np.sum(lean > 0)),
        int(np.sum(lean < 0)),
        neutral,
    )


def differences(ratings: Ratings, criterion: str, panel: str, first: str, second: str) -> Values:
    """Each rater's mean rating per prompt under the first condition less that under the second; NaN: not rated."""
    rows = ratings.rows(criterion, panel)
    cells = rows.groupby(["rater", "group", "author"])["value"].mean().unstack("author")
    if first not in cells or second not in cells:
        return np.zeros((0, 0))
    return _matrix(cells[first] - cells[second])


def preferences(packet: Packet, ratings: Ratings, criterion: str, panel: str, first: str, second: str) -> Values:
    """Each rater's share of preferences for the first condition over the second per prompt, ties half.

    Both texts of a pair must have the same prompt.
    """
    asked = set()
    for pair in packet.pairs:
        texts = packet.item(pair.first), packet.item(pair.second)
        if {text.condition for text in texts} == {first, second} and texts[0].group == texts[1].group:
            asked.add(pair.key)
    rows = ratings.rows(criterion, panel)
    rows = rows[rows["item"].str.partition(":")[0].isin(asked) & (rows["author"] == first)]
    return _matrix(rows.groupby(["rater", "group"])["value"].mean())


def people(packet: Packet, ratings: Ratings, *, draws: int = 1999) -> list[Comparison]:
    """Every comparison of a packet's conditions on every criterion, panels apart; those without a prompt are left out.

    The first comparison on the first criterion is the primary one of its panel. Empty where the packet has no
    conditions or its texts no groups: only texts of the same prompt are compared.
    """
    found = []
    for place, criterion in enumerate(name for name in packet.criteria if name in ratings.criteria):
        for panel in ratings.panels(criterion):
            for first, second in compared(packet.conditions):
                if packet.mode == "pairs":
                    values = preferences(packet, ratings, criterion, panel, first, second)
                else:
                    values = differences(ratings, criterion, panel, first, second)
                if not values.size:
                    continue
                primary = place == 0 and (first, second) == compared(packet.conditions)[0]
                neutral = 0.5 if packet.mode == "pairs" else 0.0
                found.append(
                    replace(
                        compare(values, neutral=neutral, draws=draws, seed=packet.seed % 2**32),
                        first=first, second=second, criterion=criterion, panel=panel, is_primary=primary,
                    )
                )  # fmt: skip
    return found


def _matrix(values: pd.Series) -> Values:
    """`[rater, prompt]` without the prompts and raters that have no value."""
    table = values.dropna().unstack("group") if len(values.dropna()) else pd.DataFrame()
    return table.to_numpy(dtype=float)


def _means(values: Values, axis: int) -> Float[np.ndarray, " mean"]:
    """Means along an axis over what is there; rows or columns of which nothing is there are left out."""
    known = np.isfinite(values)
    counts = known.sum(axis=axis)
    return np.where(known, values, 0.0).sum(axis=axis)[counts > 0] / counts[counts > 0]


def _signs(values: Float[np.ndarray, " mean"]) -> Float[np.ndarray, " mean"]:
    return np.where(np.abs(values) < ROUNDING, 0.0, np.sign(values))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _sentence(found: Comparison) -> str:
    estimate, points = found.estimate, found.neutral == 0
    who = "People" if found.raters > 1 else "One person"
    both = f"{found.first} and {found.second} texts"
    if not estimate.has_interval:
        seen = f"{_number(estimate.value, '+')} points" if points else f"{estimate.value:.0%} of comparisons"
        return (
            f"Too few prompts to tell {both} apart on {found.criterion}: {estimate.n}, of {FEWEST} needed "
            f"({found.first}: {_percent(seen)})."
        )
    if found.standardised != found.standardised and abs(estimate.value - found.neutral) < ROUNDING:
        return (
            f"No difference on {found.criterion} between {both}: it is none in each of {estimate.n} prompts, "
            "so the ratings do not tell texts apart at all, and nothing was measured."
        )
    ends = (
        f"{_number(estimate.low)} to {_number(estimate.high)}"
        if points
        else f"{estimate.low:.0%} to {estimate.high:.0%}"
    )
    lean = found.raters_higher if estimate.value >= found.neutral else found.raters_lower
    raters = f"{lean} of {found.raters} raters lean that way" if found.raters > 1 else "1 rater"
    basis = f"{ends} over {estimate.n} prompts; {raters}; sign test {_p(found.sign_p)}"
    if not found.found:
        seen = f"{_number(estimate.value, '+')} points" if points else f"{found.first} ahead in {estimate.value:.0%}"
        least = _number(found.detectable) if points else f"{min(1.0, found.neutral + found.detectable):.0%}"
        power = f"this packet could have detected {least} with 80 % power"
        if not math.isfinite(found.detectable):
            power = "what it could have detected is not known"
        what = "difference" if points else "preference"
        return _percent(f"No {what} on {found.criterion} was found between {both} ({seen}, {basis}); {power}.")
    more = _MORE.get(found.criterion, f"higher on {found.criterion}")
    if not points:
        only = "only " if estimate.value < found.neutral else ""
        return _percent(
            f"{who} found the {found.first} text {more} than the {found.second} one in {only}{estimate.value:.0%} of "
            f"comparisons, ties counting half ({basis})."
        )
    if estimate.value < 0:
        more = _LESS.get(more, more.replace("more ", "less ", 1).replace("higher ", "lower ", 1))
    return (
        f"{who} rated the {found.first} texts {_number(abs(estimate.value))} points {more} than the {found.second} "
        f"ones ({basis})."
    )


def _p(p: float) -> str:
    if not math.isfinite(p):
        return "not defined"
    return "p below 0.001" if p < 0.001 else f"p {p:.{3 if p < 0.0995 else 2}f}"


def _number(value: float, sign: str = "") -> str:
    """Two decimals; three where two would hide on which side of 0 it is."""
    return f"{value:{sign}z.{3 if 0 < abs(value) < 0.0995 else 2}f}"


def _percent(text: str) -> str:
    return text.replace("%", " %").replace("  %", " %")
