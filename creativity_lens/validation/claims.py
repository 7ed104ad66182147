"""What a validation claims of a set: one outcome and one sentence, from its primary number alone.

The primary criterion, panel, level and layer are fixed before ratings are read, so one test is made and nothing needs
correcting. "Agrees" takes a correlation above 0 (p <= 0.05, and the interval where there is one) that is still above 0
with length and surprisal held fixed, and with all cheap scorers held fixed; and where groups are so small that ranks
cannot hold much fixed, one that exceeds what each cheap scorer reaches. For texts in pairs it takes more right pairs
than chance and than every cheap scorer. Anything less is called what it is.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from creativity_lens.figures.rating_rows import CHEAP, DIRECTION, PREFERRED, RATERS
from creativity_lens.validation.cheap import COVARIATES
from creativity_lens.validation.measuring import GROUP, OVERALL, PARTIAL_ALL

AGREES, NOT_ENOUGH, WRONG_WAY = "agrees", "not enough evidence", "points the wrong way"
NO_BETTER = "no better than "
LEVEL = 0.05
SMALL = 10  # texts in a group: in pairs a fifth of a pure effect of length is left when length is "held fixed"

Rows = Sequence[Mapping[str, Any]]


def claim(rows: Rows, primary: Mapping[str, str], *, layer: int, group_name: str, paired: bool) -> dict[str, str]:
    """Outcome and sentence from the rows of one set; `primary` names criterion, panel and level."""
    own = [row for row in rows if all(row.get(key) == primary[key] for key in ("criterion", "panel"))]
    if paired:
        return _of_pairs([row for row in own if row["level"] == GROUP], primary, layer)
    return _of_correlation([row for row in own if row["level"] == primary["level"]], primary, layer, group_name)


def _of_correlation(rows: Rows, primary: Mapping[str, str], layer: int, group_name: str) -> dict[str, str]:
    found = _one(rows, DIRECTION, "rho", layer)
    where = {OVERALL: "over all texts", GROUP: f"within {group_name}", "author": "within author"}
    place = where.get(primary["level"], f"with {group_name} and author held fixed")
    what = f"ratings of {primary['criterion']} (panel: {primary['panel']})"
    if found is None or not math.isfinite(found["estimate"]):
        why = f": {found['note']}" if found is not None and found["note"] else ""
        return {"outcome": NOT_ENOUGH, "sentence": f"Nothing can be said of {what}{why}."}
    counted = f"{found['n']} texts" + (f" in {found['groups']} groups" * (primary["level"] == GROUP))
    said = f"rho {_signed(found['estimate'])}{_ends(found)} {place}, {counted}, p {_p(found['p'])}"
    given, strict = (_one(rows, DIRECTION, measure, layer) for measure in ("partial rho", PARTIAL_ALL))
    held = f"; with length and surprisal held fixed {_left(given)}"
    if _clear(found) and found["estimate"] < 0:
        sentence = f"The direction points the wrong way for {what}, whose texts score lower the higher they were rated"
        return {"outcome": WRONG_WAY, "sentence": f"{sentence}: {said}{held}."}
    rivals = [abs(row["estimate"]) for row in _cheap(rows).values() if math.isfinite(row["estimate"])]
    small = found["n"] < SMALL * found["groups"]
    if _clear(found) and _is_above(given) and _is_above(strict) and not (small and found["estimate"] <= max(rivals)):
        sentence = f"The direction agrees with {what} beyond length and surprisal: {said}{held}"
        sentence += f", and with all cheap scorers held fixed {_left(strict)}.{_share(rows, layer)}"
        return {"outcome": AGREES, "sentence": sentence}
    could = f"this set could have shown {found['detectable']:.2f} or more"
    if _clear(found):
        name = _strongest(rows, CHEAP if _is_above(given) else COVARIATES)
        if _is_above(given):
            held += f", with all cheap scorers {_left(strict)}"
        told, rival = f"{said}{held}; {_cheap_said(rows, name)}", _cheap(rows)[name]
        if _clear(rival) or abs(rival["estimate"]) >= found["estimate"]:
            sentence = f"The direction is no better than {name} for {what}: {told}."
            return {"outcome": NO_BETTER + name, "sentence": sentence}
        beyond = "every cheap scorer" if _is_above(given) else "length and surprisal"
        sentence = f"Not enough evidence that the direction agrees with {what} beyond {beyond}: {told}."
        return {"outcome": NOT_ENOUGH, "sentence": sentence}
    best = _best_cheap(rows)
    if best is not None:
        sentence = f"The direction is no better than {best} for {what}: {said} ({could}), where "
        return {"outcome": NO_BETTER + best, "sentence": f"{sentence}{_cheap_said(rows, best)}."}
    sentence = f"Not enough evidence that the direction agrees with {what}: {said}; {could}."
    return {"outcome": NOT_ENOUGH, "sentence": sentence + _ceiling_said(rows)}


def _of_pairs(rows: Rows, primary: Mapping[str, str], layer: int) -> dict[str, str]:
    found = _one(rows, DIRECTION, "accuracy", layer)
    what = f"the text of a pair that was rated higher for {primary['criterion']} (panel: {primary['panel']})"
    if found is None or not math.isfinite(found["estimate"]):
        return {"outcome": NOT_ENOUGH, "sentence": f"Nothing can be said of how often the direction prefers {what}."}
    said = f"{100 * found['estimate']:.0f} %{_shares(found)} of {found['n']} pairs"
    leads = [row for row in rows if row["measure"] == "accuracy lead"]
    cheap = {}  # accuracy and its low end, each scorer in its better sign
    for row in rows:
        if row["measure"] == "accuracy" and row["scorer"] != DIRECTION and math.isfinite(row["estimate"]):
            turned = row["estimate"] < 0.5
            value, low = (1 - row["estimate"], 1 - row["high"]) if turned else (row["estimate"], row["low"])
            cheap[PREFERRED[row["scorer"]][turned]] = value, low
    best = max(cheap, key=lambda name: cheap[name], default="chance")
    beside = f'; "{best}" is right in {100 * cheap[best][0]:.0f} %' if cheap else ""
    if found["high"] < 0.5:
        return {
            "outcome": WRONG_WAY,
            "sentence": f"The direction points the wrong way: it prefers {what} in {said}{beside}.",
        }
    ahead = all(row["estimate"] > 0 and row["p"] <= LEVEL for row in leads)
    if found["low"] > 0.5 and ahead:
        return {
            "outcome": AGREES,
            "sentence": f"The direction prefers {what} in {said}, oftener than every cheap scorer{beside}.",
        }
    if found["low"] > 0.5 or (cheap and cheap[best][1] > 0.5):
        return {
            "outcome": NO_BETTER + best,
            "sentence": f"The direction is no better than {best}: it prefers {what} in {said}{beside}.",
        }
    return {
        "outcome": NOT_ENOUGH,
        "sentence": f"Not enough evidence that the direction prefers {what}: {said}{beside}.",
    }


def _one(rows: Rows, scorer: str, measure: str, layer: int | None = None) -> Mapping[str, Any] | None:
    found = (row for row in rows if row["scorer"] == scorer and row["measure"] == measure and row["layer"] == layer)
    return next(found, None)


def _cheap(rows: Rows) -> dict[str, Mapping[str, Any]]:
    return {row["scorer"]: row for row in rows if row["scorer"] in CHEAP and row["measure"] == "rho"}


def _best_cheap(rows: Rows) -> str | None:
    """The cheap scorer that agrees most, if any does for sure: the best of several is held to a stricter level."""
    cheap = {name: row for name, row in _cheap(rows).items() if math.isfinite(row["estimate"])}
    clear = [name for name, row in cheap.items() if row["p"] <= LEVEL / len(cheap) and not _spans_zero(row)]
    return max(clear, key=lambda name: abs(cheap[name]["estimate"]), default=None)


def _strongest(rows: Rows, names: Sequence[str]) -> str:
    """Of these cheap scorers, the one that agrees most with the ratings, in either sign."""
    cheap = {name: abs(row["estimate"]) for name, row in _cheap(rows).items() if math.isfinite(row["estimate"])}
    return max(names, key=lambda name: cheap.get(name, -1.0))


def _cheap_said(rows: Rows, name: str) -> str:
    row = _cheap(rows)[name]
    return f"{name} alone reaches {_signed(row['estimate'])}{_ends(row)}"


def _share(rows: Rows, layer: int) -> str:
    row = _one(rows, DIRECTION, "share", layer)
    if row is None or not math.isfinite(row["estimate"]):
        return _ceiling_said(rows)
    return f" That is {100 * row['estimate']:.0f} % of what the raters' own agreement allows."


def _ceiling_said(rows: Rows) -> str:
    row = _one(rows, RATERS, "ceiling")
    if row is None:
        return ""
    if not math.isfinite(row["estimate"]):
        return f" There is {row['note']}."
    return f" The raters' own agreement allows {row['estimate']:.2f}."


def _clear(row: Mapping[str, Any]) -> bool:
    return bool(row["p"] <= LEVEL) and not _spans_zero(row)


def _is_above(row: Mapping[str, Any] | None) -> bool:
    return row is not None and bool(row["estimate"] > 0) and _clear(row)


def _left(row: Mapping[str, Any] | None) -> str:
    if row is None or not math.isfinite(row["estimate"]):
        return "nothing is left to measure"
    return f"{_signed(row['estimate'])}{_ends(row)} is left"


def _spans_zero(row: Mapping[str, Any]) -> bool:
    return bool(row["low"] <= 0 <= row["high"])  # an interval that is not there spans nothing


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _ends(row: Mapping[str, Any]) -> str:
    if not (math.isfinite(row["low"]) and math.isfinite(row["high"])):
        return ""
    return f" ({_signed(row['low'])} to {_signed(row['high'])})"


def _shares(row: Mapping[str, Any]) -> str:
    if not (math.isfinite(row["low"]) and math.isfinite(row["high"])):
        return ""
    return f" ({100 * row['low']:.0f} to {100 * row['high']:.0f} %)"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.0005 else "below 0.001"
