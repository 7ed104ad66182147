"""The choice: which cell dev prompts chose, and how sure the choice of layer is. Made before any test text exists."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from creativity_lens.cells import Cell, coherence_of, quality_of
from creativity_lens.concept import Concept
from creativity_lens.conditions import Condition, Texts
from creativity_lens.statistics import confidence_set, selection_share, t_interval
from creativity_lens.steering import Steering
from creativity_lens.verdict import LEAST_COHERENCE


@dataclass(frozen=True, eq=False)
class Choice:
    """The cell that dev chose, and every layer's own best one."""

    edit: Steering
    per_layer: dict[int, Steering]  # by layer, also those that may not be chosen; rising

    @property
    def layer(self) -> int:
        """Where the chosen cell pushes."""
        return self.edit.layer

    @property
    def strength(self) -> float:
        """How hard it pushes, as a fraction of the median residual norm."""
        return self.edit.strength

    @property
    def method(self) -> str:
        """How its direction was fitted."""
        return self.edit.method


def choose(concept: Concept, conditions: Sequence[Condition], cells: Sequence[Cell]) -> Choice | None:
    """The cell of the highest quality among the layers that may be chosen; by gain where no quality is above 0.

    Cells of some quality that keep on dev the coherence which the verdict will want come before all others: a stronger
    push has more quality on dev and would then fail on test. None where no layer may be chosen.
    """
    ones = np.ones((1, len(cells[0].gain)))
    quality = quality_of(ones, cells)[0]
    best: dict[int, tuple[tuple[bool, float, float], Steering]] = {}
    for condition, cell, q in zip(conditions, cells, quality, strict=True):
        edit = condition.steering
        if edit is None:
            continue
        coherent = bool(q > 0 and coherence_of(ones, cell)[0] >= LEAST_COHERENCE)
        rank = (coherent, _or_last(q), _or_last(t_interval(cell.gain).value))
        if edit.layer not in best or rank > best[edit.layer][0]:
            best[edit.layer] = (rank, edit)
    allowed = [found for layer, found in best.items() if layer in concept.choosable]
    if not allowed:
        return None
    _, chosen = max(allowed, key=lambda found: found[0])
    return Choice(chosen, {layer: best[layer][1] for layer in sorted(best)})


def _or_last(value: float) -> float:
    """What could not be measured comes last."""
    return float(value) if np.isfinite(value) else -np.inf


def describe_choice(concept: Concept, choice: Choice) -> dict[str, Any]:
    """The choice in three units, as run.json records it."""
    at = concept.directions[choice.method].at(choice.layer)
    raw = choice.strength * at.residual_norm
    return {
        "readout_layer": concept.scorer.layer if concept.scorer else None,
        "layer": choice.layer,
        "strength": choice.strength,
        "method": choice.method,
        "raw_dose": raw,
        "gap_dose": raw / at.gap,
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "per_layer_strength": {str(layer): edit.strength for layer, edit in choice.per_layer.items()},
    }


def layer_shares(texts: Texts, cells: dict[int, Cell], concept: Concept, *, seed: int) -> dict[str, float]:
    """How often each layer has the best cell when dev prompts are drawn again. `cells` by number of their condition."""
    allowed = [i for i in cells if texts.conditions[i].keys["layer"] in concept.choosable]
    some = [cells[i] for i in allowed]
    if not some:
        return {}
    shares = selection_share(lambda weights: quality_of(weights, some), len(texts.prompts), seed=seed)
    found: dict[str, float] = {}
    for number, share in zip(allowed, shares, strict=True):
        layer = str(texts.conditions[number].keys["layer"])
        found[layer] = found.get(layer, 0.0) + float(share)
    return found


def best_layers(texts: Texts, cells: dict[int, Cell], concept: Concept, *, seed: int) -> list[int]:
    """Layers whose quality on test, at their dev strength, cannot be told from the best one's."""
    numbers = [i for i in texts.find("layer", concept.name) if texts.conditions[i].keys["layer"] in concept.choosable]
    some = [cells[i] for i in numbers]
    if not some:
        return []
    kept = confidence_set(lambda weights: quality_of(weights, some), len(texts.prompts), seed=seed)
    return [texts.conditions[i].keys["layer"] for i, keep in zip(numbers, kept, strict=True) if keep]
