"""Effects of weights and of the template on a measure, and the steps of a ladder of stages: closed forms, no model.

A 2 x 2 holds two models (weights) asked in two formats. The way from the base model in plain text to the aligned model
in its template can be gone over either corner, and the two orders give weights and template different shares wherever
they interact. Each is therefore averaged over both orders (Shapley's value): the two then sum to the total whatever the
interaction. Shares are ratios of means and get Fieller's interval, which is bounded exactly where the interval of the
denominator's mean does not contain 0, and only there is a share given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from creativity_lens.errors import InputError
from creativity_lens.ratios import SHARE, ratio_of_means
from creativity_lens.statistics import FEWEST, Estimate, t_interval

UNSURE = "the interval of the total contains 0: there is nothing sure to share out"
NO_START = "the interval of the first stage's mean contains 0: changes are no shares of it"
FEW = f"fewer than {FEWEST} prompts: no interval, so no share"


@dataclass(frozen=True)
class TwoByTwo:
    """What weights and template do to a measure, each an estimate over prompts with its interval.

    `weights` + `template` = `total`, and `weights_share` + `template_share` = 1. A share is below 0 or above 1 where
    weights and template pull in opposite directions; both are NaN, and `note` says why, where the total is not sure.
    """

    total: Estimate  # aligned, template - base, plain
    weights: Estimate  # mean of weights_plain and weights_template
    template: Estimate  # mean of template_base and template_aligned
    weights_plain: Estimate  # aligned - base, both in plain text
    weights_template: Estimate  # aligned - base, both in the template
    template_base: Estimate  # template - plain, of the base model
    template_aligned: Estimate  # template - plain, of the aligned model
    interaction: Estimate  # weights_template - weights_plain = template_aligned - template_base
    weights_share: Estimate
    template_share: Estimate
    left_out: int  # prompts without a value in one of the four cells
    note: str = ""


def two_by_two(values: Float[np.ndarray, "2 2 prompt"], unit: str = "") -> TwoByTwo:
    """Effects from the values of four cells, `values[weights, format, prompt]`: base and aligned by plain and template.

    All estimates rest on the same prompts: those with a value in every cell. Differences get Student's t over prompts,
    shares Fieller's interval. With under 8 prompts there are no intervals and no shares.

    >>> values = np.random.default_rng(0).normal(0, 0.1, (2, 2, 16)) + [[[3.0], [2.8]], [[2.0], [1.4]]]
    >>> effects = two_by_two(values, "nats")  # the template costs 0.2 or 0.6 of the 1.6 that are lost
    >>> round(effects.template_share.value, 2)
    0.26
    """
    kept = np.isfinite(values).all(axis=(0, 1))
    base, aligned = values[:, :, kept].astype(float)  # each [format, prompt]
    of_weights, of_template = aligned - base, np.stack([base[1] - base[0], aligned[1] - aligned[0]])
    total, weights, template = aligned[1] - base[0], of_weights.mean(axis=0), of_template.mean(axis=0)
    found = t_interval(total, unit=unit)
    note = _reason(found, UNSURE)
    return TwoByTwo(
        total=found,
        weights=t_interval(weights, unit=unit),
        template=t_interval(template, unit=unit),
        weights_plain=t_interval(of_weights[0], unit=unit),
        weights_template=t_interval(of_weights[1], unit=unit),
        template_base=t_interval(of_template[0], unit=unit),
        template_aligned=t_interval(of_template[1], unit=unit),
        interaction=t_interval(of_weights[1] - of_weights[0], unit=unit),
        weights_share=_share(weights, total, note),
        template_share=_share(template, total, note),
        left_out=int((~kept).sum()),
        note=note,
    )


@dataclass(frozen=True)
class Step:
    """One stage of a ladder against the one before it and against the first.

    Shares are those of the *first* stage's mean, so that the steps of a ladder add up to what is lost in all; NaN, with
    a note, where that mean is not surely different from 0.
    """

    name: str
    before: str
    change: Estimate  # this stage - the one before
    relative: Estimate  # the same as a share of the first stage's mean
    since_first: Estimate  # this stage - the first
    relative_since_first: Estimate
    note: str = ""


def steps(values: Float[np.ndarray, "stage prompt"], names: Sequence[str], unit: str = "") -> list[Step]:
    """The steps of a ladder, one for each stage after the first, all on the prompts that every stage has a value for.

    Differences get Student's t over prompts, relative changes Fieller's interval for a ratio of means. Raises
    `InputError` for fewer than two stages, and for names that are not as many as stages.

    >>> ladder = steps(np.array([[4.0], [3.0], [1.0]]) + np.linspace(-0.1, 0.1, 9), ["base", "sft", "dpo"])
    >>> [(step.name, step.before, round(step.relative.value, 2)) for step in ladder]
    [('sft', 'base', -0.25), ('dpo', 'sft', -0.5)]
    """
    if len(values) < 2 or len(names) != len(values):
        raise InputError(
            f"stages: expected at least two and a name for each; got {len(values)} stages and {len(names)} names."
        )
    stages = values[:, np.isfinite(values).all(axis=0)].astype(float)
    first = stages[0]
    note = _reason(t_interval(first), NO_START)
    return [
        Step(
            names[i],
            names[i - 1],
            t_interval(stages[i] - stages[i - 1], unit=unit),
            _share(stages[i] - stages[i - 1], first, note),
            t_interval(stages[i] - first, unit=unit),
            _share(stages[i] - first, first, note),
            note,
        )
        for i in range(1, len(stages))
    ]


def _reason(denominator: Estimate, unsure: str) -> str:
    """Why there is no share of this; empty where there is one."""
    if not denominator.has_interval:
        return FEW
    return unsure if denominator.low <= 0 <= denominator.high else ""


def _share(part: Float[np.ndarray, " prompt"], whole: Float[np.ndarray, " prompt"], note: str) -> Estimate:
    return Estimate(np.nan, np.nan, np.nan, len(whole), SHARE) if note else ratio_of_means(part, whole)
