"""Worlds whose pull is known: it is found, its interval covers it, and two equal models are not told apart.

Texts are points around a place of their prompt; beginnings lead `shift` away from it, and a model with a pull goes only
1 - pull of that way. `perturbed[p, j]` shares part of its noise with `followed[p, j]`: what the beginning holds.
"""

import numpy as np
import pytest

from creativity_lens import attractors
from creativity_lens.attractors import FEW, UNSURE, Pull, pull_difference, pull_of
from creativity_lens.errors import InputError


def world(seed, *, pulls=(0.5,), spreads=(0.75,), n=16, samples=6, dim=64, shift=0.5, followed_spread=0.75, style=0.0):
    """(free, perturbed, followed) for each model; the followed texts are the same for all of them."""
    rng = np.random.default_rng(seed)

    def points(*shape):
        return rng.standard_normal((*shape, dim)) / np.sqrt(dim)

    place, way = 0.6 * points(n, 1), shift * np.exp(0.3 * rng.standard_normal((n, 1, 1))) * points(n, 1)
    beginning = 0.5 * followed_spread * points(n, samples)
    followed = place + way + style * points(1, 1) + beginning + followed_spread * np.sqrt(0.75) * points(n, samples)
    models = []
    for pull, spread in zip(pulls, spreads, strict=True):
        free = place + spread * points(n, samples)
        perturbed = place + (1 - pull) * (way + beginning) + spread * points(n, samples)
        models.append((free, perturbed, followed))
    return models


@pytest.fixture
def quick(monkeypatch):
    """Without the return rates, which no simulation of the pull needs."""
    monkeypatch.setattr(attractors, "_returns", lambda free, *others: np.full((3, len(free)), np.nan))


def covers(estimate, truth) -> bool:
    return estimate.low - 1e-9 <= truth <= estimate.high + 1e-9


def numbers(found: Pull) -> list[float]:
    estimates = (found.pull, found.projected, found.return_rate, found.return_floor, found.radius, found.shift)
    return [end for each in estimates for end in (each.value, each.low, each.high)]


# -- by hand -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "pull", "projected"),
    [((2, 0), 0, 0), ((1, 0), 0.5, 0.5), ((0, 0), 1, 1), ((0, 2), 0, 1), ((-1, 0), 0.5, 1.5), ((3, 0), -0.5, -0.5)],
)
def test_points_without_noise(place, pull, projected):
    """Free texts at (0, 0), followed ones at (2, 0): sideways is away, though not on the followed ones' way."""
    free, followed = np.zeros((9, 3, 2)), np.broadcast_to([2.0, 0.0], (9, 4, 2))
    found = pull_of(free, np.broadcast_to(np.array(place, dtype=float), (9, 4, 2)), followed)
    for estimate, value in ((found.pull, pull), (found.projected, projected)):
        assert (estimate.value, estimate.low, estimate.high, estimate.n) == pytest.approx((value, value, value, 9))
    assert (found.shift.value, found.radius.value) == (4, 0)
    assert found.return_rate.value == (place == (0, 0))
    assert found.return_floor.value == 1  # all prompts are at the same place
    assert (found.left_out, found.note) == (0, "")


def test_squared_shifts_are_means_over_products_of_different_texts():
    """An independent form: products of a text with itself are what carries the noise."""
    ((free, perturbed, followed),) = world(0, n=8, dim=5, shift=2.0)
    found = pull_of(free, perturbed, followed)
    apart = ~np.eye(6, dtype=bool)
    own, between = (lambda a, b: (a @ b.T)[apart].mean()), (lambda a, b: (a @ b.T).mean())
    products = []
    for f, p, t in zip(free, perturbed, followed, strict=True):
        products.append([
            own(p, p) + own(f, f) - 2 * between(p, f),
            own(t, t) + own(f, f) - 2 * between(t, f),
            own(p, t) + own(f, f) - between(p, f) - between(t, f),  # no text with the rest of its own beginning
        ])  # fmt: skip
    back, whole, along = np.array(products).T
    assert found.squared == pytest.approx(np.stack([back, whole]))
    assert found.pull.value == pytest.approx(1 - np.sqrt(back.sum() / whole.sum()))
    assert found.projected.value == pytest.approx(1 - along.sum() / whole.sum())
    assert found.shift.value == pytest.approx(whole.mean())


def test_returns_counted_one_by_one():
    ((free, perturbed, followed),) = world(1, n=8, samples=10, dim=3, spreads=(0.5,), followed_spread=0.5)
    found = pull_of(free, perturbed, followed, quantile=0.8)
    rates, floors, radii = [], [], []
    for p in range(8):
        rest = [np.delete(free[p], i, axis=0).mean(axis=0) for i in range(10)]
        distances = sorted(np.linalg.norm(free[p, i] - rest[i]) for i in range(10))
        radius = distances[7] + 0.8 * (distances[8] - distances[7])  # the 0.8 x 11th of them
        others = [text for q in range(8) if q != p for text in free[q]]
        rates.append(np.mean([np.linalg.norm(text - center) <= radius for text in perturbed[p] for center in rest]))
        floors.append(np.mean([np.linalg.norm(text - center) <= radius for text in others for center in rest]))
        radii.append(radius)
    for estimate, each in ((found.return_rate, rates), (found.return_floor, floors), (found.radius, radii)):
        assert estimate.value == pytest.approx(np.mean(each))
        assert 0 < estimate.low < estimate.value < estimate.high
    assert 0 < found.return_floor.value < found.return_rate.value < 1


# -- truth known ---------------------------------------------------------------------------------------------------


def test_the_return_rate_alone_reverses_the_conclusion():
    """A diffuse model that follows every beginning, and a tight one that is half pulled back."""
    diffuse, tight = world(
        2, pulls=(0, 0.5), spreads=(0.9, 0.21), n=32, samples=8, dim=384, shift=0.2, followed_spread=0.2
    )
    diffuse, tight = pull_of(*diffuse), pull_of(*tight)
    assert diffuse.return_rate.value == pytest.approx(0.70, abs=0.08)
    assert tight.return_rate.value == pytest.approx(0.10, abs=0.08)
    assert diffuse.pull.value == pytest.approx(0, abs=0.1)
    assert tight.pull.value == pytest.approx(0.5, abs=0.05)
    assert covers(diffuse.pull, 0)
    assert covers(tight.pull, 0.5)
    difference = pull_difference(tight, diffuse)
    assert 0 < difference.low < 0.5 < difference.high
    assert diffuse.return_floor.value < 0.1


def test_a_planted_attractor_is_found():
    ((free, perturbed, followed),) = world(3, pulls=(1,), n=32, samples=8)
    found = pull_of(free, perturbed, followed)
    assert found.pull.value > 0.85
    assert found.pull.high == 1
    assert found.projected.value == pytest.approx(1, abs=0.05)
    assert found.return_rate.value == pytest.approx(8 / 9, abs=0.06)  # as often as a ninth free text
    uncorrected = np.linalg.norm(perturbed.mean(1) - free.mean(1)) / np.linalg.norm(followed.mean(1) - free.mean(1))
    assert 1 - uncorrected < 0.5  # what sampling noise makes of it


def test_texts_that_are_the_followed_ones_show_no_pull_at_all():
    ((free, _, followed),) = world(4)
    found = pull_of(free, followed, followed)
    assert (found.pull.value, found.pull.low, found.pull.high) == pytest.approx((0, 0, 0), abs=1e-6)
    assert (found.projected.value, found.projected.low, found.projected.high) == pytest.approx((0, 0, 0), abs=1e-6)


@pytest.mark.parametrize("pull", [pytest.param(0.0, marks=pytest.mark.slow), 0.5, 1.0])
@pytest.mark.usefixtures("quick")
def test_intervals_cover_the_truth_and_estimates_lie_around_it(pull):
    runs = [pull_of(*world(seed, pulls=(pull,), spreads=(0.6,))[0]) for seed in range(200)]
    given = [run for run in runs if not run.note]
    assert len(given) > 190
    assert np.median([run.pull.value for run in given]) == pytest.approx(pull, abs=0.03)
    assert np.mean([run.projected.value for run in given]) == pytest.approx(pull, abs=0.01)
    assert np.mean([covers(run.pull, pull) for run in given]) >= 0.915
    assert 0.915 <= np.mean([covers(run.projected, pull) for run in given]) <= 0.99


@pytest.mark.parametrize(("pull", "spreads"), [(0.0, (0.75, 0.75)), (0.4, (0.4, 0.9))])
@pytest.mark.usefixtures("quick")
def test_a_model_against_itself_differs_in_at_most_11_of_100_runs(pull, spreads):
    """Alike but for luck, and alike in pull though one is tight and one diffuse."""
    found = 0
    for seed in range(100):
        one, other = (pull_of(*each) for each in world(seed, pulls=(pull, pull), spreads=spreads))
        difference = pull_difference(one, other)
        found += difference.has_interval and not covers(difference, 0)
    assert found <= 11


@pytest.mark.usefixtures("quick")
def test_a_planted_difference_is_found():
    found = []
    for seed in range(40):
        one, other = (pull_of(*each) for each in world(seed, pulls=(0.6, 0.2), spreads=(0.5, 0.5)))
        found.append(pull_difference(one, other))
    assert np.mean([each.low > 0 for each in found]) > 0.9
    assert np.mean([covers(each, 0.4) for each in found]) > 0.87
    assert np.median([each.value for each in found]) == pytest.approx(0.4, abs=0.03)


@pytest.mark.usefixtures("quick")
def test_another_authors_style_looks_like_a_pull_to_all_models_alike():
    """Content and style at right angles, as long as each other: 1 - 1 / sqrt(2) for a model without any pull."""
    many = world(5, pulls=(0, 0), spreads=(0.4, 0.4), n=32, samples=10, dim=384, shift=0.5, style=0.53)
    one, other = (pull_of(*each) for each in many)
    assert one.pull.value == pytest.approx(0.29, abs=0.06)
    assert one.projected.value == pytest.approx(0.5, abs=0.1)
    assert covers(pull_difference(one, other), 0)


# -- invariances ---------------------------------------------------------------------------------------------------


def test_neither_order_nor_place_nor_turn_matters():
    rng = np.random.default_rng(6)
    ((free, perturbed, followed),) = world(6, n=12, dim=8)
    before = numbers(pull_of(free, perturbed, followed))
    pairs, prompts = rng.permutation(6), rng.permutation(12)
    turn = np.linalg.qr(rng.standard_normal((8, 8))).Q
    same = [
        pull_of(free[:, rng.permutation(6)], perturbed[:, pairs], followed[:, pairs]),
        pull_of(*((3 + group @ turn) for group in (free, perturbed, followed))),
    ]
    for found in same:
        assert numbers(found) == pytest.approx(before, abs=1e-6)
    moved = pull_of(free[prompts], perturbed[prompts], followed[prompts])
    assert numbers(moved)[:6] == pytest.approx(before[:6])  # closed forms
    assert numbers(moved)[6:] == pytest.approx(before[6:], abs=0.03)  # bootstrapped
    larger = pull_of(5 * free, 5 * perturbed, 5 * followed)
    assert numbers(larger)[:12] == pytest.approx(before[:12], abs=1e-6)
    assert larger.radius.value == pytest.approx(5 * before[12])
    assert larger.shift.value == pytest.approx(25 * before[15])
    single = pull_of(*(group.astype(np.float32) for group in (free, perturbed, followed)))
    assert numbers(single) == pytest.approx(before, abs=1e-4)


def test_the_pull_does_not_depend_on_who_goes_with_whom_but_the_projected_one_does():
    ((free, perturbed, followed),) = world(7, samples=4)
    before, after = pull_of(free, perturbed, followed), pull_of(free, perturbed[:, [1, 2, 3, 0]], followed)
    assert after.pull == before.pull
    assert after.projected.value != before.projected.value


def test_a_pull_does_not_differ_from_itself():
    one, other = (pull_of(*each) for each in world(8, pulls=(0.3, 0.6), spreads=(0.5, 0.5)))
    none = pull_difference(one, one)
    assert (none.value, none.n, covers(none, 0)) == (0, 16, True)
    assert none.high - none.low < 0.3 * (one.pull.high - one.pull.low)
    forth, back = pull_difference(one, other), pull_difference(other, one)
    assert (back.low, back.value, back.high) == pytest.approx((-forth.high, -forth.value, -forth.low))


# -- what cannot be said -------------------------------------------------------------------------------------------


def test_where_beginnings_lead_nowhere_there_is_no_pull():
    ((free, perturbed, followed),) = world(9, shift=0.0)
    found = pull_of(free, perturbed, followed)
    assert np.isnan([found.pull.value, found.pull.low, found.projected.value]).all()
    assert found.note == UNSURE
    assert found.shift.low < 0 < found.shift.high
    assert found.return_rate.has_interval
    assert np.isnan(pull_difference(found, found).value)
    equal = pull_of(*[np.ones((9, 4, 3)) / np.sqrt(3)] * 3)  # all texts alike
    assert (equal.note, equal.return_rate.value, equal.radius.value) == (UNSURE, 1, pytest.approx(0, abs=1e-12))


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_few_prompts_give_no_pull(n):
    ((free, perturbed, followed),) = world(10, n=n)
    found = pull_of(free, perturbed, followed)
    assert found.note == FEW
    assert np.isnan([found.pull.value, found.projected.value, found.return_rate.low]).all()
    assert np.isnan(found.return_rate.value) == (n == 0)
    assert np.isnan(found.return_floor.value) == (n < 2)


def test_texts_without_an_embedding_are_left_out():
    ((free, perturbed, followed),) = world(11, n=12)
    whole = pull_of(free[:11], perturbed[:11, 1:], followed[:11, 1:])
    free = np.concatenate([free, np.full((12, 1, 64), np.nan)], axis=1)
    perturbed[:, 0] = np.nan
    free[11, 1:] = np.nan  # one free text is left, which has no centre beside it
    found = pull_of(free, perturbed, followed)
    assert numbers(found) == pytest.approx(numbers(whole))
    assert (found.left_out, found.pull.n) == (1, 11)
    assert found.note == "29 texts without an embedding left out"
    assert np.isnan(found.squared[:, 11]).all()
    difference = pull_difference(found, pull_of(*world(11, n=12)[0]))
    assert difference.n == 11


def test_what_does_not_belong_together_is_refused():
    ((free, perturbed, followed),) = world(12, n=8, dim=4)
    with pytest.raises(InputError, match=r"^embeddings: expected the same prompts and dimensions in all groups"):
        attractors._check(free[:7], perturbed, followed, 0.9)  # before the annotations, which tests check first
    with pytest.raises(InputError, match=r"^quantile: expected a number above 0 and at most 1, got 1\.5\.$"):
        pull_of(free, perturbed, followed, quantile=1.5)
    with pytest.raises(InputError, match=r"^pulls: expected both over the same prompts; got 8 and 7\.$"):
        pull_difference(pull_of(free, perturbed, followed), pull_of(free[:7], perturbed[:7], followed[:7]))
