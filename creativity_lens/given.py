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
    """The plan of a sweep along given directions, which may hold fewer layers than are read.

    Raises `InputError` for those of another model, and for layers that are asked for by number and not held.
    """
    if directions is None:
        if GIVEN in plan.methods:
            raise InputError(f"methods: '{GIVEN}' pushes along directions from a file, and none were given.")
        return plan
    check_model(directions, model, "directions")
    if plan.layers != "all":
        for layer in resolve_layers(model, plan.layers):
            directions.at(layer)
    return replace(plan, methods=(GIVEN,))


def measured(given: Directions, ours: Directions, pairs: Activations) -> Directions:
    """Given directions at the layers that are read, in the scales of these pairs.

    A gap below 0 says that they point to the other side.
    """
    layers = [layer for layer in ours.layers if layer in given.layers]
    index = [ours.layers.index(layer) for layer in layers]
    vectors = torch.stack([given.at(layer).vector for layer in layers])
    return replace(
        ours,
        vectors=vectors,
        gaps=((pairs.creative - pairs.boring).mean(1)[index] * vectors).sum(-1),
        residual_norms=ours.residual_norms[index],
        centers=ours.centers[index],
        layers=tuple(layers),
        method=given.method,
    )


def read_given(given: Directions, dev: Activations, seed: int) -> tuple[list[dict[str, Any]], dict[int, float]]:
    """How given directions read the dev pairs, as table rows; and their margin per layer, in residual units."""
    index = [dev.layers.index(layer) for layer in given.layers]
    held = replace(
        dev, creative=dev.creative[index], boring=dev.boring[index], norms=dev.norms[index], layers=given.layers
    )
    creative, boring = (side.numpy().astype(float) for side in given.project(held))
    rows = [
        row
        for i, layer in enumerate(given.layers)
        for row in separation("direction", creative[i], boring[i], dev.topics, seed, layer=layer, method=GIVEN)
    ]
    return rows, dict(zip(given.layers, (creative - boring).mean(1).tolist(), strict=True))
