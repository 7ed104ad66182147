"""A sweep along given directions: only what is pushed along changes, and what points the wrong way is not chosen."""

from dataclasses import replace

import pytest
import torch
from small_sweeps import TINY, quick_matching, tiny

from creativity_lens.errors import InputError
from creativity_lens.given import SHARED_NOISE, plan_for
from creativity_lens.models import Model
from creativity_lens.plan import GIVEN, Plan
from creativity_lens.result import Sweep


@pytest.fixture(scope="module", autouse=True)
def _quick_matching():
    with quick_matching():
        yield


@pytest.fixture(scope="module")
def own(chat: Model) -> Sweep:
    return tiny(chat)


def test_the_pairs_own_direction_given_back_gives_the_same_sweep(chat, own):
    """Half A's mean difference, once found by the sweep and once given to it."""
    again = tiny(chat, directions=own.directions)
    numbers = [
        sweep.table[(sweep.table["stage"] == "test") & sweep.table["condition"].isin(["chosen", "flip", "negated"])]
        for sweep in (own, again)
    ]
    for column in ("estimate", "low", "high"):
        assert numbers[0][column].tolist() == pytest.approx(numbers[1][column].tolist(), nan_ok=True, abs=1e-9)
    assert len(numbers[0]) > 10
    assert own.texts["text"].tolist() == again.texts["text"].tolist()
    for key in ("layer", "strength"):
        assert again.run["choice"][key] == own.run["choice"][key]
    assert again.run["choice"]["method"] == GIVEN
    assert SHARED_NOISE in again.run["warnings"]
    assert SHARED_NOISE not in own.run["warnings"]
    assert again.run["given"]["method"] == "mean_difference"
    assert torch.equal(again.directions.vectors, own.directions.vectors)


@pytest.mark.slow
def test_another_direction_of_one_layer_is_pushed_there_and_read_and_controlled_at_all(chat, own):
    generator = torch.Generator().manual_seed(0)
    vector = torch.nn.functional.normalize(torch.randn(1, chat.d_model, generator=generator), dim=-1)
    vector = vector * (vector @ own.directions.vectors[0]).sign()
    given = replace(own.directions, vectors=vector, method="imported from gguf")
    other = tiny(chat, directions=given, control="register", plan=replace(TINY, layers="all"))
    same = [sweep.texts[sweep.texts["condition"] == "unsteered"]["text"].tolist() for sweep in (own, other)]
    assert same[0] == same[1]
    pushed = [
        sweep.texts[sweep.texts["method"].isin(["mean_difference", GIVEN])]["text"].tolist() for sweep in (own, other)
    ]
    assert pushed[0] != pushed[1]
    assert other.run["given"]["method"] == other.directions.method == "imported from gguf"
    assert other.run["layers"] == [2]
    assert other.directions.layers == (2,)
    read = other.table[(other.table["stage"] == "readout") & (other.table["concept"] == "creativity")]
    assert set(read["layer"].dropna()) >= set(range(8))
    control = other.texts[other.texts["concept"] == "register"]
    assert len(set(control["layer"].dropna())) > 1, "the control has directions and layers of its own"
    assert GIVEN not in set(control["method"].dropna())
    mine = other.texts[other.texts["condition"].isin(["cell", "chosen", "layer"])]
    assert set(mine[mine["concept"] == "creativity"]["layer"].dropna()) == {2}


def test_a_direction_that_points_to_the_other_side_is_not_chosen(chat, own):
    against = replace(own.directions, vectors=-own.directions.vectors)
    found = tiny(chat, directions=against)
    assert found.run.get("choice") is None
    assert found.run["verdict"]["outcome"] == "not enough evidence"
    assert float(found.directions.gaps[0]) < 0


def test_the_plan_stays_but_for_the_method(chat, own):
    assert plan_for(own.directions, chat, TINY) == replace(TINY, methods=(GIVEN,))
    assert plan_for(None, chat, TINY) is TINY


@pytest.mark.parametrize(
    ("change", "plan", "said"),
    [
        ({}, Plan(layers="3"), "layer 3: expected one of 2"),
        ({"n_layers": 9}, Plan(), "directions: directions of pocket-chat"),
    ],
)
def test_directions_that_do_not_fit_are_refused(chat, own, change, plan, said):
    with pytest.raises(InputError, match=f"^[^\n]*{said}[^\n]*$"):
        plan_for(replace(own.directions, **change), chat, plan)


def test_the_method_needs_directions(chat):
    with pytest.raises(InputError, match="none were given"):
        tiny(chat, plan=replace(TINY, methods=(GIVEN,)))
