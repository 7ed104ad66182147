"""A dose says what is added where: units, shares, modes, and the cell that a run chose."""

import json
import math
import shutil
from dataclasses import replace

import pytest
import torch

from creativity_lens.activations import Source
from creativity_lens.directions import Directions
from creativity_lens.dosing import STRENGTH, dose, load_chosen
from creativity_lens.errors import InputError

WIDTH = 6
SOURCE = Source("m", None, "c", "w", "float32", "t", "p", 8, "response")


def directions(layers=(0, 1, 2, 3, 4), dev=()) -> Directions:
    """Layer l points along axis l, with a residual norm of 10 (l + 1) and a gap of l + 1."""
    scale = torch.tensor([layer + 1.0 for layer in layers])
    vectors = torch.eye(WIDTH)[list(layers)]
    return Directions(
        vectors, scale.clone(), 10 * scale, 0.5 * vectors + 2.0, tuple(layers), "mean_difference", 5, SOURCE, dev
    )


def test_a_dose_is_a_share_of_the_norm_and_layers_share_it():
    one = dose(directions(), [2], 0.3)
    assert [edit.layer for edit in one] == [2]
    assert torch.allclose(one[0].vector, 0.3 * 30 * torch.eye(WIDTH)[2])
    shared = dose(directions(), "1-3", 0.3)
    assert [edit.layer for edit in shared] == [1, 2, 3]
    for edit, norm in zip(shared, (20, 30, 40), strict=True):
        assert edit.strength == pytest.approx(0.1)
        assert float(edit.vector.norm()) == pytest.approx(0.1 * norm)
    assert [edit.layer for edit in dose(directions((1, 3)), "all", 0.1)] == [1, 3], "all that they hold"


@pytest.mark.parametrize(("unit", "size"), [("norm", 0.2 * 30), ("gap", 0.2 * 3), ("raw", 0.2)])
def test_units_say_the_same_in_other_words(unit, size):
    (edit,) = dose(directions(), [2], 0.2, unit=unit)
    assert float(edit.vector[2]) == pytest.approx(size)
    assert edit.strength == pytest.approx(size / 30), "recorded as a fraction of the norm"


def test_a_strength_below_zero_pushes_the_other_way():
    assert float(dose(directions(), [1], -0.1)[0].vector[1]) == pytest.approx(-2.0)


def test_clamping_holds_the_centred_projection_and_ablating_needs_no_strength():
    """The centre of layer 2 projects to 2.5 on its axis."""
    (held,) = dose(directions(), [2], 0.2, mode="clamp")
    assert (held.mode, held.strength) == ("clamp", 0.2)
    assert held.hold == pytest.approx(2.5 + 0.2 * 30)
    assert torch.equal(held.vector, torch.eye(WIDTH)[2])
    both = dose(directions(), [1, 2], 0.2, mode="clamp")
    assert [edit.strength for edit in both] == [0.2, 0.2], "held in full at each layer"
    (gone,) = dose(directions(), [2], 0.2, mode="ablate")
    assert (gone.mode, gone.strength) == ("ablate", 0.0)
    assert torch.equal(gone.vector, torch.eye(WIDTH)[2])


@pytest.mark.parametrize(
    ("layers", "strength", "options", "said"),
    [
        ([3], 0.1, {}, "layer 3: expected one of 0-2"),
        ("2-9", 0.1, {}, "expected 0 to 4"),
        ("two", 0.1, {}, "expected 'all', '0-7' or '2,4', got 'two'"),
        ([1], math.nan, {}, "strength: expected a number, got nan"),
        ([1], math.inf, {}, "strength: expected a number, got inf"),
        ([1], 0.1, {"unit": "norms"}, "Did you mean 'norm'"),
        ([1], 0.1, {"mode": "abl"}, "expected one of add, ablate, clamp"),
    ],
)
def test_doses_that_make_no_sense_are_refused(layers, strength, options, said):
    with pytest.raises(InputError, match=f"^[^\n]*{said}[^\n]*$"):
        dose(directions((0, 1, 2)), layers, strength, **options)


# ---- what a run chose ----


def a_run(folder, choice=None, outcome="steers", **options):
    folder.mkdir()
    directions(**options).save(folder / "directions.safetensors")
    run = {"choice": choice, "verdict": {"outcome": outcome, "sentence": "."}}
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def test_a_run_gives_its_layer_and_strength(tmp_path):
    chosen = load_chosen(a_run(tmp_path / "run", {"layer": 2, "strength": 0.15}))
    assert (chosen.layer, chosen.strength, chosen.notes) == (2, 0.15, ())
    assert chosen.run is not None
    assert chosen.name == str(tmp_path / "run")


def test_a_run_whose_verdict_claims_nothing_says_so(tmp_path):
    chosen = load_chosen(a_run(tmp_path / "run", {"layer": 2, "strength": 0.15}, outcome="not enough evidence"))
    assert len(chosen.notes) == 1
    assert "did not show" in chosen.notes[0]


@pytest.mark.parametrize("choice", [None, {}, {"layer": 9, "strength": 0.1}, {"layer": "x", "strength": 0.1}])
def test_a_run_that_chose_nothing_gives_the_layer_that_reads_best_and_says_so(tmp_path, choice):
    chosen = load_chosen(a_run(tmp_path / "run", choice, dev=(("auc@0", 0.6), ("auc@1", 0.8), ("auc@4", 0.9))))
    assert (chosen.layer, chosen.strength) == (1, STRENGTH), "layer 4 is among the last fifth"
    assert "chose no layer" in chosen.notes[0]


def test_a_file_gives_the_layer_that_reads_best_or_the_middle_one(tmp_path):
    path = tmp_path / "d.safetensors"
    directions(dev=(("auc@2", 0.7), ("auc@1", 0.6))).save(path)
    assert load_chosen(path).layer == 2
    directions().save(path)
    chosen = load_chosen(path)
    assert chosen.layer == 2
    assert chosen.run is None
    assert "not a run" in chosen.notes[0]


def test_what_is_no_run_and_no_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_chosen(tmp_path / "nothing")
    with pytest.raises(InputError, match="bring it in with `clens import`"):
        load_chosen(tmp_path / "calm.gguf")
    with pytest.raises(InputError, match=r"expected a run folder with run\.json"):
        load_chosen(tmp_path)
    run = a_run(tmp_path / "run", {"layer": 2, "strength": 0.15})
    (run / "directions.safetensors").unlink()
    with pytest.raises(InputError, match=r"directions\.safetensors: no such file"):
        load_chosen(run)
    (run / "run.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"run\.json: damaged"):
        load_chosen(run)
    shutil.rmtree(run)


def test_vectors_that_are_not_of_unit_length_are_no_directions(tmp_path):
    for number, scale in enumerate((0.0, 2.0, math.nan)):
        path = tmp_path / f"{number}.safetensors"
        fine = directions()
        replace(fine, vectors=fine.vectors * scale).save(path)
        with pytest.raises(InputError, match="does not fit"):
            load_chosen(path)
