"""How far a packet's raters agree: on texts overall, within prompt and within condition, or on pairs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from creativity_lens.agreement import Agreement, agreement
from creativity_lens.packets.packet import Packet
from creativity_lens.ratings import Ratings
from creativity_lens.statistics import LEVEL

LEVELS = {"overall": "", "group": "within prompt", "author": "within condition"}


def preference_agreement(values: Float[np.ndarray, "pair rater"]) -> Agreement:
    """Agreement on which text of a pair is the better one; values are 1, 0 or 0.5 for the first text, NaN unrated.

    Which text of a pair is called the first means nothing, so pairs are set against 0.5 and not against their own mean:
    MSB = sum k_i (x_i - 0.5)^2 / pairs with as many degrees of freedom, MSW as ever, and alpha counts every pair both
    ways. Swapping the texts of any pair changes nothing. `n_items` counts pairs.

    >>> round(preference_agreement(np.array([[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])).icc1, 4)
    0.3333
    """
    rated = np.isfinite(values)
    values = values[rated.any(axis=1)]
    both = agreement(np.concatenate([values, 1 - values]))
    found = replace(both, n_items=both.n_items // 2, n_ratings=both.n_ratings // 2)
    if not np.isfinite(both.icc1) or both.icc1 == 1:
        return found
    counts = np.isfinite(values).sum(axis=1)
    means = np.nanmean(values, axis=1)
    n, total = len(values), int(counts.sum())
    between = float(np.sum(counts * (means - 0.5) ** 2) / n)
    within = float(np.nansum((values - means[:, None]) ** 2) / (total - n))
    k = total / n
    icc1 = (between - within) / (between + (k - 1) * within)
    if between == 0:
        return replace(found, icc1=icc1, icck=np.nan, icck_low=np.nan, icck_high=np.nan, k=k)
    low, high = (1 - float(stats.f.ppf(q, n, total - n)) * within / between for q in ((1 + LEVEL) / 2, (1 - LEVEL) / 2))
    return replace(found, icc1=icc1, icck=1 - within / between, icck_low=low, icck_high=high, k=k)


def agreements(packet: Packet, ratings: Ratings) -> dict[tuple[str, str, str], Agreement]:
    """Agreement by (criterion, panel, level): overall, and for single texts within prompt and within condition."""
    found = {}
    for criterion in ratings.criteria:
        for panel in ratings.panels(criterion):
            table = ratings.matrix(criterion, panel)
            if packet.mode == "pairs":
                firsts = {f"{pair.key}:{packet.item(pair.first).id}" for pair in packet.pairs}
                values = table[table.index.isin(firsts)].to_numpy(dtype=float)
                found[criterion, panel, "overall"] = preference_agreement(values)
                continue
            values = table.to_numpy(dtype=float)
            found[criterion, panel, "overall"] = agreement(values)
            about = ratings.items.set_index("item").loc[table.index]
            for level in ("group", "author"):
                if about[level].notna().any():
                    found[criterion, panel, level] = agreement(values, _labels(about[level]))
    return found


def agreement_rows(key: tuple[str, str, str], found: Agreement, raters: int) -> list[dict[str, Any]]:
    """An agreement as rows of a table."""
    criterion, panel, level = key
    about = {"criterion": criterion, "panel": panel, "level": level, "n": found.n_items, "raters": raters}
    about |= {"note": found.note}
    return [
        about | {"measure": "icc1", "estimate": found.icc1},
        about | {"measure": "icck", "estimate": found.icck, "low": found.icck_low, "high": found.icck_high},
        about | {"measure": "alpha", "estimate": found.alpha},
    ]


def agreement_sentence(criterion: str, found: dict[str, Agreement], raters: int, unit: str) -> str:
    """Agreement on a criterion in words; `found` is by level, overall first."""
    overall = found["overall"]
    if raters < 2:
        return f"Agreement on {criterion} is not defined: one rater only."
    if not np.isfinite(overall.icc1):
        why = overall.note.removeprefix("agreement is not defined: ")
        return f"Agreement on {criterion} is not defined: {why}."
    parts = [
        f"{LEVELS[level]} ICC({each.k:.3g}) {_interval(each)}".strip()
        for level, each in found.items()
        if np.isfinite(each.icck)
    ]
    alpha = f"alpha {overall.alpha:.2f}" if np.isfinite(overall.alpha) else "alpha not defined"
    head = (
        f"Agreement of {raters} raters on {criterion}, {overall.n_items} {unit}: one rating ICC(1) {overall.icc1:.2f}"
    )
    return f"{head}, {alpha}; their mean {', '.join(parts) or 'not defined'}."


def _interval(found: Agreement) -> str:
    return f"{found.icck:.2f} ({found.icck_low:.2f} to {found.icck_high:.2f})"


def _labels(values: "pd.Series[str]") -> Sequence[str]:
    """Labels of groups; an item without one is a group of its own, which is left out."""
    return [str(value) if pd.notna(value) else f"\0{place}" for place, value in enumerate(values)]
