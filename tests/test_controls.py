"""Controls push at the cell's layer, along directions of the same pairs, and move the next token as much as it does."""

from dataclasses import replace

import pytest
import torch
from prepared import concept_of

from creativity_lens import controls as controls_module
from creativity_lens.choice import Choice
from creativity_lens.controls import MATCH_PAIRS, MATCH_TOKENS, control_edits
from creativity_lens.models import Model
from creativity_lens.plan import FEWEST_CONTROLS, Plan
from creativity_lens.screening import screen
from creativity_lens.stages import along

PLAN = Plan(layers="2,4", controls=21, band=3)


@pytest.fixture(scope="module")
def concept(chat: Model):
    return concept_of(chat, "2,4")


@pytest.fixture(scope="module")
def choice(concept) -> Choice:
    per_layer = {2: along(concept, "mean_difference", 2, 0.15), 4: along(concept, "mean_difference", 4, 0.25)}
    return Choice(per_layer[4], per_layer)


@pytest.fixture(scope="module")
def controls(chat, concept, choice):
    return control_edits(chat, concept, choice, PLAN, small=False)


def kl(model, concept, edits, pairs: int) -> torch.Tensor:
    return screen(model, concept.splits["dev"][:pairs], edits, max_tokens=MATCH_TOKENS).kl.mean(1)


def test_flips_push_as_much_as_the_chosen_cell(chat, concept, choice, controls):
    flips, _ = controls
    target = kl(chat, concept, [choice.edit], MATCH_PAIRS)
    reached = kl(chat, concept, flips, MATCH_PAIRS) / target
    assert reached.min() > 0.85
    assert reached.max() < 1.15


def test_the_match_holds_on_pairs_it_was_not_made_on(chat, concept, choice, controls):
    others = replace(concept, splits={**concept.splits, "dev": concept.splits["dev"][MATCH_PAIRS:]})
    target = kl(chat, others, [choice.edit], 5)
    reached = kl(chat, others, controls[0], 5) / target
    assert reached.min() > 0.5
    assert reached.max() < 2.0
    assert float(reached.log().mean().exp()) == pytest.approx(1.0, abs=0.25)


def test_the_band_is_matched_at_every_layer(chat, concept, choice, controls):
    _, band = controls
    assert [edit.layer for edit in band] == [2, 2, 2, 4, 4, 4], "layer by layer"
    for layer in (2, 4):
        target = kl(chat, concept, [choice.per_layer[layer]], MATCH_PAIRS // 2)
        reached = kl(chat, concept, [edit for edit in band if edit.layer == layer], MATCH_PAIRS // 2) / target
        assert reached.min() > 0.5
        assert reached.max() < 2.0


def test_without_matching_they_would_push_less(chat, concept, choice, controls):
    """The control for the tests above: at the cell's own strength a flip is a weaker or a stronger push."""
    flips, _ = controls
    norm = concept.directions["mean_difference"].at(4).residual_norm
    unmatched = [replace(f, vector=f.vector / f.vector.norm() * choice.strength * norm) for f in flips]
    ratio = kl(chat, concept, unmatched, MATCH_PAIRS) / kl(chat, concept, [choice.edit], MATCH_PAIRS)
    assert ((ratio < 0.85) | (ratio > 1.15)).float().mean() > 0.3


def test_they_are_flips_at_the_chosen_layer(concept, choice, controls):
    flips, _ = controls
    assert len(flips) == 21
    assert {(edit.layer, edit.method) for edit in flips} == {(4, "flip")}
    expected = concept.flips(21, PLAN.seed)[:, concept.directions["mean_difference"].layers.index(4)]
    norm = concept.directions["mean_difference"].at(4).residual_norm
    for edit, vector in zip(flips, expected, strict=True):
        torch.testing.assert_close(edit.vector / edit.vector.norm(), vector, rtol=0, atol=1e-5)
        assert float(edit.vector.norm()) == pytest.approx(edit.strength * norm, rel=1e-4), "the dose in its own units"
    cosines = torch.stack([edit.vector / edit.vector.norm() for edit in flips]) @ choice.edit.vector
    assert (cosines / choice.edit.vector.norm()).abs().max() < 0.9, "none is the direction itself"
    alike = torch.stack([edit.vector / edit.vector.norm() for edit in flips])
    assert (alike @ alike.T - torch.eye(len(flips))).max() < 0.99, "no two are equal"


@pytest.mark.parametrize(
    ("plan", "small", "flips", "band"),
    [
        (PLAN, True, FEWEST_CONTROLS, 0),
        (replace(PLAN, band=0), False, 21, 0),
        (replace(PLAN, controls=19, band=1), False, 19, 2),
        (Plan(layers="2,4"), False, 39, 2 * 19),
    ],
)
def test_how_many_there_are(chat, concept, choice, monkeypatch, plan, small, flips, band):
    monkeypatch.setattr(controls_module, "match_divergence", lambda *args, **options: args[3])
    found = control_edits(chat, concept, choice, plan, small=small)
    assert [len(edits) for edits in found] == [flips, band]
