"""Rated sets whose truth is known: scores and ratings made by hand, with or without something planted in them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from creativity_lens.figures.rating_rows import CHEAP
from creativity_lens.ratings import Ratings
from creativity_lens.validation.scored import Scored

LAYERS = (1, 2, 3)


def ratings_of(
    values: np.ndarray,
    groups: Sequence[str],
    *,
    criterion: str = "creativity",
    panel: str = "raters",
    name: str = "made",
    authors: Sequence[str] | None = None,
    texts: Sequence[str] | None = None,
    scale: str | None = None,
) -> Ratings:
    """Ratings `values [text, rater]`, one group per text; a column of one rater is a mean without single ratings."""
    single = values.shape[1] > 1
    rows = [
        {
            "item": f"t{text}", "text": texts[text] if texts is not None else f"text {text}",
            "prompt": f"prompt of {group}", "group": group, "author": authors[text] if authors is not None else None,
            "rater": f"r{rater}" if single else None, "panel": panel, "criterion": criterion,
            "value": values[text, rater], "scale": scale,
        }
        for text, group in enumerate(groups)
        for rater in range(values.shape[1])
    ]  # fmt: skip
    return Ratings.of(pd.DataFrame(rows), name)


def scored_by_hand(ratings: Ratings, scores: np.ndarray, **cheap: np.ndarray) -> Scored:
    """A set as it would be if the model read `scores [layer, text]`; cheap scorers are noise where not given."""
    noise = np.random.default_rng(99)
    items = ratings.items
    values = {name: noise.normal(size=len(items)) for name in CHEAP}
    values |= {name.replace("_", " "): np.asarray(each, dtype=float) for name, each in cheap.items()}
    percentiles = np.full(len(items), 50.0)
    return Scored(ratings, items, LAYERS[: len(scores)], scores, values, percentiles, 0, 0)


def groups_of(count: int, size: int) -> list[str]:
    """`count` groups of `size` texts, in turn."""
    return [f"g{text % count}" for text in range(count * size)]
