"""Dev chooses: coherent cells first, then quality, then gain; never where it may not, nor what was not measured."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from planted import planted

from creativity_lens.cells import Cell
from creativity_lens.choice import Choice, best_layers, choose, describe_choice, layer_shares
from creativity_lens.concept import Concept
from creativity_lens.conditions import Condition, Texts
from creativity_lens.directions import mean_difference
from creativity_lens.prompts import Prompt
from creativity_lens.steering import Steering

N = 16
NAN = float("nan")


def concept_with(choosable) -> Concept:
    """A concept of which all that counts is where it may be chosen."""
    activations, _ = planted(topics=4)
    return Concept(
        name="creativity",
        splits={},
        directions={"mean_difference": mean_difference(activations)},
        steering_pairs=activations,
        scoring_directions=mean_difference(activations),
        scorer=None,
        second_half=[],
        margins=np.array([]),
        dev_texts=activations,
        rows=[],
        choosable=tuple(choosable),
    )


def cell(gain=0.5, lost=0.0, spread=0.01, match=0.4, seed=0) -> Cell:
    """A cell with this gain, whose texts are `lost` nats per token more surprising than unsteered ones."""
    rng = np.random.default_rng(seed)
    noise = spread * rng.standard_normal((3, N))
    calm = np.full(N, 3.0)
    return Cell(
        gain + noise[0],
        calm + lost + noise[1],
        calm,
        np.full(N, 0.02),
        np.full(N, 0.02),
        match + noise[2],
        np.full(N, 0.4),
    )


def conditions(*cells):
    """A condition for each (layer, strength)."""
    return [
        Condition("creativity", "steered", (0,), Steering(layer, torch.ones(4), strength)) for layer, strength in cells
    ]


def chosen(cells: dict, choosable=range(8)) -> Choice | None:
    return choose(concept_with(choosable), conditions(*cells), list(cells.values()))


def test_the_cell_of_the_highest_quality():
    found = chosen({(1, 0.1): cell(0.3), (2, 0.1): cell(0.8), (3, 0.1): cell(0.5)})
    assert (found.layer, found.strength, found.method) == (2, 0.1, "mean_difference")


def test_coherent_cells_come_first():
    """A stronger push may have more quality on dev, and would fail on test."""
    cells = {(1, 0.1): cell(0.3), (1, 0.4): cell(1.0, lost=0.3), (2, 0.4): cell(1.0, lost=0.5)}
    found = chosen(cells)
    assert (found.layer, found.strength) == (1, 0.1)
    assert {layer: edit.strength for layer, edit in found.per_layer.items()} == {1: 0.1, 2: 0.4}
    assert chosen({key: cells[key] for key in ((1, 0.4), (2, 0.4))}).strength == 0.4, "the best of what is there"


def test_a_coherent_cell_without_quality_does_not_come_first():
    """To do nothing is coherent."""
    assert chosen({(1, 0.01): cell(-0.2), (2, 0.4): cell(0.6, lost=0.4)}).layer == 2


def test_without_any_quality_the_gain_decides():
    assert chosen({(1, 0.1): cell(-0.5), (2, 0.1): cell(-0.1), (3, 0.1): cell(-0.3)}).layer == 2


def test_only_layers_that_may_be_chosen_are():
    cells = {(layer, 0.1): cell(0.1 * (layer + 1)) for layer in range(8)}
    assert chosen(cells, choosable=range(7)).layer == 6, "the last fifth is drawn and not chosen"
    found = chosen(cells, choosable=(1, 3))
    assert found.layer == 3
    assert list(found.per_layer) == list(range(8)), "every layer has a strength to be drawn at"
    assert chosen(cells, choosable=()) is None
    assert chosen({(7, 0.1): cell()}, choosable=range(7)) is None


def test_what_was_not_measured_comes_last():
    nothing = np.full(N, NAN)
    broken = Cell(nothing, nothing, np.full(N, 3.0), nothing, np.full(N, 0.02), nothing, np.full(N, 0.4))
    found = chosen({(1, 0.9): broken, (1, 0.1): cell(-2.0, lost=2.0), (2, 0.9): broken})
    assert (found.layer, found.strength) == (1, 0.1)
    assert found.per_layer[2].strength == 0.9


def test_every_layer_keeps_its_own_method():
    edits = [Steering(1, torch.ones(4), 0.1, "mean_difference"), Steering(2, torch.ones(4), 0.2, "first_component")]
    found = choose(
        concept_with(range(8)),
        [Condition("creativity", "steered", (0,), edit) for edit in edits],
        [cell(0.2), cell(0.6)],
    )
    assert found.edit is edits[1]
    assert found.per_layer == {1: edits[0], 2: edits[1]}
    assert found.method == "first_component"


def test_the_choice_in_three_units():
    concept = concept_with(range(8))
    at = concept.directions["mean_difference"].at(2)
    edit = Steering(2, torch.ones(4), 0.2)
    said = describe_choice(concept, Choice(edit, {2: edit, 5: Steering(5, torch.ones(4), 0.05)}))
    assert said["raw_dose"] == pytest.approx(0.2 * at.residual_norm)
    assert said["gap_dose"] == pytest.approx(0.2 * at.residual_norm / at.gap)
    assert (said["layer"], said["strength"], said["method"]) == (2, 0.2, "mean_difference")
    assert said["per_layer_strength"] == {"2": 0.2, "5": 0.05}
    assert said["readout_layer"] is None
    assert said["made_at"].endswith("Z")


# -- how sure the layer is -----------------------------------------------------------------------------------------


def stage(name: str, cells: dict) -> Texts:
    made = [Condition("creativity", name, (0,), Steering(layer, torch.ones(4), strength)) for layer, strength in cells]
    prompts = tuple(Prompt(f"p{number}", None, f"About {number}.") for number in range(N))
    return Texts(pd.DataFrame(), np.zeros((0, 2), dtype=int), tuple(made), prompts)


def test_shares_of_layers_add_over_their_cells_and_to_one():
    cells = {
        (1, 0.1): cell(0.5, spread=0.4, seed=1),
        (1, 0.2): cell(0.5, spread=0.4, seed=2),
        (2, 0.1): cell(0.5, spread=0.4, seed=3),
        (7, 0.1): cell(0.9),
    }
    shares = layer_shares(stage("steered", cells), dict(enumerate(cells.values())), concept_with(range(7)), seed=0)
    assert set(shares) == {"1", "2"}, "what may not be chosen has no share"
    assert sum(shares.values()) == pytest.approx(1.0)
    assert 0 < shares["2"] < 1
    clear = {(1, 0.1): cell(0.9), (2, 0.1): cell(0.1)}
    shares = layer_shares(stage("steered", clear), dict(enumerate(clear.values())), concept_with(range(7)), seed=0)
    assert shares == {"1": 1.0, "2": 0.0}
    assert layer_shares(stage("steered", clear), dict(enumerate(clear.values())), concept_with(()), seed=0) == {}


def test_layers_that_cannot_be_told_from_the_best():
    cells = {
        (1, 0.1): cell(0.8, spread=0.3, seed=1),
        (2, 0.1): cell(0.8, spread=0.3, seed=2),
        (3, 0.1): cell(0.1),
        (7, 0.1): cell(0.9),
    }
    texts = stage("layer", cells)
    assert best_layers(texts, dict(enumerate(cells.values())), concept_with(range(7)), seed=0) == [1, 2]
    assert best_layers(texts, dict(enumerate(cells.values())), concept_with(()), seed=0) == []
    other = SimpleNamespace(name="register", choosable=(1,))
    assert texts.find("layer", other.name) == []
