"""The verdict on one chosen cell, from test rows alone: four questions that must *all* be answered with yes.

This is an intersection-union test (Berger 1982): the claim is made only when each part passes at its own level, so four
parts need no correction and the claim is wrong at most as often as its worst part. The gain's interval protects against
luck with prompts, the matched control pushes against "any push of this size does it", coherence against gibberish that
scores well, and the read-out against a scoring direction that reads nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy import stats

from creativity_lens.cells import Cell, coherence_interval
from creativity_lens.statistics import Estimate, paired_accuracy, rank_p, smallest_detectable, t_interval

STEERS = "steers"
NOT_ENOUGH = "not enough evidence"
BLIND = "blind assay"

HIGHEST_P = 0.05
FEWEST_CONTROLS = 19  # 1 / (K + 1) cannot reach 0.05 with fewer
LEAST_COHERENCE = 0.8
CHANCE = 0.5

# what "more" means for the concepts that ship; any other is called by the side it leans to
MORE = {"creativity": "more creative", "register": "more imaginative", "sentiment": "more positive"}


@dataclass(frozen=True)
class Part:
    """One question of the verdict. `passed` is None when it could not be measured, which never supports a claim."""

    key: str  # gain, controls, coherence, readout
    question: str
    estimate: Estimate
    needed: str
    passed: bool | None


@dataclass(frozen=True)
class Verdict:
    """The outcome, one sentence with its numbers, the parts it follows from, and the gain that could have been seen."""

    outcome: str  # STEERS, NOT_ENOUGH or BLIND
    sentence: str
    parts: tuple[Part, ...]
    smallest_detectable_gain: float  # gaps; NaN below 8 prompts or 19 controls, when nothing could be claimed
    concept: str = "creativity"


def judge(
    cell: Cell,
    control_gains: Float[np.ndarray, " control"],
    margins: Float[np.ndarray, " pair"],
    topics: Sequence[str],
    *,
    seed: int,
    concept: str = "creativity",
    layer: int | None = None,
    strength: float | None = None,
    draws: int = 1999,
) -> Verdict:
    """Judge the chosen cell on test rows.

    `control_gains` are the mean gains of the matched control pushes at the same layer (of 39, one may equal the cell;
    fewer than 19 can never pass), `margins` the scoring direction's creative - boring difference on test pairs, and
    `topics` the pairs' topics. All four parts are needed for "steers":

    - gain: the 95 % interval of the mean gain over prompts lies above 0;
    - controls: (1 + number of controls that gained as much) / (K + 1) is at most 0.05;
    - coherence: the lower end of coherence kept is at least 0.8;
    - readout: the lower end of the paired accuracy, over topics, is above 0.5.

    Whatever cannot be measured leaves the outcome at "not enough evidence". The controls may have fewer samples a
    prompt than the cell: their means then scatter more, which makes a claim harder, not easier.

    >>> judge(cell, control_gains, margins, topics, seed=0, layer=4, strength=0.2).outcome
    'steers'
    """
    gain = t_interval(cell.gain, unit="gaps")
    known_controls = control_gains[np.isfinite(control_gains)]
    p = rank_p(gain.value, known_controls)
    rank = Estimate(p, math.nan, math.nan, len(known_controls), "rank p")
    enough_controls = len(known_controls) >= FEWEST_CONTROLS and math.isfinite(p)
    coherence = coherence_interval(cell, seed=seed, draws=draws)
    readout = paired_accuracy(margins, topics, seed=seed, draws=draws)
    parts = (
        Part(
            "gain",
            "Does the push raise the score?",
            gain,
            "95 % interval above 0",
            gain.low > 0 if gain.has_interval else None,
        ),
        Part(
            "controls",
            "Does it raise the score more than matched control pushes do?",
            rank,
            f"rank p at most {HIGHEST_P:.2f}",
            p <= HIGHEST_P if enough_controls else None,
        ),
        Part(
            "coherence",
            "Do the texts stay coherent?",
            coherence,
            f"lower end of the 95 % interval at least {LEAST_COHERENCE:.2f}",
            coherence.low >= LEAST_COHERENCE if coherence.has_interval else None,
        ),
        Part(
            "readout",
            "Does the scoring direction tell apart pairs it has not seen?",
            readout,
            f"lower end of the 95 % interval above {CHANCE:.2f}",
            readout.low > CHANCE if readout.has_interval else None,
        ),
    )
    push = "pushing along the direction"
    if layer is not None:
        push += f" at layer {layer}"
    if strength is not None:
        push += f" with strength {strength:.2f}"
    more = MORE.get(concept, f"more {concept}")
    detectable = _smallest_detectable_gain(cell, known_controls)
    if all(part.passed for part in parts):
        beaten = int(np.sum(known_controls < gain.value))
        sentence = (
            f"{push[0].upper()}{push[1:]} makes texts score {gain.value:.2f} gaps {more} "
            f"({_interval(gain, 0.0)}, {gain.n} prompts), more than {beaten} of {rank.n} matched control pushes did, "
            f"with {coherence.value:.2f} of coherence kept."
        )
        return Verdict(STEERS, sentence, parts, detectable, concept)
    reasons = _join([_reason(part) for part in parts if not part.passed])
    seen = (
        f"the smallest gain this run could have detected is {detectable:.2f} gaps"
        if math.isfinite(detectable)
        else "a run of this size could not have shown a gain of any size"
    )
    sentence = f"Not enough evidence that {push} makes texts {more}: {reasons}; {seen}."
    return Verdict(NOT_ENOUGH, sentence, parts, detectable, concept)


def with_control(verdict: Verdict, positive_control: Verdict) -> Verdict:
    """The main verdict in the light of the positive control: a concept known to be in the model, judged the same way.

    Where the control was not found, the assay is blind: neither a claim nor its absence means anything, whatever the
    main verdict said. Its parts are kept.
    """
    if positive_control.outcome == STEERS:
        return verdict
    reasons = _join([_reason(part) for part in positive_control.parts if not part.passed])
    return blind(verdict, positive_control.concept, f"failed ({reasons})")


def blind(verdict: Verdict, control: str, why: str) -> Verdict:
    """The verdict of a run whose positive control `control` was not found; `why` says how ("failed (...)")."""
    more = MORE.get(verdict.concept, f"more {verdict.concept}")
    sentence = (
        f"The assay found nothing it should have found: its positive control, {control}, {why}, so this run cannot say "
        f"whether pushing makes texts {more}."
    )
    return replace(verdict, outcome=BLIND, sentence=sentence)


def _smallest_detectable_gain(cell: Cell, controls: Float[np.ndarray, " control"]) -> float:
    """The gain that passes both gain and controls four times in five, given these controls and the prompts' noise.

    The t test alone would promise too much: the gain must also beat all controls but the few that p <= 0.05 allows.
    """
    alone = smallest_detectable(cell.gain)
    if len(controls) < FEWEST_CONTROLS or not math.isfinite(alone):
        return math.nan
    allowed = math.floor(HIGHEST_P * (len(controls) + 1) + 1e-9)  # of 39 controls, the second largest must be beaten
    limit = float(np.sort(controls)[-allowed])
    known = cell.gain[np.isfinite(cell.gain)]
    return max(alone, limit + float(stats.t.ppf(0.8, len(known) - 1) * stats.sem(known)))


def _reason(part: Part) -> str:
    """Why a part does not support the claim, with its numbers."""
    estimate = part.estimate
    value, n = f"{estimate.value:z.2f}", estimate.n
    unmeasured = part.passed is None
    match part.key:
        case "gain" if unmeasured:
            return f"{n} prompts are too few for an interval of the gain"
        case "gain":
            return f"the gain of {value} gaps is not shown to be above 0 ({_interval(estimate, 0.0)}, {n} prompts)"
        case "controls" if unmeasured and n >= FEWEST_CONTROLS:
            return f"there is no gain to compare with {n} control pushes"
        case "controls" if unmeasured:
            return f"{n} measured control pushes are too few to compare with ({FEWEST_CONTROLS} are needed)"
        case "controls":
            as_good = round(estimate.value * (n + 1)) - 1
            return f"{as_good} of {n} matched control pushes did as well (rank p {estimate.value:.3f})"
        case "coherence" if unmeasured:
            return f"coherence was measured on too few prompts ({n})"
        case "coherence":
            return (
                f"{value} of coherence is kept ({_interval(estimate, LEAST_COHERENCE)}, {n} prompts), "
                f"where the lower end must reach {LEAST_COHERENCE:.2f}"
            )
        case _ if unmeasured:
            return f"{n} topics of test pairs are too few to trust the scoring direction"
        case _:
            return (
                f"the scoring direction orders {value} of the test pairs rightly "
                f"({_interval(estimate, CHANCE)}, {n} topics), not shown to be better than chance"
            )


def _interval(estimate: Estimate, limit: float) -> str:
    digits = 3 if round(estimate.low, 2) == round(limit, 2) else 2  # rounding must not hide the side of the limit
    return f"95 % interval {estimate.low:z.{digits}f} to {estimate.high:z.{digits}f}"


def _join(reasons: list[str]) -> str:
    return reasons[0] if len(reasons) == 1 else ", ".join(reasons[:-1]) + ", and " + reasons[-1]
