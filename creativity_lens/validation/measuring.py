"""Every number of a validation: one row per set, criterion, panel, level, scorer and measure.

Levels: "group" compares texts within their prompt (or object, or paragraph), "author" within their author, "group and
author" takes both out of the ranks, "overall" compares all with all. Panels are never mixed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from creativity_lens.agreement import Agreement, agreement, agreement_two_way
from creativity_lens.correlation import Correlation, partial, two_way, within
from creativity_lens.figures.rating_rows import CHEAP, CRITERION, DIRECTION, RATERS
from creativity_lens.figures.rating_rows import FEWEST as PICTURED_FROM
from creativity_lens.preferences import preference, preference_difference
from creativity_lens.ratings import LEVELS
from creativity_lens.statistics import FEWEST
from creativity_lens.validation.cheap import COVARIATES
from creativity_lens.validation.scored import Scored

OVERALL, GROUP, AUTHOR, BOTH = LEVELS
PARTIAL_ALL = "partial rho, all cheap scorers"
TABLE = (
    *("set", "criterion", "panel", "level", "scorer", "layer", "measure"),
    *("estimate", "low", "high", "p", "n", "groups", "df", "detectable", "note"),
)
BLOCKS = 200  # clusters at most, where texts are drawn again one by one


@dataclass(frozen=True, eq=False)
class Rated:
    """The texts that one panel rated on one criterion, aligned with their scores."""

    criterion: str
    panel: str
    ratings: Float[np.ndarray, " text"]  # means over raters
    counts: Float[np.ndarray, " text"]  # ratings each mean is over; NaN where only the mean is published
    singles: Float[np.ndarray, "text rater"]  # NaN where a rater did not rate; no column where not published
    scorers: tuple[tuple[str, int | None], ...]  # name, layer
    scores: Float[np.ndarray, "scorer text"]
    items: pd.DataFrame

    @property
    def direction(self) -> list[int]:
        """Which scorers are the direction, at its layers."""
        return [place for place, (name, _) in enumerate(self.scorers) if name == DIRECTION]

    def at(self, name: str, layer: int | None = None) -> int | None:
        """The place of a scorer; None where it could not be measured."""
        return self.scorers.index((name, layer)) if (name, layer) in self.scorers else None


def rated_parts(scored: Scored, pool: Sequence[str] = ()) -> list[Rated]:
    """One part per criterion and panel, of the texts that this panel rated; with `pool`, those panels as one."""
    scorers: list[tuple[str, int | None]] = [(DIRECTION, layer) for layer in scored.layers]
    scorers += [(name, None) for name in CHEAP if name in scored.cheap]
    scores = np.concatenate([scored.scores, *(scored.cheap[name][None] for name in CHEAP if name in scored.cheap)])
    places = {item: place for place, item in enumerate(scored.items["item"])}
    found = []
    for criterion in scored.ratings.criteria:
        there = scored.ratings.panels(criterion)
        pooled = [panel for panel in there if panel in pool]
        for panel in there:
            rows = scored.ratings.rows(criterion, panel)
            name = panel
            if len(pooled) > 1 and panel in pooled:
                if panel != pooled[0]:
                    continue
                rows = scored.ratings.rows(criterion)
                rows, name = rows[rows["panel"].isin(pooled)], " and ".join(pooled)
            rows = rows.assign(rater=rows["panel"].str.cat(rows["rater"], sep=" "))
            means = rows.groupby("item", sort=False)["value"].mean()
            at = np.array([places[item] for item in means.index])
            named = rows[rows["rater"].notna()]
            singles = named.pivot(index="item", columns="rater", values="value").reindex(means.index)
            counts = singles.notna().sum(axis=1).to_numpy(float)
            found.append(
                Rated(
                    criterion=criterion,
                    panel=name,
                    ratings=means.to_numpy(float),
                    counts=np.where(counts > 0, counts, np.nan),
                    singles=singles.to_numpy(float),
                    scorers=tuple(scorers),
                    scores=scores[:, at],
                    items=scored.items.iloc[at].reset_index(drop=True),
                )
            )
    return found


def levels_of(items: pd.DataFrame, *, overall: bool = True) -> list[str]:
    """The levels at which texts can be compared: within groups and authors that hold several and are several."""
    found = [OVERALL] if overall else []
    several = {
        level: bool(items[column].notna().all()) and 1 < items[column].nunique() < len(items)
        for level, column in ((GROUP, "group"), (AUTHOR, "author"))
    }  # fmt: skip
    found += [level for level, holds in several.items() if holds]
    return found + [BOTH] * all(several.values()) or [OVERALL]


def measure_set(name: str, part: Rated, levels: Sequence[str], primary: int, *, seed: int) -> Iterator[dict[str, Any]]:
    """The rows of one criterion and panel: correlations at every level, the raters' agreement, ceiling and share."""
    about = {"set": name, "criterion": part.criterion, "panel": part.panel}
    for level in levels:
        here = about | {"level": level}
        each, curve = correlate(part, level, seed=seed)
        for (scorer, layer), found in zip(part.scorers, each, strict=True):
            yield here | _row(scorer, layer, "rho", found)
        if curve is not None:
            yield here | {
                "scorer": DIRECTION, "measure": "p max", "estimate": curve[0], "p": curve[1], "n": each[0].n,
                "note": f"largest |rho| over {len(part.direction)} layers, against ratings permuted alike for all",
            }  # fmt: skip
        place = part.at(DIRECTION, primary)
        assert place is not None, "the primary layer is read"
        if level != BOTH:
            groups, clusters = labels_of(part.items, level, seed=seed)
            cheap = [name for name in CHEAP if part.at(name) is not None]
            for measure, held in (("partial rho", COVARIATES), (PARTIAL_ALL, cheap)):
                covariates = np.stack([part.scores[_known(part, name)] for name in held])
                given = partial(part.scores[[place]], part.ratings, covariates, groups, clusters=clusters, seed=seed)[0]
                yield here | _row(DIRECTION, primary, measure, given)
        yield from ({**here, **row} for row in _ceiling(part, level, each[place].rho, primary))


def correlate(part: Rated, level: str, *, seed: int) -> tuple[list[Correlation], tuple[float, float] | None]:
    """Every scorer's correlation at a level; and the largest |rho| over the layers with its permutation p."""
    groups, clusters = labels_of(part.items, level, seed=seed)
    if level == BOTH:
        first, second = (part.items[column].to_numpy(str) for column in ("group", "author"))
        return two_way(part.scores, part.ratings, first, second, clusters=clusters, seed=seed), None
    found = within(part.scores, part.ratings, groups, clusters=clusters, curve=part.direction, seed=seed)
    return found.each, (found.largest, found.p_max) if len(part.direction) > 1 else None


def labels_of(items: pd.DataFrame, level: str, *, seed: int) -> tuple[np.ndarray | None, np.ndarray]:
    """Which texts are compared with each other, and which are drawn together again in the bootstrap.

    Texts of one prompt are drawn together wherever there are enough prompts for an interval; else texts one by one.
    """
    groups = {GROUP: items["group"], AUTHOR: items["author"]}.get(level)
    prompts = items["group"]
    if prompts.notna().all() and prompts.nunique() >= FEWEST:
        clusters = prompts.to_numpy(str)
    else:
        shuffled = np.random.default_rng(seed).permutation(len(items)) % BLOCKS
        clusters = shuffled.astype(str)
    return None if groups is None else groups.to_numpy(str), clusters


def measure_criteria(
    name: str, parts: Sequence[Rated], primary: str, level: str, *, seed: int
) -> Iterator[dict[str, Any]]:
    """How the criteria of a panel agree with each other on the same texts: each read as the score of each other."""
    parts = [part for part in parts if part.panel == primary and len(part.ratings) >= PICTURED_FROM]
    by_item = {part.criterion: pd.Series(part.ratings, part.items["item"].to_numpy()) for part in parts}
    for part in parts:
        others = [criterion for criterion in by_item if criterion != part.criterion]
        if not others or level == BOTH:
            continue
        scores = np.stack([by_item[other].reindex(part.items["item"]).to_numpy() for other in others])
        groups, clusters = labels_of(part.items, level, seed=seed)
        found = within(scores, part.ratings, groups, clusters=clusters, permutations=199, draws=99, seed=seed)
        for other, each in zip(others, found.each, strict=True):
            about = {"set": name, "criterion": part.criterion, "panel": part.panel, "level": level}
            yield about | _row(f"{CRITERION}{other}", None, "rho", each) | {"low": np.nan, "high": np.nan, "p": np.nan}


def is_paired(part: Rated) -> bool:
    """Whether the texts come two and two: every group holds exactly two."""
    sizes = part.items.groupby("group")["item"].size() if part.items["group"].notna().all() else pd.Series(dtype=int)
    return len(sizes) > 1 and bool((sizes == 2).all())


def measure_pairs(name: str, part: Rated, primary: int, *, seed: int) -> Iterator[dict[str, Any]]:
    """How often each scorer prefers the text of a pair that people preferred, and the direction's lead over the cheap.

    The lead is over a cheap scorer in the sign that does better for it on these very pairs, which is generous to it.
    """
    order = np.argsort(part.items["group"].to_numpy(str), kind="stable").reshape(-1, 2)
    ratings, scores = part.ratings[order], part.scores[:, order]
    about = {"set": name, "criterion": part.criterion, "panel": part.panel, "level": GROUP}
    found = preference(scores, ratings, seed=seed)
    for (scorer, layer), each in zip(part.scorers, found, strict=True):
        numbers = {"estimate": each.value, "low": each.low, "high": each.high, "n": each.n}
        yield about | {"scorer": scorer, "layer": layer, "measure": "accuracy"} | numbers
    place = part.at(DIRECTION, primary)
    for other, (scorer, layer) in enumerate(part.scorers):
        if scorer != DIRECTION:
            sign = 1.0 if found[other].value >= 0.5 else -1.0
            lead = preference_difference(scores[place], sign * scores[other], ratings, seed=seed)
            numbers = {"estimate": lead.value, "low": lead.low, "high": lead.high, "p": lead.p, "n": lead.pairs}
            yield about | {"scorer": scorer, "layer": layer, "measure": "accuracy lead", "note": lead.note} | numbers


def _known(part: Rated, scorer: str) -> int:
    place = part.at(scorer)
    assert place is not None, "length and surprisal are always measured"
    return place


def _row(scorer: str, layer: int | None, measure: str, found: Correlation) -> dict[str, Any]:
    return {
        "scorer": scorer, "layer": layer, "measure": measure, "estimate": found.rho, "low": found.low,
        "high": found.high, "p": found.p, "n": found.n, "groups": found.groups, "df": found.df,
        "detectable": found.detectable, "note": found.note,
    }  # fmt: skip


def _ceiling(part: Rated, level: str, rho: float, primary: int) -> Iterator[dict[str, Any]]:
    """The raters' agreement on these texts at this level, its ceiling, and the correlation as a share of it."""
    found = None
    if part.singles.shape[1] and level == BOTH:
        first, second = (part.items[column].to_numpy(str) for column in ("group", "author"))
        found = agreement_two_way(part.singles, first, second)
    elif part.singles.shape[1]:
        found = agreement(part.singles, labels_of(part.items, level, seed=0)[0])
    why = _why_none(found)
    ceiling = found.ceiling if found is not None and not why else np.nan
    if found is not None:
        for measure, value in (("icc1", found.icc1), ("icck", found.icck), ("alpha", found.alpha)):
            ends = {"low": found.icck_low, "high": found.icck_high} if measure == "icck" else {}
            row = {"scorer": RATERS, "measure": measure, "estimate": value, "n": found.n_items, "note": found.note}
            yield row | ends
    yield {"scorer": RATERS, "measure": "ceiling", "estimate": ceiling, "n": len(part.ratings), "note": why}
    yield {
        "scorer": DIRECTION, "layer": primary, "measure": "share", "estimate": rho / ceiling, "n": len(part.ratings),
        "note": why,
    }  # fmt: skip


def _why_none(found: Agreement | None) -> str:
    if found is None:
        return "no ceiling: single ratings are not published"
    if np.isnan(found.icck):
        return f"no ceiling: {found.note or 'agreement is not defined'}"
    if not found.icck_low > 0:
        value = f"{found.icck:.2f}".replace("-", "−")
        return f"no ceiling: the raters' ICC(k) of {value} is not above 0 for sure on these texts"
    return ""
