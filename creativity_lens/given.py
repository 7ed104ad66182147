"""Given directions: a sweep along what a file holds, an imported direction say, instead of along the pairs' own.

Only what is pushed along changes. Controls, score and verdict are those of the pairs.
"""

from dataclasses import replace
from typing import Any

import torch

from creativity_lens.activations import Activations, resolve_layers
from creativity_lens.directions import Directions, check_model
from creativity_lens.errors import InputError
from creativity_lens.models import Model
from creativity_lens.plan import GIVEN, Plan
from creativity_lens.readout import separation

SHARED_NOISE = (
    "The sweep pushes along directions that were given; if they were fitted on the same pairs, the score shares their "
    "noise, and its gains are too high."
)


def plan_for(directions: Directions | None, model: Model, plan: Plan) -> Plan:
    """The plan of a sweep along given directions: at the layers that they hold.

    Raises `InputError` for those of another model, and for layers that they do not hold.
    """
    if directions is None:
        if GIVEN in plan.methods:
            raise InputError(f"methods: '{GIVEN}' pushes along directions from a file, and none were given.")
        return plan
    check_model(directions, model, "directions")
    layers = directions.layers if plan.layers == "all" else resolve_layers(model, plan.layers)
    for layer in layers:
        directions.at(layer)
    return replace(plan, layers=tuple(layers), methods=(GIVEN,))


def measured(given: Directions, ours: Directions, pairs: Activations) -> Directions:
    """Given directions in the scales of these pairs; a gap below 0 says that they point to the other side."""
    vectors = torch.stack([given.at(layer).vector for layer in ours.layers])
    gaps = ((pairs.creative - pairs.boring).mean(1) * vectors).sum(-1)
    return replace(ours, vectors=vectors, gaps=gaps, method=given.method)


def read_given(given: Directions, dev: Activations, seed: int) -> tuple[list[dict[str, Any]], dict[int, float]]:
    """How given directions read the dev pairs, as table rows; and their margin per layer, in residual units."""
    creative, boring = (side.numpy().astype(float) for side in given.project(dev))
    rows = [
        row
        for index, layer in enumerate(given.layers)
        for row in separation("direction", creative[index], boring[index], dev.topics, seed, layer=layer, method=GIVEN)
    ]
    return rows, dict(zip(given.layers, (creative - boring).mean(1).tolist(), strict=True))
