"""A concept before any text is generated: its splits, its steering and scoring directions, its read-out.

What steers comes from half A of the training topics, what scores from half B, what chooses the read-out layer from dev,
and what is tested from test.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from creativity_lens.activations import Activations, collect_activations, resolve_layers
from creativity_lens.directions import Directions, balanced_flips, first_component, mean_difference
from creativity_lens.errors import InputError
from creativity_lens.given import measured, read_given
from creativity_lens.layers import drawn_only
from creativity_lens.models import Model
from creativity_lens.plan import GIVEN, Plan, differs, sides_read
from creativity_lens.prompts import ContrastivePair, fingerprint, halve_topics, load_control, split_pairs
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
from creativity_lens.work import Arrays, Work, carry_out

METHODS = {"mean_difference": mean_difference, "first_component": first_component}
NUISANCES = ("sentiment", "register", "formality")
FEWEST_FLIPPED = 4  # topics from which flipped controls can be made


@dataclass(frozen=True, eq=False)
class Concept:
    """Everything a sweep knows of a concept before it generates."""

    name: str
    splits: dict[str, list[ContrastivePair]]  # train, dev, test
    directions: dict[str, Directions]  # by method, from half A
    steering_pairs: Activations  # half A, for the flips
    scoring_directions: Directions  # from half B, read alone: what could score, at every layer
    scorer: Scorer | None  # the one of them that does; None where no layer reads the concept
    second_half: list[ContrastivePair]  # half B, for a second reader
    margins: Float[np.ndarray, " pair"]  # creative - boring on test pairs, by the scorer, in gaps
    dev_texts: Activations  # dev responses read alone
    rows: list[dict[str, Any]]  # of the table
    choosable: tuple[int, ...]  # layers that may be chosen: dev margin above 0, not among the last fifth

    @property
    def steering(self) -> Directions:
        """The directions that are pushed along, where there is one method: those given, else the mean difference."""
        return self.directions.get(GIVEN, self.directions["mean_difference"])

    @property
    def test_topics(self) -> list[str]:
        """Topics of the test pairs, aligned with `margins`."""
        return [pair.topic for pair in self.splits["test"]]

    def flips(self, count: int, seed: int) -> Float[Tensor, "control layer d_model"]:
        """Control directions: half A's mean difference with the labels of half its topics flipped."""
        return balanced_flips(self.steering_pairs, count, seed=seed)


def prepare(
    model: Model,
    name: str,
    pairs: Sequence[ContrastivePair],
    plan: Plan,
    *,
    full: bool,
    given: Directions | None = None,
) -> Concept:
    """Run the pairs' texts through the model and fit what steers and what scores. `full` adds the read-out's controls.

    With `given`, those directions steer in place of half A's; everything else is measured as ever. Raises `InputError`
    for too few topics, which is known before the model runs, and for texts that it cannot take.
    """
    train, dev, test = split_pairs(pairs, seed=plan.seed)
    halves = halve_topics(train, seed=plan.seed)
    layers = resolve_layers(model, plan.layers)
    limit = drawn_only(model.n_layers)
    half_a = [pair for pair in halves[0] if differs(pair, plan.position)]
    _check_topics(name, half_a, plan)

    fit, held = ([pair for pair in part if differs(pair, plan.position)] for part in (train, dev))
    both = [*fit, *held]
    folds = folds_of(fit, held, seed=plan.seed)
    activations = collect_activations(model, both, layers=layers, position=plan.position)
    topics = {pair.topic for pair in half_a}
    steering_pairs = _subset(activations, both, [i for i, pair in enumerate(both) if pair.topic in topics])
    fitted = ("mean_difference", *(method for method in plan.methods if method != GIVEN))
    directions = {method: METHODS[method](steering_pairs) for method in fitted}
    rows = read_out(activations, both, folds, seed=plan.seed, full=full)
    rows += _scales(directions["mean_difference"])
    margins = {row["layer"]: row["estimate"] for row in rows if row["measure"] == "dev_margin"}
    layer = best_layer(rows, [layer for layer in layers if layer < limit] or layers)
    if given is not None:
        directions[GIVEN] = measured(given, directions["mean_difference"], steering_pairs)
        read, margins = read_given(directions[GIVEN], _cut(activations, both, (len(fit), len(held)))[1], plan.seed)
        rows += read
    choosable = tuple(layer for layer in margins if margins[layer] > 0 and (layer < limit or len(margins) == 1))

    half_b, scale = ([pair for pair in part if differs(pair, "response")] for part in (halves[1], dev))
    # what fits the score and what tests it are whole responses: where the sides differ late, a cut would miss it
    alone = [*half_b, *test]
    whole = collect_activations(model, alone, layers=layers, position="text")
    read_b, read_test = _cut(whole, alone, (len(half_b), len(test)))
    # its unit, the gap, is taken at the length of the texts that will be scored
    read_dev = collect_activations(model, scale, layers=layers, position="text", max_tokens=plan.max_new_tokens)
    scoring_directions, scorer, test_margins = mean_difference(read_b), None, np.full(len(test), np.nan)
    if layer is not None:
        try:
            scorer = fit_scorer(scoring_directions, read_dev, layer, length=plan.max_new_tokens, cosine=plan.cosine)
        except InputError as error:
            rows.append(table_row("readout", "scorer", "dev_margin", "gaps", np.nan, layer=layer, note=str(error)))
        else:
            index = layers.index(layer)
            high, low = scorer.score(read_test.creative[index]), scorer.score(read_test.boring[index])
            test_margins = (high - low).numpy().astype(float)
            test_margins[[not differs(pair, "response") for pair in test]] = np.nan
    if full:
        sides = [[getattr(pair, side) for pair in both] for side in sides_read(plan.position)]
        rows += lexical_controls(embedded_texts(model, sides), sides, activations.topics, folds, seed=plan.seed)
    return Concept(
        name=name,
        splits={"train": train, "dev": dev, "test": test},
        directions=directions,
        steering_pairs=steering_pairs,
        scoring_directions=scoring_directions,
        scorer=scorer,
        second_half=half_b,
        margins=test_margins,
        dev_texts=read_dev,
        rows=[{"concept": name, **row} for row in rows],
        choosable=choosable,
    )


def _check_topics(name: str, half_a: Sequence[ContrastivePair], plan: Plan) -> None:
    needed = 2 if plan.screen_only else FEWEST_FLIPPED
    topics = len({pair.topic for pair in half_a})
    if topics < needed:
        raise InputError(
            f"{name}: expected pairs of at least {needed} topics in the half of the training topics that steers, with "
            f"different sides under the rule {plan.position}, got {topics}; add topics."
        )


def dev_scores(rows: Sequence[dict[str, Any]], method: str) -> list[tuple[str, float]]:
    """Held-out AUC and paired accuracy per layer of a method, with the ends of their intervals, for its file."""
    found = []
    for row in rows:
        named = (row["condition"], row["method"]) == ("direction", method)
        if named and row["measure"] in ("auc", "paired_accuracy"):
            ends = {"": row["estimate"], "_low": row["low"], "_high": row["high"]}
            found += [(f"{row['measure']}{end}@{row['layer']}", v) for end, v in ends.items() if math.isfinite(v)]
    return found


def nuisance_directions(model: Model, concept: Concept, plan: Plan) -> dict[str, Float[Tensor, "layer d_model"]]:
    """Directions that a creativity direction might really be: length, sentiment, register, formality."""
    layers = concept.dev_texts.layers
    found = {}
    if plan.position == "response":
        train = concept.steering_pairs
        topics = set(train.topics)
        pairs = [pair for pair in concept.splits["train"] if pair.topic in topics and differs(pair, "response")]
        lengths = torch.tensor(
            [[float(len(model.encode_text(getattr(pair, side)))) for pair in pairs] for side in sides_read("response")]
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
    directions = concept.steering
    index = [concept.dev_texts.layers.index(layer) for layer in directions.layers]
    at = {name: vectors[index] for name, vectors in nuisances.items()}
    rows = nuisance_cosines(directions.vectors, at, directions.layers)
    return [{"concept": concept.name, **row} for row in rows]


def _subset(activations: Activations, pairs: Sequence[ContrastivePair], rows: Sequence[int]) -> Activations:
    """Some of the pairs that activations were collected from; norms stay those of all their texts."""
    index, some = list(rows), [pairs[i] for i in rows]
    return replace(
        activations,
        creative=activations.creative[:, index],
        boring=activations.boring[:, index],
        topics=tuple(pair.topic for pair in some),
        source=replace(activations.source, pairs_sha256=fingerprint(some), n_pairs=len(some)),
    )


def _cut(activations: Activations, pairs: Sequence[ContrastivePair], sizes: Sequence[int]) -> list[Activations]:
    ends = np.cumsum([0, *sizes])
    return [_subset(activations, pairs, range(a, b)) for a, b in pairwise(ends)]


def _scales(directions: Directions) -> list[dict[str, Any]]:
    scales = (("residual_norm", directions.residual_norms), ("gap", directions.gaps))
    return [
        table_row("readout", "direction", measure, "residual units", float(value), layer=layer)
        for measure, values in scales
        for layer, value in zip(directions.layers, values, strict=True)
    ]


def embedded_texts(model: Model, sides: Sequence[Sequence[str]]) -> Sides:
    """Mean input embedding of each text, `[1, pair, d_model]` a side: what is in the words alone."""
    creative, boring = (mean_embeddings(model, texts)[None] for texts in sides)
    return creative, boring


def mean_embeddings(model: Model, texts: Sequence[str]) -> Float[Tensor, "text d_model"]:
    """Mean input embedding of each text's tokens, in float32; NaN for a text without a token."""
    works = [Work(_embed, None, tuple(model.encode_texts(texts)), len(texts))]
    return torch.from_numpy(carry_out(model, works, description="reading words", unit="texts")[0].arrays["means"])


def _embed(model: Model, _: None, rows: Sequence[tuple[int, ...]]) -> Arrays:
    """Verb: `means [text, d_model]` of input embeddings."""
    table = model.embeddings
    ids = (torch.tensor(each, dtype=torch.long, device=table.device) for each in rows)
    return {"means": torch.stack([table[each].float().mean(0) for each in ids]).cpu().numpy()}
