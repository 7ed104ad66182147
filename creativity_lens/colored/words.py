"""Scored texts cut into words, each with the mean projection of its tokens and a level of colour."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from creativity_lens.errors import InputError
from creativity_lens.reports.browser import cut
from creativity_lens.text_scores import TextScore

LEVELS = 5  # of colour on each side of 0
LEAST_LIMIT = 0.5  # gaps at which the colours end at the earliest: small differences are not to look like large ones


@dataclass(frozen=True)
class Word:
    """A run of tokens without a blank inside, with the blanks before it, and the mean of their projections."""

    lead: str  # blanks, which stay uncoloured so that a colour ends where its word ends
    text: str
    value: float  # gaps of whole responses; NaN where it is unknown
    level: int = 0  # of colour, -LEVELS to LEVELS


def words_of(row: TextScore) -> list[Word]:
    """A scored text cut into words; `lead` and `text` of all of them, joined, are the text.

    A word that several tokens spell has their mean. Scripts without blanks between words are cut at their tokens.
    Raises `InputError` for a row that was scored without `tokens=True`.
    """
    if row.tokens is None:
        raise InputError("colours: expected texts that were scored with tokens=True.")
    pieces, hundredths = cut(row.text, row.tokens.pieces, row.tokens.projections.tolist())
    runs: list[tuple[str, list[float]]] = []
    for piece, value in zip(pieces, hundredths, strict=True):
        known = math.nan if value is None else value / 100
        for part in _at_blanks(piece):
            if runs and _joins(runs[-1][0], part):
                runs[-1] = (runs[-1][0] + part, [*runs[-1][1], known])
            else:
                runs.append((part, [known]))
    words = []
    for text, values in runs:
        lead = text[: len(text) - len(text.lstrip())]
        mean = float(np.mean([v for v in values if v == v])) if any(v == v for v in values) else math.nan
        words.append(Word(lead, text[len(lead) :], mean if text.strip() else math.nan))
    return words


def _at_blanks(piece: str) -> list[str]:
    """A token that spells more than one word is cut before each of them."""
    cuts = [i for i in range(1, len(piece)) if piece[i].isspace() and not piece[i - 1].isspace()]
    return [piece[a:b] for a, b in zip([0, *cuts], [*cuts, len(piece)], strict=True)] if piece else []


def _joins(before: str, part: str) -> bool:
    if part[0].isspace():
        return False
    if before.isspace():
        return True  # a blank that was a token of its own
    return not (_is_wide(before[-1]) or _is_wide(part[0]))


def _is_wide(letter: str) -> bool:
    """Chinese, Japanese, Korean and emoji: letters that stand alone."""
    return unicodedata.east_asian_width(letter) in "WF" and not unicodedata.combining(letter)


def levelled(texts: Sequence[Sequence[Word]]) -> tuple[list[list[Word]], float]:
    """Words with their level of colour, and the projection at which the colours end: the 95th percentile of all."""
    sizes = [abs(word.value) for text in texts for word in text if math.isfinite(word.value)]
    limit = max(LEAST_LIMIT, float(np.quantile(sizes, 0.95))) if sizes else LEAST_LIMIT
    return [[replace(word, level=_level(word.value / limit)) for word in text] for text in texts], limit


def _level(share: float) -> int:
    if not math.isfinite(share):
        return 0
    return int(math.copysign(math.floor(min(1.0, abs(share)) * LEVELS + 0.5), share))
