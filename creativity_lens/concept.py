"""A concept before any text is generated: its splits, its steering and scoring directions, its read-out.

What steers comes from half A of the training topics, what scores from half B, what chooses the read-out layer from dev, and what
is tested from test.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from creativity_lens.activations import Activations, collect_activations, resolve_layers
from creativity_lens.directions import Directions, balanced_flips, first_component, mean_difference
from creativity_lens.errors import InputError
from creativity_lens.models import Model
from creativity_lens.plan import Plan
from creativity_lens.prompts import ContrastivePair, halve_topics, load_control, split_pairs
from creativity_lens.readout import (
    Sides,
    best_layer,
    folds_of,
    length_direction,
    lexical_controls,
    nuisance_cosines,
    read_out,
    table_row,
)
from creativity_lens.scoring import Scorer, fit_scorer
from creativity_lens.statistics import Estimate

METHODS = {"mean_difference": mean_difference, "first_component": first_component}
NUISANCES = ("sentiment", "register", "formality")


@dataclass(frozen=True, eq=False)
class Concept:
    """Everything a sweep knows of a concept before it generates."""

    name: str
    splits: dict[str, list[ContrastivePair]]  # train, dev, test
    directions: dict[str, Directions]  # by method, from half A
    steering_pairs: Activations  # half A, for the flips
    scorer: Scorer | None  # from half B; None where no layer reads the concept
    second_half: list[ContrastivePair]  # half B, for a second reader
    margins: Float[np.ndarray, " pair"]  # creative - boring on test pairs, by the scorer, in gaps
    dev_texts: Activations  # dev responses read alone
    rows: list[dict[str, Any]]  # of the table
    choosable: tuple[int, ...]  # layers that may be chosen: dev margin above 0, not among the last fifth

    @property
    def test_topics(self) -> list[str]:
        """Topics of the test pairs, aligned with `margins`."""
        return [pair.topic for pair in self.splits["test"]]

    def flips(self, count: int, seed: int) -> Float[Tensor, "control layer d_model"]:
        """Control directions: half A's mean difference with the labels of half its topics flipped."""
        return balanced_flips(self.steering_pairs, count, seed=seed)


def wanted_layers(model: Model, plan: Plan) -> list[int]:
    """The plan's layers for this model; "depth 0.25" is a share of the blocks."""
    if isinstance(plan.layers, str) and plan.layers.startswith("depth "):
        return [round(float(plan.layers.removeprefix("depth ")) * model.n_layers)]
    return resolve_layers(model, plan.layers)


def drawn_only(n_layers: int) -> int:
    """The first layer of the last fifth, which is drawn and never chosen."""
    return math.ceil(0.8 * n_layers)


def prepare(model: Model, name: str, pairs: Sequence[ContrastivePair], plan: Plan, *, full: bool) -> Concept:
    """Run the pairs' texts through the model and fit what steers and what scores. `full` adds the read-out's controls."""
    train, dev, test = split_pairs(pairs, seed=plan.seed)
    half_a, half_b = halve_topics(train, seed=plan.seed)
    layers = wanted_layers(model, plan)
    both = [*train, *dev]
    activations = collect_activations(model, both, layers=layers, position=plan.position)
    inside = {pair.id for pair in half_a if plan.position == "response" or pair.creative != pair.boring}
    if len({pair.topic for pair in half_a if pair.id in inside}) < 2:
        raise InputError(
            f"{name}: expected pairs of at least 2 training topics that differ in the {plan.position}, got {len(inside)} pairs."
        )
    steering_pairs = _subset(activations, [i for i, pair in enumerate(both) if pair.id in inside])
    directions = {method: METHODS[method](steering_pairs) for method in ("mean_difference", *plan.methods)}
    folds = folds_of(train, dev, seed=plan.seed)
    rows = read_out(activations, both, folds, seed=plan.seed, full=full)
    rows += _scales(directions["mean_difference"])
    limit = drawn_only(model.n_layers)
    margins = {row["layer"]: row["estimate"] for row in rows if row["measure"] == "dev_margin"}
    choosable = tuple(layer for layer in layers if margins[layer] > 0 and (layer < limit or len(layers) == 1))
    layer = best_layer(rows, [layer for layer in layers if layer < limit] or layers)

    alone = [*half_b, *dev, *test]
    texts = collect_activations(model, alone, layers=layers, position="text", max_tokens=plan.max_new_tokens)
    read_b, read_dev, read_test = _cut(texts, (len(half_b), len(dev), len(test)))
    scorer, test_margins = None, np.full(len(test), np.nan)
    if layer is not None:
        try:
            scorer = fit_scorer(
                mean_difference(read_b), read_dev, layer, length=plan.max_new_tokens, cosine=plan.cosine
            )
        except InputError as error:
            rows.append(table_row("readout", "scorer", "dev_margin", "gaps", 0.0, layer=layer, note=str(error)))
        else:
            index = layers.index(layer)
            high, low = scorer.score(read_test.creative[index]), scorer.score(read_test.boring[index])
            test_margins = (high - low).numpy().astype(float)
    if full:
        embedded = _embedded(model, both)
        rows += lexical_controls(embedded, both, folds, seed=plan.seed)
    return Concept(
        name, {"train": train, "dev": dev, "test": test}, directions, steering_pairs, scorer, half_b, test_margins,
        read_dev, [{"concept": name, **row} for row in rows], choosable,
    )  # fmt: skip


def nuisance_directions(model: Model, concept: Concept, plan: Plan) -> dict[str, Float[Tensor, "layer d_model"]]:
    """Directions that a creativity direction might really be: length, sentiment, register, formality."""
    layers = concept.dev_texts.layers
    found = {}
    if plan.position == "response":
        train = concept.steering_pairs
        pairs = [pair for pair in concept.splits["train"] if pair.topic in set(train.topics)]
        lengths = torch.tensor(
            [[float(len(model.encode_text(getattr(p, side)))) for p in pairs] for side in ("creative_response", "boring_response")]
        )
        found["length"] = length_direction(train, lengths)
    for name in NUISANCES:
        texts = collect_activations(
            model, load_control(name), layers=layers, position="text", max_tokens=plan.max_new_tokens
        )
        found[name] = mean_difference(texts).vectors
    return found


def nuisance_rows(concept: Concept, nuisances: dict[str, Tensor]) -> list[dict[str, Any]]:
    """Cosines of the steering direction with the nuisance directions."""
    directions = concept.directions["mean_difference"]
    rows = nuisance_cosines(directions.vectors, nuisances, directions.layers)
    return [{"concept": concept.name, **row} for row in rows]


def _subset(activations: Activations, rows: Sequence[int]) -> Activations:
    index = list(rows)
    return Activations(
        activations.creative[:, index], activations.boring[:, index], activations.norms, activations.layers,
        tuple(activations.topics[i] for i in index), activations.n_layers, activations.source,
    )  # fmt: skip


def _cut(activations: Activations, sizes: Sequence[int]) -> list[Activations]:
    ends = np.cumsum([0, *sizes])
    return [_subset(activations, range(a, b)) for a, b in zip(ends[:-1], ends[1:], strict=True)]


def _scales(directions: Directions) -> list[dict[str, Any]]:
    return [
        table_row("readout", "direction", measure, "residual units", Estimate(float(value), np.nan, np.nan, 0), layer=layer)
        for measure, values in (("residual_norm", directions.residual_norms), ("gap", directions.gaps))
        for layer, value in zip(directions.layers, values, strict=True)
    ]


def _embedded(model: Model, pairs: Sequence[ContrastivePair]) -> Sides:
    """Mean input embedding of each response, `[1, pair, d_model]` a side: what is in the words alone."""
    table = model.bridge.original_model.get_input_embeddings().weight.detach()
    creative, boring = (
        torch.stack([table[list(model.encode_text(getattr(pair, side)))].float().mean(0).cpu() for pair in pairs])[None]
        for side in ("creative_response", "boring_response")
    )
    return creative, boring
