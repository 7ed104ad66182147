"""Scores of finished texts: each is read alone by the clean model, once, and held against a yardstick.

One forward pass gives the projection of every token at the yardstick's layer and the logits for its surprisal.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from creativity_lens.cells import repeated_share
from creativity_lens.models import Model
from creativity_lens.sides import Sides
from creativity_lens.token_readings import means_of, read_tokens, window_size
from creativity_lens.yardstick import Yardstick

EMPTY = "no token to read"
NO_UNIT = "no score: the dev pairs' gap at this length is not above 0"
UNSURE = "the unit is uncertain: the 95 % interval of the dev pairs' gap at this length contains 0"
FEW_TOPICS = "the unit has no interval: the dev pairs have fewer than 8 topics"
LONG = "longer than most held-out responses, which are then taken whole"
NOT_FINITE = "the model's numbers are not finite; load it with another dtype"


@dataclass(frozen=True, eq=False)
class TokenValues:
    """A text's tokens: the piece of text that each adds, and its numbers. The pieces, joined, are the text."""

    pieces: tuple[str, ...]
    projections: Float[np.ndarray, " token"]  # in gaps of whole responses: one unit for all texts
    surprisals: Float[np.ndarray, " token"]  # nats


@dataclass(frozen=True)
class TextScore:
    """What was measured of one text; NaN where it could not be."""

    text: str
    score: float  # gaps at the text's length
    percentile_boring: float  # percent of the boring test responses of like length that score below, ties half
    percentile_creative: float
    surprisal: float  # nats per token, read alone
    repetition: float  # share of repeated 4-grams
    n_tokens: int
    notes: tuple[str, ...] = ()  # what limits these numbers, a phrase each
    tokens: TokenValues | None = None


@dataclass(frozen=True, eq=False)
class TextScores:
    """Scores of texts, in their order, and what they were held against."""

    rows: tuple[TextScore, ...]
    yardstick: Yardstick

    @property
    def sides(self) -> Sides:
        """What the two sides are called."""
        return self.yardstick.sides

    @property
    def frame(self) -> pd.DataFrame:
        """One row per text; the percentiles are named after the sides."""
        first, second = (f"percentile_{name}" for name in (self.sides.boring, self.sides.creative))
        return pd.DataFrame({
            "text": [row.text for row in self.rows],
            "score": np.array([row.score for row in self.rows], dtype=float),
            first: np.array([row.percentile_boring for row in self.rows], dtype=float),
            second: np.array([row.percentile_creative for row in self.rows], dtype=float),
            "surprisal": np.array([row.surprisal for row in self.rows], dtype=float),
            "repetition": np.array([row.repetition for row in self.rows], dtype=float),
            "tokens": np.array([row.n_tokens for row in self.rows], dtype=int),
            "note": ["; ".join(row.notes) for row in self.rows],
        })  # fmt: skip

    @property
    def caption(self) -> str:
        """How the numbers are to be read."""
        sides, stick = self.sides, self.yardstick
        pairs, topics = len(stick.test.topics), len(set(stick.test.topics))
        return (
            f"Score: projection at layer {stick.layer} of {stick.source.model}, read alone; above 0 leans to "
            f"{sides.creative}; one gap is what {sides.creative} and {sides.boring} dev responses of the text's length "
            f"differ by ({stick.whole.value:.3g} residual units for whole ones). Percentiles: among {pairs} "
            f"{sides.boring} and {pairs} {sides.creative} test responses ({topics} topics) cut to the text's length. "
            "Surprisal in nats per token; repetition is the share of repeated 4-grams. Compare texts of like length."
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"TextScores({len(self.rows)} texts, {self.yardstick!r})"

    def _repr_html_(self) -> str:
        table = self.frame.round(3).to_html(index=False, max_rows=50, border=0, na_rep="", justify="left")
        return f"{table}<p>{html.escape(self.caption)}</p>"


def score_texts(
    model: Model,
    yardstick: Yardstick,
    texts: Sequence[str],
    *,
    tokens: bool = False,
    window: int | None = None,
) -> TextScores:
    """Score texts by the clean model, each by itself: no instruction, whole, in the yardstick's gaps.

    `tokens` keeps every token's piece of text, projection and surprisal. `window` is the most tokens that are read at
    once, start token included, by default the context. A text's numbers do not depend on its company (but for
    rounding, below 1e-4). An empty text has NaN for its score, and a note; so has one at whose length the held-out
    pairs give no unit, though its percentiles stand, which need none.

    Raises `InputError` for another model than the yardstick's, and for a text with a lone surrogate.

    >>> scores = score_texts(model, sweep.yardstick, ["The tide came in like a rumour."])       # doctest: +SKIP
    >>> scores.rows[0].score                                                                    # doctest: +SKIP
    0.62
    """
    yardstick.check(model)
    size = window_size(model, window)
    ids = model.encode_texts(texts)
    lengths = np.array([len(text) for text in ids], dtype=int)
    read, surprisals = read_tokens(model, [yardstick.probe], ids, size)
    projections, (means, nats) = read[0], means_of(np.stack([read[0], surprisals]), lengths)
    scores, below, notes = held_against(yardstick, means, lengths)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    windowed = f"read in windows of {size} tokens"
    rows = []
    for i, (text, (start, end)) in enumerate(zip(texts, pairwise(ends), strict=True)):
        values = None
        if tokens:
            shown = projections[start:end] / yardstick.whole.value
            values = TokenValues(tuple(model.pieces(ids[i])), shown, surprisals[start:end])
        own = (*notes[i], windowed) if lengths[i] > size else notes[i]
        repeated = repeated_share(ids[i]) if ids[i] else math.nan
        numbers = (float(scores[i]), float(below[i, 1]), float(below[i, 0]), float(nats[i]), float(repeated))
        rows.append(TextScore(text, *numbers, int(lengths[i]), own, values))
    return TextScores(tuple(rows), yardstick)


def held_against(
    yardstick: Yardstick, means: Float[np.ndarray, " text"], lengths: Int[np.ndarray, " text"]
) -> tuple[Float[np.ndarray, " text"], Float[np.ndarray, "text 2"], list[tuple[str, ...]]]:
    """Scores in gaps, percentiles among creative and boring responses, and notes; one look per distinct length."""
    scores = np.full(len(means), np.nan)
    below = np.full((len(means), 2), np.nan)
    notes: list[tuple[str, ...]] = [(EMPTY,)] * len(means)
    asked = np.unique(lengths[lengths > 0])
    if not len(asked):
        return scores, below, notes
    for length, gap, references in zip(asked, yardstick.gaps(asked), yardstick.references(asked), strict=True):
        some = np.flatnonzero(lengths == length)
        finite = np.isfinite(means[some])
        for side, held in enumerate(references):
            rank = (np.searchsorted(held, means[some], "left") + np.searchsorted(held, means[some], "right")) / 2
            below[some, side] = np.where(finite, 100 * rank / len(held), np.nan)
        said = [LONG] if length > yardstick.typical_length else []
        if gap.value > 0:
            scores[some] = means[some] / gap.value
            said += [] if gap.low > 0 else [UNSURE] if gap.has_interval else [FEW_TOPICS]
        else:
            said.append(NO_UNIT)
        for i, sound in zip(some, finite, strict=True):
            notes[i] = tuple(said) if sound else (NOT_FINITE,)
    scores[~np.isfinite(means)] = np.nan
    return scores, below, notes
