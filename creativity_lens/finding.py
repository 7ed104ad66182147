"""Finding: one direction per layer from the training pairs, read on held-out topics, without generating anything.

A direction of instructions is also a gate: each layer gets a threshold, fitted on dev topics and judged on test topics.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from creativity_lens.activations import collect_activations
from creativity_lens.concept import METHODS, dev_scores
from creativity_lens.directions import Directions, with_dev_scores
from creativity_lens.errors import InputError, check_choice
from creativity_lens.gating import POSITIONS as GATE_POSITIONS
from creativity_lens.gating import LayerThreshold, fit_thresholds, threshold_scores
from creativity_lens.models import Model
from creativity_lens.plan import POSITIONS, differs, position_for
from creativity_lens.prompts import ContrastivePair, split_pairs
from creativity_lens.readout import separation


@dataclass(frozen=True, eq=False)
class Found:
    """Directions, and how they read topics that they were not fitted on."""

    directions: Directions  # with the held-out scores and thresholds in `dev`
    rows: list[dict[str, Any]]  # AUC and paired accuracy per layer on dev and test topics, as a sweep's table has them
    thresholds: list[LayerThreshold]  # per layer; none for directions of responses
    parts: tuple[list[ContrastivePair], list[ContrastivePair], list[ContrastivePair]]  # train, dev, test


def held_out_parts(
    pairs: Sequence[ContrastivePair], *, method: str = "mean_difference", position: str = "auto", seed: int = 0
) -> tuple[str, tuple[list[ContrastivePair], list[ContrastivePair], list[ContrastivePair]]]:
    """The position rule, and (train, dev, test) of the pairs whose texts differ under it; known without a model.

    "auto" is "response" where responses differ, else "instruction". Raises `InputError` for an unknown method or rule,
    and where a split has no pair that differs.
    """
    check_choice("method", method, METHODS)
    check_choice("position", position, ("auto", *POSITIONS))
    rule = position_for(pairs) if position == "auto" else position
    train, dev, test = ([pair for pair in part if differs(pair, rule)] for part in split_pairs(pairs, seed=seed))
    for part, name in ((train, "train"), (dev, "dev"), (test, "test")):
        if not part:
            raise InputError(
                f"position {rule}: expected pairs of which these texts differ in every split, {name} has none; choose "
                "another position, or leave it to auto."
            )
    return rule, (train, dev, test)


def find_directions(
    model: Model,
    pairs: Sequence[ContrastivePair],
    *,
    method: str = "mean_difference",
    layers: str | Sequence[int] = "all",
    position: str = "auto",
    seed: int = 0,
    positive: str = "creative",
) -> Found:
    """Fit one direction per layer on the training topics and read the dev and test topics with it.

    `positive` is what the pairs' first side is called. Raises `InputError` for what `held_out_parts` refuses, for a
    layer that does not exist, and for texts that the model cannot take.

    >>> gate = find_directions(model, load_shipped("gate_pairs")).directions        # doctest: +SKIP
    >>> gate_of(gate).layer                                                         # doctest: +SKIP
    4
    """
    rule, (train, dev, test) = held_out_parts(pairs, method=method, position=position, seed=seed)
    fitted, read = (collect_activations(model, some, layers=layers, position=rule) for some in (train, [*dev, *test]))
    directions = METHODS[method](fitted)
    creative, boring = (side.numpy().astype(float) for side in directions.project(read))
    rows = [
        row
        for i, layer in enumerate(directions.layers)
        for row in separation("direction", creative[i], boring[i], read.topics, seed, layer=layer, method=method)
    ]
    thresholds: list[LayerThreshold] = []
    if rule in GATE_POSITIONS:
        n = len(dev)
        on_dev, on_test = (creative[:, :n], boring[:, :n]), (creative[:, n:], boring[:, n:])
        thresholds = fit_thresholds(directions.layers, on_dev, on_test, read.topics[n:], seed=seed)
    scores = [*dev_scores(rows, method), *threshold_scores(thresholds)]
    found = replace(with_dev_scores(directions, scores), positive=positive)
    return Found(found, rows, thresholds, (train, dev, test))
