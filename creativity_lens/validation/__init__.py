"""Validation: how well a direction's score agrees with people's ratings, and with which people."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from creativity_lens.directions import Directions, check_model
from creativity_lens.errors import InputError
from creativity_lens.files import plain
from creativity_lens.models import Model
from creativity_lens.progress import track
from creativity_lens.ratings import SETS, Ratings
from creativity_lens.validation.claims import claim
from creativity_lens.validation.measuring import (
    GROUP,
    PICTURED_FROM,
    Rated,
    is_paired,
    levels_of,
    measure_criteria,
    measure_pairs,
    measure_set,
    rated_parts,
)
from creativity_lens.validation.scored import Scored, score_rated
from creativity_lens.validation.validation import TEXTS, Validation, table_of
from creativity_lens.yardstick import Yardstick

__all__ = ["Validation", "validate_ratings"]

EXPERT = "expert"


def validate_ratings(
    model: Model,
    yardstick: Yardstick,
    sets: Sequence[Ratings],
    *,
    directions: Directions | None = None,
    pool: Sequence[str] = (),
    seed: int = 0,
    command: str = "",
) -> Validation:
    """Hold the clean model's score of every rated text against what people said of it.

    Each text is read once, alone, by the clean model. The primary number of a set is the within-group rank correlation
    at the yardstick's layer; a set of ours names its criterion, panel and level before any rating is read, another one
    takes "creativity" or its first criterion, its experts or its first panel, and texts of one group. `directions` (a
    sweep's `scoring_directions`) add the curve over layers, which is exploratory. `pool` names panels to be averaged,
    which is never done unasked. Beside every number stands what the set could have shown, what the raters' agreement
    allows, and what length, word length, type-token ratio, surprisal and distance to the prompt reach.

    Raises `InputError` for another model than the yardstick's, sets of one name, and a set without texts.

    >>> found = validate_ratings(model, sweep.yardstick, [load_ratings("ttcw")[0]])     # doctest: +SKIP
    >>> found.sentences["ttcw"]                                                         # doctest: +SKIP
    """
    names = [ratings.name for ratings in sets]
    if not names or len(set(names)) < len(names):
        got = "none" if not names else f"'{max(names, key=names.count)}' twice"
        raise InputError(f"ratings: expected rated sets of different names, got {got}.")
    if directions is not None:
        check_model(directions, model, "directions")
    scored = score_rated(model, yardstick, directions, sets)
    parts = [rated_parts(each, pool) for each in scored]
    rows: list[dict[str, Any]] = []
    texts: list[pd.DataFrame] = []
    about: dict[str, Any] = {}
    with track("agreement with people", sum(map(len, parts)), unit="criteria") as advance:
        for whole, each, found in zip(sets, scored, parts, strict=True):
            name, shipped = whole.name, SETS.get(whole.name)
            first = _primary(whole, found, shipped)
            paired = False
            measured: list[dict[str, Any]] = []
            for part in found:
                levels = levels_of(part.items, overall=shipped is None or shipped.overall)
                measured += measure_set(name, part, levels, yardstick.layer, seed=seed)
                if is_paired(part):
                    paired = True
                    measured += measure_pairs(name, part, yardstick.layer, seed=seed)
                texts.append(_texts(name, part, each, yardstick.layer))
                advance(1)
            measured += measure_criteria(name, found, first["panel"], first["level"], seed=seed)
            measured = [
                {"layer": None, "low": np.nan, "high": np.nan, "p": np.nan, "note": "", **row} for row in measured
            ]
            said = claim(measured, first, layer=yardstick.layer, group_name=whole.group_name, paired=paired)
            about[name] = _about(whole, each, found, first, paired, said, shipped)
            rows += measured
    meta = {
        "format": 1,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": command,
        "model": {"name": model.name, "id": model.id, "weights_hash": model.weights_hash},
        "sides": [yardstick.sides.creative, yardstick.sides.boring],
        "layers": list(scored[0].layers),
        "primary_layer": yardstick.layer,
        "sets": about,
    }
    return Validation(table_of(rows), pd.concat(texts, ignore_index=True), plain(meta))


def _primary(ratings: Ratings, parts: Sequence[Rated], shipped: Any) -> dict[str, str]:
    """Criterion, panel and level of the set's one verdict: as the set's entry says, else by rule, never by result."""
    wanted = shipped.primary if shipped is not None else None
    criteria = list(dict.fromkeys(part.criterion for part in parts))
    by_rule = "creativity" if "creativity" in criteria else criteria[0]
    criterion = wanted.criterion if wanted is not None and wanted.criterion in criteria else by_rule
    panels = [part.panel for part in parts if part.criterion == criterion]
    expert = next((panel for panel in panels if EXPERT in panel.lower()), panels[0])
    panel = wanted.panel if wanted is not None and wanted.panel in panels else expert
    part = next(part for part in parts if (part.criterion, part.panel) == (criterion, panel))
    levels = levels_of(part.items, overall=shipped is None or shipped.overall)
    level = wanted.level if wanted is not None and wanted.level in levels else GROUP if GROUP in levels else levels[0]
    return {"criterion": criterion, "panel": panel, "level": level}


def _texts(name: str, part: Rated, scored: Scored, primary: int) -> pd.DataFrame:
    """One row per rated text of a criterion and panel; the text itself is not copied."""
    place = {item: at for at, item in enumerate(scored.items["item"])}
    at = np.array([place[item] for item in part.items["item"]])
    return pd.DataFrame({
        "set": name, "item": part.items["item"], "group": part.items["group"], "author": part.items["author"],
        "panel": part.panel, "criterion": part.criterion, "rating": part.ratings, "n_ratings": part.counts,
        "score": scored.scores[scored.layers.index(primary), at], "percentile": scored.percentiles[at],
        "length": scored.cheap["length"][at], "surprisal": scored.cheap["surprisal"][at],
    })[list(TEXTS)]  # fmt: skip


def _about(
    ratings: Ratings, scored: Scored, parts: Sequence[Rated], first: Mapping[str, str], paired: bool,
    said: Mapping[str, str], shipped: Any,
) -> dict[str, Any]:  # fmt: skip
    frame = ratings.frame
    asked = frame[(frame["criterion"] == first["criterion"]) & frame["rater"].notna()]  # others may be computed
    raters = asked[["panel", "rater"]].drop_duplicates()
    levels = list(dict.fromkeys(
        level for part in parts for level in levels_of(part.items, overall=shipped is None or shipped.overall)
    ))  # fmt: skip
    notes = [shipped.note] if shipped is not None and shipped.note else []
    if scored.n_missing:
        notes.append(f"{scored.n_missing} of {len(ratings.items)} rated texts are not in the set's files.")
    if scored.n_empty:
        notes.append(f"{scored.n_empty} texts have no token that the model reads.")
    if len(parts) and max(len(part.ratings) for part in parts) < PICTURED_FROM:
        notes.append(f"Below {PICTURED_FROM} texts neither a calibration nor a matrix of criteria is drawn.")
    return {
        "title": shipped.title if shipped is not None else ratings.name,
        "items": len(ratings.items),
        "texts": len(scored.items),
        "ratings": len(frame),
        "raters": len(raters) or "means only",
        "criteria": ratings.criteria,
        "panels": list(dict.fromkeys(part.panel for part in parts)),
        "licence": shipped.licence if shipped is not None else "",
        "source": shipped.source if shipped is not None else "",
        "group_name": ratings.group_name,
        "levels": levels,
        "primary": dict(first),
        "fixed": shipped is not None,
        "paired": paired,
        "verdict": dict(said),
        "notes": notes,
    }
