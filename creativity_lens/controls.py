"""Control pushes: directions from the same pairs with half the labels flipped, as strong as the cell they stand beside.

A control that moves the next token less than the direction proves nothing, so each is scaled until its KL, on a few dev
pairs, is its cell's.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from creativity_lens.choice import Choice
from creativity_lens.concept import Concept
from creativity_lens.models import Model
from creativity_lens.plan import FEWEST_CONTROLS, Plan
from creativity_lens.prompts import ContrastivePair
from creativity_lens.screening import match_divergence, screen
from creativity_lens.steering import Steering

MATCH_PAIRS = 4  # dev pairs on which controls are matched; half as many for the band, which is a picture
MATCH_TOKENS = 32


class _Flip(NamedTuple):
    vector: Tensor  # [d_model], unit length
    cell: Steering  # whose KL it is to have, at whose layer


def control_edits(
    model: Model, concept: Concept, choice: Choice, plan: Plan, *, small: bool
) -> tuple[list[Steering], list[Steering]]:
    """Flips at the chosen layer, and unless `small` a band of `plan.band` of them at every layer, layer by layer."""
    layers = concept.directions["mean_difference"].layers
    pairs = concept.splits["dev"][:MATCH_PAIRS]
    drawn = concept.flips(FEWEST_CONTROLS if small else plan.controls, plan.seed)
    flips = [_Flip(vector, choice.edit) for vector in drawn[:, layers.index(choice.layer)]]
    edits = _matched(model, pairs, concept, flips, rounds=2)
    if small or plan.band < 1:
        return edits, []
    drawn = concept.flips(plan.band, plan.seed + 1)
    band = [_Flip(vector, edit) for layer, edit in choice.per_layer.items() for vector in drawn[:, layers.index(layer)]]
    return edits, _matched(model, pairs[: MATCH_PAIRS // 2], concept, band, rounds=1)


def _matched(
    model: Model, pairs: Sequence[ContrastivePair], concept: Concept, flips: Sequence[_Flip], *, rounds: int
) -> list[Steering]:
    cells = list(dict.fromkeys(flip.cell for flip in flips))
    kl = screen(model, pairs, cells, max_tokens=MATCH_TOKENS).kl.nanmean(1)
    norms = {cell: concept.directions[cell.method].at(cell.layer).residual_norm for cell in cells}

    def make(doses: Float[Tensor, " edit"]) -> list[Steering]:
        return [
            Steering(cell.layer, float(dose) * norms[cell] * vector, float(dose), "flip")
            for (vector, cell), dose in zip(flips, doses, strict=True)
        ]

    start = torch.tensor([flip.cell.strength for flip in flips])
    target = kl[[cells.index(flip.cell) for flip in flips]]
    return make(match_divergence(model, pairs, make, start, target, rounds=rounds, max_tokens=MATCH_TOKENS))
