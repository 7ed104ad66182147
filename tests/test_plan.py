"""A plan that could not run is refused when it is made, in one line, before any model loads."""

import math
from dataclasses import FrozenInstanceError, asdict
from inspect import unwrap

import pytest
from fake_pairs import refusal

from creativity_lens.plan import FEWEST_CONTROLS, METHODS, POSITIONS, PRESETS, Plan


def plan(**options):
    return unwrap(Plan)(**options)


def refused(options: dict) -> str:
    return refusal(lambda: Plan(**options))


def test_the_defaults_are_those_of_the_design():
    default = Plan()
    assert default.strengths == (0.05, 0.1, 0.15, 0.25)
    assert (default.samples, default.few, default.baseline) == (4, 2, 8)
    assert (default.max_new_tokens, default.controls, default.band, default.screen_pairs) == (48, 39, 19, 24)
    assert min(default.temperatures) == 0.7
    assert max(default.temperatures) == 1.5
    assert 1 / (FEWEST_CONTROLS + 1) <= 0.05 < 1 / FEWEST_CONTROLS


def test_it_is_a_value():
    assert Plan() == Plan(layers="all")
    assert asdict(Plan(layers="2,4"))["layers"] == "2,4"
    with pytest.raises(FrozenInstanceError):
        Plan().seed = 3


@pytest.mark.parametrize(
    ("samples", "few", "baseline"), [(1, (1, 1), 2), (2, (1, 1), 4), (4, (2, 1), 8), (9, (4, 2), 18)]
)
def test_samples(samples, few, baseline):
    found = Plan(samples=samples)
    assert ((found.few, found.dev_samples), found.baseline) == (few, baseline)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": "two"}, "layers: expected 'all', '0-7' or '2,4', got 'two'."),
        ({"layers": []}, "layers: expected at least one layer, got none."),
        ({"layers": "3-1"}, "layers: expected a rising range such as 0-7, got '3-1'."),
        ({"strengths": ()}, "strengths: expected at least one, got none."),
        ({"strengths": (0.1, math.nan)}, "strengths: expected numbers above 0, got 0.1, nan."),
        ({"strengths": (math.inf,)}, "strengths: expected numbers above 0, got inf."),
        ({"strengths": (0.0, 0.1)}, "strengths: expected numbers above 0, got 0.0, 0.1."),
        ({"strengths": (-0.1,)}, "strengths: expected numbers above 0, got -0.1."),
        ({"strengths": (0.1, 1e300)}, "strengths: expected at most 1,000,000, got 1e+300."),
        ({"strengths": (0.1, 0.2, 0.1)}, "strengths: 0.1 stands twice; name it once."),
        ({"temperatures": (0.7, -1.0)}, "temperatures: expected numbers above 0, got 0.7, -1.0."),
        ({"temperatures": (0.7, 0.7)}, "temperatures: 0.7 stands twice; name it once."),
        ({"methods": ()}, "methods: expected at least one, got none."),
        ({"methods": METHODS + METHODS[:1]}, "methods: mean_difference stands twice; name it once."),
        ({"samples": 0}, "samples: expected 1 or more, got 0."),
        ({"max_new_tokens": 7}, "max-new-tokens: expected 8 or more, got 7."),
        ({"controls": 18}, "controls: expected 19 or more, got 18."),
        ({"band": -1}, "band: expected 0 or more, got -1."),
        ({"screen_pairs": 0}, "screen pairs: expected 1 or more, got 0."),
        ({"seed": -1}, "seed: expected 0 or more, got -1."),
        ({"batch_rows": 0}, "batch-rows: expected 'auto' or a whole number above 0, got 0."),
        ({"batch_rows": -2}, "batch-rows: expected 'auto' or a whole number above 0, got -2."),
        ({"batch_rows": "many"}, "batch-rows: expected 'auto' or a whole number above 0, got many."),
    ],
)
def test_what_no_sweep_can_run_with(options, said):
    assert refused(options) == said


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"methods": ("mean_diference",)}, "Did you mean 'mean_difference'?"),
        ({"position": "respones"}, "Did you mean 'response'?"),
        ({"strength_unit": "norms"}, "Did you mean 'norm'?"),
        ({"position": "text"}, "position: expected one of response, instruction, last; got 'text'."),
    ],
)
def test_misspelt_names_get_the_nearest(options, hint):
    assert hint in refused(options)


@pytest.mark.parametrize(
    "options",
    [
        {"layers": (2, 4)},
        {"layers": "depth 0.25"},
        {"batch_rows": 64},
        {"band": 0},
        {"temperatures": ()},
        {"methods": METHODS},
        {"strength_unit": "gap", "strengths": (1.0,)},
        {"strengths": (1e6,)},
        *({"position": position} for position in POSITIONS),
    ],
    ids=str,
)
def test_what_runs(options):
    assert asdict(Plan(**options)).items() >= {**options}.items()


def test_the_preset_is_the_papers():
    """arXiv 2412.06060: layer 8 of 32, three residual units, read from the instructions, scored by a cosine."""
    found = PRESETS["olson2024"]
    assert (found.layers, found.strengths, found.strength_unit) == ("depth 0.25", (3.0,), "raw")
    assert (found.position, found.cosine, found.methods) == ("instruction", True, ("mean_difference",))
