"""A cell is one way of steering (layer, strength, method) compared with no steering, prompt by prompt.

From what was measured per prompt: *gain* (how much the score rose), *coherence kept*, *faithfulness kept* and their
harmonic mean *quality*, each with an interval over prompts. Quality chooses cells on dev and is never tested: clipping
lifts it above 0 under the null.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from creativity_lens.errors import InputError
from creativity_lens.statistics import Estimate, Weights, cluster_bootstrap, t_interval


@dataclass(frozen=True)
class Cell:
    """What was measured for each prompt; index 0 is the same prompt without steering. NaN: could not be measured."""

    gain: Float[np.ndarray, " prompt"]  # mean score steered - mean score unsteered, in gaps
    surprisal: Float[np.ndarray, " prompt"]  # nats per token under the clean model, given the neutral prompt
    surprisal_0: Float[np.ndarray, " prompt"]
    repetition: Float[np.ndarray, " prompt"]  # share of repeated 4-grams
    repetition_0: Float[np.ndarray, " prompt"]
    match: Float[np.ndarray, " prompt"]  # sim(text, own prompt) - mean sim(text, other prompts)
    match_0: Float[np.ndarray, " prompt"]


class Measures(NamedTuple):
    """A cell's four numbers: gain in gaps, the others shares between 0 and 1."""

    gain: Estimate
    coherence: Estimate
    faithfulness: Estimate
    quality: Estimate


def measure(cell: Cell, *, seed: int = 0, draws: int = 1999) -> Measures:
    """Gain, coherence kept, faithfulness kept and quality of a cell with 95 % intervals over prompts.

    A prompt enters a number when all that this number needs was measured for it, and each `n` says how many did.
    Faithfulness "not measured" (see `is_faithfulness_measured`) is NaN. Fewer than 8 prompts: no intervals.

    >>> measure(cell, seed=0).gain
    Estimate(value=0.61, low=0.44, high=0.78, n=32, unit='gaps')
    """
    return Measures(
        t_interval(cell.gain, unit="gaps"),
        coherence_interval(cell, seed=seed, draws=draws),
        _faithfulness_interval(cell, seed=seed, draws=draws),
        _quality_interval(cell, seed=seed, draws=draws),
    )


def coherence_of(weights: Weights, cell: Cell) -> Float[np.ndarray, " draw"]:
    """k = min(1, exp(u_0 - u_c)) * (1 - max(0, rho_c - rho_0)) from weighted means over prompts.

    Only being *more* surprising or *more* repetitive than the unsteered texts costs coherence; a gain on one side does
    not make up for a loss on the other.
    """
    fluency, freshness = _fluency(weights, cell), _freshness(weights, cell)
    return np.minimum(1, fluency) * np.minimum(1, freshness)


def coherence_interval(cell: Cell, *, seed: int = 0, draws: int = 1999) -> Estimate:
    """Coherence kept with its 95 % interval.

    With a = exp(u_0 - u_c) and b = 1 - (rho_c - rho_0), k is the smallest of 1, a, b and a * b. Each of the three gets
    a studentised bootstrap interval; the smallest low end and the smallest high end are those of k. A bootstrap of k
    itself would stand on the kinks of min and max: resamples that sit at k = 1 have no spread to be scaled by. A low
    end that is a minimum errs on the safe side when two of the three are about equal.
    """
    kept = _subset(cell, np.isfinite(cell.surprisal + cell.surprisal_0 + cell.repetition + cell.repetition_0))
    n = len(kept.gain)
    parts = [
        cluster_bootstrap(lambda weights: _fluency(weights, kept), n, draws=draws, seed=seed),
        cluster_bootstrap(lambda weights: _freshness(weights, kept), n, draws=draws, seed=seed),
        cluster_bootstrap(
            lambda weights: _fluency(weights, kept) * _freshness(weights, kept), n, draws=draws, seed=seed
        ),
    ]
    value, low, high = (
        float(np.clip(np.min([getattr(part, end) for part in parts]), 0, 1)) for end in ("value", "low", "high")
    )
    return Estimate(value, low, high, n, "share")


def is_faithfulness_measured(cell: Cell) -> bool:
    """Whether unsteered texts are closer to their own prompt than to others: the 95 % interval of m_0 lies above 0.

    Otherwise the ratio m_c / m_0 has no meaning, and faithfulness stays out of quality.
    """
    return bool(t_interval(cell.match_0).low > 0)


def faithfulness_of(weights: Weights, cell: Cell) -> Float[np.ndarray, " draw"]:
    """f = clip(m_c / m_0, 0, 1) from weighted means over prompts, NaN when it is not measured on the whole sample."""
    if not is_faithfulness_measured(cell):
        return np.full(len(weights), np.nan)
    return np.clip(_match_ratio(weights, cell), 0, 1)


def quality_of(weights: Weights, cells: Sequence[Cell]) -> Float[np.ndarray, "draw cell"]:
    """Steering quality: harmonic mean of clip(gain, 0, 1), coherence and, if measured, faithfulness; 0 when one is 0.

    All cells share their prompts, so that one row of `weights` draws the same prompts for each of them: what
    `statistics.confidence_set` and `selection_share` need to compare layers. Raises `InputError` when they do not.

    >>> confidence_set(lambda weights: quality_of(weights, cells), n_prompts)
    """
    for cell in cells:
        if len(cell.gain) != weights.shape[1]:
            raise InputError(
                f"quality_of: expected cells of {weights.shape[1]} prompts; got one of {len(cell.gain)}; "
                "compare only cells that ran on the same prompts."
            )
    return np.stack([np.maximum(_signed_quality(weights, cell), 0) for cell in cells], axis=1)


def repeated_share(token_ids: Sequence[int] | Int[np.ndarray, " pos"], n: int = 4) -> float:
    """Share of a text's n-grams that already occurred earlier in it, overlaps included: 1 - distinct / all.

    0 when nothing is repeated, (all - 1) / all when one token fills the text. A text of fewer than n tokens has no
    n-gram that could repeat and counts as 0. It grows with length: compare texts cut to the same number of tokens.

    >>> repeated_share([1, 2, 3, 1, 2, 3], n=3)  # 123 231 312 123: one of four
    0.25
    """
    ids = [int(token) for token in token_ids]
    grams = list(zip(*(ids[start:] for start in range(n)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _faithfulness_interval(cell: Cell, *, seed: int, draws: int) -> Estimate:
    kept = _subset(cell, np.isfinite(cell.match + cell.match_0))
    if not is_faithfulness_measured(kept):
        return Estimate(np.nan, np.nan, np.nan, len(kept.gain), "share")
    # the ratio is bootstrapped before it is clipped: clipping is monotone, so the ends can be clipped afterwards
    n = len(kept.gain)
    return _clipped(cluster_bootstrap(lambda weights: _match_ratio(weights, kept), n, draws=draws, seed=seed))


def _quality_interval(cell: Cell, *, seed: int, draws: int) -> Estimate:
    needed = cell.gain + cell.surprisal + cell.surprisal_0 + cell.repetition + cell.repetition_0
    if is_faithfulness_measured(cell):
        needed = needed + cell.match + cell.match_0
    kept = _subset(cell, np.isfinite(needed))
    n = len(kept.gain)
    return _clipped(cluster_bootstrap(lambda weights: _signed_quality(weights, kept), n, draws=draws, seed=seed))


def _signed_quality(weights: Weights, cell: Cell) -> Float[np.ndarray, " draw"]:
    """Quality that goes on below 0, along its tangent, when a part does.

    Clipped at 0 it is quality. Unclipped it has a spread on both sides of 0, so that the interval of a cell without
    gain reaches 0 as the interval of its gain does.
    """
    parts = [np.minimum(_mean(weights, cell.gain), 1), coherence_of(weights, cell)]
    if is_faithfulness_measured(cell):
        parts.append(np.minimum(_match_ratio(weights, cell), 1))
    stacked = np.stack(parts)
    least = stacked.min(axis=0)
    positive = least > 0
    return np.where(positive, len(parts) / (1 / np.where(positive, stacked, 1)).sum(axis=0), len(parts) * least)


def _clipped(estimate: Estimate) -> Estimate:
    value, low, high = (float(np.clip(end, 0, 1)) for end in (estimate.value, estimate.low, estimate.high))
    return Estimate(value, low, high, estimate.n, "share")


def _subset(cell: Cell, kept: Bool[np.ndarray, " prompt"]) -> Cell:
    return replace(cell, **{field.name: getattr(cell, field.name)[kept] for field in fields(cell)})


def _fluency(weights: Weights, cell: Cell) -> Float[np.ndarray, " draw"]:
    return np.exp(_mean(weights, cell.surprisal_0 - cell.surprisal))


def _freshness(weights: Weights, cell: Cell) -> Float[np.ndarray, " draw"]:
    return 1 - _mean(weights, cell.repetition - cell.repetition_0)


def _match_ratio(weights: Weights, cell: Cell) -> Float[np.ndarray, " draw"]:
    both = np.where(np.isfinite(cell.match + cell.match_0), 1.0, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # a draw in which m_0 is 0 is left out by the bootstrap
        return _mean(weights, cell.match * both) / _mean(weights, cell.match_0 * both)


def _mean(weights: Weights, values: Float[np.ndarray, " prompt"]) -> Float[np.ndarray, " draw"]:
    """Weighted mean over the prompts that have a value; NaN in a draw that holds none of them."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return (weights @ np.where(known, values, 0.0)) / (weights @ known.astype(float))
