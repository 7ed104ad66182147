"""Which texts are coherent enough for a twin of every measure: gibberish looks diverse."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from creativity_lens.cells import repeated_share
from creativity_lens.diversity.words import numbered_words, tokens_of
from creativity_lens.errors import InputError

MOST_REPEATED = 0.2  # share of repeated 4-grams; 99 % of the responses among the shipped pairs stay below 0.08
MOST_ABOVE = 1.0  # nats per token over the median text: nearly three times as surprising, token by token


@dataclass(frozen=True, eq=False)
class Coherence:
    """Which texts pass, and by what."""

    mask: Bool[np.ndarray, " text"]
    most_repeated: float  # share of repeated 4-grams that a text may have
    most_surprisal: float  # nats per token that it may have; NaN where no model read it

    def __str__(self) -> str:
        read = f" and a surprisal of at most {self.most_surprisal:.2f} nats a token" * bool(
            np.isfinite(self.most_surprisal)
        )
        return (
            f"Coherent: at most {self.most_repeated:g} of a text's 4-grams repeated{read}; "
            f"{int(self.mask.sum())} of {len(self.mask)} texts."
        )


def coherence_of(
    texts: Sequence[str],
    surprisal: Float[np.ndarray, " text"] | None = None,
    *,
    most_repeated: float = MOST_REPEATED,
    most_surprisal: float | None = None,
) -> Coherence:
    """Texts that do not go round in circles, and, where a model read them, are no strings of odd words.

    A text passes with a share of repeated 4-grams (of its words, all of them) up to `most_repeated`, and a mean
    `surprisal` (nats per token) up to `most_surprisal`: by default 1 nat above the median of these texts. Empty texts
    and texts without a surprisal do not pass. Raises `InputError` for a share out of range.

    >>> coherence_of(["to be or not to be", "no no no no no no no"]).mask.tolist()
    [True, False]
    """
    if not 0 <= most_repeated <= 1:
        raise InputError(f"most_repeated: expected a share from 0 to 1, got {most_repeated:g}; give another.")
    if surprisal is not None and len(surprisal) != len(texts):
        raise InputError(f"surprisal: expected one for each of {len(texts)} texts; got {len(surprisal)}; give all.")
    words = numbered_words([tokens_of(text) for text in texts])
    repeated = np.array([repeated_share(ids) for ids in words.ids])
    mask = (repeated <= most_repeated) & np.array([len(ids) > 0 for ids in words.ids], dtype=bool)
    if surprisal is None:
        return Coherence(mask, most_repeated, float("nan"))
    known = surprisal[np.isfinite(surprisal)]
    if most_surprisal is None:
        most_surprisal = float(np.median(known)) + MOST_ABOVE if len(known) else float("nan")
    return Coherence(mask & (surprisal <= most_surprisal), most_repeated, most_surprisal)
