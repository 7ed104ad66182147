"""The read-out finds what was planted, on topics it was not fitted on, and nothing else; its controls by hand."""

import math
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import LAYERS, made, planted

from creativity_lens.prompts import ContrastivePair
from creativity_lens.readout import (
    best_layer,
    folds_of,
    length_direction,
    lexical_controls,
    nuisance_cosines,
    read_folds,
    read_out,
    separation,
    table_row,
)
from creativity_lens.statistics import Estimate, auc, auc_interval, paired_accuracy

TEXTS = ("neutral", "creative", "boring", "creative text", "boring text")


def pairs_of(topics, *, domains=("d",), kinds=("manner",)) -> list[ContrastivePair]:
    """A pair for each entry of `topics`; domains and kinds take turns, domains topic by topic."""
    names = list(dict.fromkeys(topics))
    return [
        ContrastivePair(
            f"p{place}", topic, domains[names.index(topic) % len(domains)], kinds[place % len(kinds)], None, *TEXTS
        )
        for place, topic in enumerate(topics)
    ]


def topics_of(count: int, each: int = 3) -> list[str]:
    return [f"t{place // each}" for place in range(count * each)]


def random_sides(count: int, *, seed: int, d_model: int = 16, each: int = 3):
    """Differences `[2, pair, d_model]` of pure noise, and their topics."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, count * each, d_model, generator=generator), topics_of(count, each)


def find(rows, condition, measure, **keys):
    found = [
        row
        for row in rows
        if row["condition"] == condition
        and row["measure"] == measure
        and all(row[key] == value for key, value in keys.items())
    ]
    assert len(found) == 1, f"{len(found)} rows"
    return found[0]


# -- folds ---------------------------------------------------------------------------------------------------------


def test_few_topics_are_cross_fitted():
    pairs = pairs_of(topics_of(24))
    folds = folds_of(pairs[:60], pairs[60:], seed=0)
    assert len(folds) == 5
    assert sorted(index for _, held in folds for index in held) == list(range(72)), "every pair is read once"
    for fit, held in folds:
        assert not {pairs[i].topic for i in fit} & {pairs[i].topic for i in held}
        assert sorted([*fit, *held]) == list(range(72))


def test_many_topics_are_fitted_on_train_and_read_on_dev():
    pairs = pairs_of(topics_of(60, 1))
    assert folds_of(pairs[:45], pairs[45:], seed=0) == [(list(range(45)), list(range(45, 60)))]
    assert len(folds_of(pairs[:45], pairs[45:59], seed=0)) == 5, "59 topics are few"


# -- the planted truth ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found():
    """Read-out rows of a strong planted direction in three layers, over 24 topics."""
    activations, _ = planted(topics=24, per_topic=3, size=80.0)
    pairs = pairs_of(activations.topics, domains=("fiction", "poetry", "advice"), kinds=("manner", "response"))
    return read_out(activations, pairs, folds_of(pairs[:60], pairs[60:], seed=0), seed=0)


@pytest.mark.parametrize("method", ["mean_difference", "first_component"])
@pytest.mark.parametrize("layer", LAYERS)
def test_a_planted_direction_is_read_on_held_out_topics(found, layer, method):
    for measure in ("auc", "paired_accuracy"):
        row = find(found, "direction", measure, layer=layer, method=method)
        assert row["estimate"] > 0.99
        assert row["low"] > 0.8
        assert row["high"] <= 1.0
        assert (row["n"], row["unit"], row["stage"]) == (24, "share", "readout")


@pytest.mark.parametrize("layer", LAYERS)
def test_what_else_the_read_out_says_of_it(found, layer):
    margin = find(found, "direction", "dev_margin", layer=layer)
    assert margin["estimate"] == pytest.approx(1.0, abs=0.1), "held-out margins are as large as the fitted gap"
    assert margin["unit"] == "gaps"
    assert find(found, "direction", "stability", layer=layer)["estimate"] > 0.99
    assert find(found, "direction", "method_cosine", layer=layer)["estimate"] > 0.99
    for domain in ("fiction", "poetry", "advice"):
        assert find(found, "left_out_domain", "auc", layer=layer, group=domain)["estimate"] > 0.99
    for direction in ("manner to response", "response to manner"):
        assert find(found, "transfer", "auc", layer=layer, group=direction)["estimate"] > 0.99
    shuffled = find(found, "shuffled", "auc", layer=layer)
    assert shuffled["low"] < 0.5 < shuffled["high"]
    assert abs(shuffled["estimate"] - 0.5) < 0.3
    assert shuffled["note"] == "range over label shuffles"


def test_fewer_rows_are_made_of_a_positive_control():
    activations, _ = planted(topics=12, per_topic=2)
    pairs = pairs_of(activations.topics, domains=("a", "b", "c"))
    rows = read_out(activations, pairs, folds_of(pairs, [], seed=0), seed=0, full=False)
    assert {row["condition"] for row in rows} == {"direction"}


def test_stability_and_agreement_fall_where_nothing_is_shared():
    """The control for the two above: differences of pure noise."""
    differences, topics = random_sides(24, seed=0)
    pairs = pairs_of(topics)
    rows = read_out(made(differences, topics), pairs, folds_of(pairs, [], seed=0), seed=0, full=False)
    for layer in (0, 1):
        assert abs(find(rows, "direction", "stability", layer=layer)["estimate"]) < 0.5
        assert find(rows, "direction", "method_cosine", layer=layer)["estimate"] < 0.9


# -- nothing there -------------------------------------------------------------------------------------------------


def test_without_a_signal_the_interval_holds_one_half():
    inside = {"auc": 0, "paired_accuracy": 0}
    for seed in range(30):
        sides, topics = random_sides(24, seed=seed)
        pairs = pairs_of(topics)
        high, low = read_folds((sides[:1], sides[1:]), folds_of(pairs, [], seed=seed))
        for row in separation("direction", high[0], low[0], topics, seed):
            inside[row["measure"]] += row["low"] <= 0.5 <= row["high"]
    assert min(inside.values()) >= 25  # of 30 at a true 95 %: 25 or more with probability 0.998


def test_a_pairs_own_topic_is_never_fitted_on():
    """Every topic has its own direction, and nothing is shared: reading with it is easy, without it impossible."""
    generator = torch.Generator().manual_seed(3)
    topics = topics_of(24)
    own = torch.randn(24, 512, generator=generator)
    differences = 5.0 * own[[int(topic[1:]) for topic in topics]][None] + 0.1 * torch.randn(
        1, 72, 512, generator=generator
    )
    sides = (differences, torch.zeros_like(differences))
    pairs = pairs_of(topics)
    leaking = [(list(range(72)), list(range(72)))]
    high, low = read_folds(sides, leaking)
    assert paired_accuracy((high - low)[0].astype(float), topics).value > 0.95, "the control: a leak would show"
    high, low = read_folds(sides, folds_of(pairs, [], seed=0))
    assert np.isfinite(high).all()
    held_out = paired_accuracy((high - low)[0].astype(float), topics)
    assert held_out.low < 0.5 < held_out.high


def test_labels_that_are_flipped_turn_the_reading_around():
    activations, _ = planted(topics=24, per_topic=3, size=80.0)
    sides = (activations.creative, activations.boring)
    folds = folds_of(pairs_of(activations.topics), [], seed=0)
    high, low = read_folds(sides, folds)
    back, forth = read_folds(sides, folds, -torch.ones(72))
    np.testing.assert_allclose(back, -high, atol=1e-4)
    np.testing.assert_allclose(forth, -low, atol=1e-4)


def test_sides_that_do_not_differ_are_ties():
    same = torch.ones(1, 24, 8)
    high, low = read_folds((same, same.clone()), folds_of(pairs_of(topics_of(8)), [], seed=0))
    assert auc(high[0].astype(float), low[0].astype(float)) == 0.5


def test_a_projection_by_hand():
    """One fold, two dimensions: centre, unit vector and gap are read off the numbers."""
    creative = torch.tensor([[[3.0, 1.0], [5.0, 1.0], [4.0, 9.0]]])
    boring = torch.tensor([[[1.0, 1.0], [3.0, 1.0], [0.0, 9.0]]])
    high, low = read_folds((creative, boring), [([0, 1], [2])])
    # fitted: difference (2, 0), gap 2, centre (3, 1)
    assert high[0, 2] == pytest.approx((4 - 3) / 2)
    assert low[0, 2] == pytest.approx((0 - 3) / 2)
    assert np.isnan(high[0, :2]).all(), "what is not read is not there"


# -- left-out domains and kinds ------------------------------------------------------------------------------------


def test_a_domain_that_points_the_other_way_shows():
    differences = 0.1 * random_sides(24, seed=1)[0][:1]
    topics = topics_of(24)
    pairs = pairs_of(topics, domains=("fiction", "poetry", "advice", "drama"))
    for place, pair in enumerate(pairs):
        differences[0, place, 0] += -1.0 if pair.domain == "advice" else 1.0
    rows = read_out(made(differences, topics), pairs, folds_of(pairs, [], seed=0), seed=0)
    assert find(rows, "left_out_domain", "auc", layer=0, group="advice")["estimate"] < 0.05
    assert find(rows, "left_out_domain", "auc", layer=0, group="fiction")["estimate"] > 0.95
    assert find(rows, "left_out_domain", "auc", layer=0, group="fiction")["n"] == 6, "its own topics"


def test_a_left_out_domain_shares_no_topic_with_what_is_fitted():
    """Each topic has pairs in two domains and a direction of its own: only a leak could read it."""
    generator = torch.Generator().manual_seed(0)
    topics = topics_of(24, 4)
    own = torch.randn(24, 512, generator=generator)
    differences = 5.0 * own[[int(topic[1:]) for topic in topics]][None] + 0.1 * torch.randn(
        1, 96, 512, generator=generator
    )
    around = ("a", "b", "c")
    pairs = [
        replace(pair, domain=around[(int(pair.topic[1:]) + place % 2) % 3])
        for place, pair in enumerate(pairs_of(topics))
    ]
    rows = read_out(made(differences, topics), pairs, folds_of(pairs, [], seed=0), seed=0)
    for domain in around:
        row = find(rows, "left_out_domain", "auc", layer=0, group=domain)
        assert row["low"] < 0.5 < row["high"]


def test_two_domains_are_too_few_to_leave_one_out():
    differences, topics = random_sides(10, seed=0)
    pairs = pairs_of(topics, domains=("a", "b"))
    rows = read_out(made(differences, topics), pairs, folds_of(pairs, [], seed=0), seed=0)
    assert not [row for row in rows if row["condition"] in ("left_out_domain", "transfer")]


def test_transfer_is_between_kinds_and_on_other_topics():
    """Two kinds with a direction each: neither tells anything of the other, unless they are the same."""
    topics = topics_of(24, 2)
    pairs = pairs_of(topics, kinds=("manner", "response"))
    for same, expected in ((True, 1.0), (False, 0.5)):
        differences = 0.3 * torch.randn(1, 48, 16, generator=torch.Generator().manual_seed(5))
        differences[0, 0::2, 0] += 3.0
        differences[0, 1::2, 0 if same else 1] += 3.0
        rows = read_out(made(differences, topics), pairs, folds_of(pairs, [], seed=0), seed=0)
        for name in ("manner to response", "response to manner"):
            row = find(rows, "transfer", "auc", layer=0, group=name)
            assert row["estimate"] == pytest.approx(expected, abs=0.25 if not same else 0.01)
            assert row["n"] == 24
            assert same or row["low"] < 0.7


# -- lexical controls ----------------------------------------------------------------------------------------------

WORDS = [
    ("a strange glass sea", "the sea is wet"),
    ("glass rain, strange rain", "rain is wet"),
    ("a glass fox", "a fox"),
    ("strange bread", "bread is food"),
    ("the glass tax", "tax is due"),
    ("a strange, strange year", "a year"),
]


def tf_idf(corpus: list[str], text: str) -> np.ndarray:
    """(1 + ln tf) * (ln((1 + n) / (1 + df)) + 1), of unit length, over the corpus's words and punctuation."""
    split = [Counter(re.findall(r"\w+|[^\w\s]+", each.lower())) for each in (*corpus, text)]
    names = sorted(set().union(*split[:-1]))
    idf = [math.log((1 + len(corpus)) / (1 + sum(name in words for words in split[:-1]))) + 1 for name in names]
    counts = [split[-1][name] for name in names]
    raw = np.array([(1 + math.log(count)) * i if count else 0.0 for count, i in zip(counts, idf, strict=True)])
    return raw / np.linalg.norm(raw)


def test_tf_idf_equals_a_hand_computation():
    texts = [[pair[side] for pair in WORDS] for side in (0, 1)]
    topics = [f"t{place}" for place in range(6)]
    folds = [([0, 1, 2], [3, 4, 5]), ([3, 4, 5], [0, 1, 2])]
    expected = np.zeros((2, 6))
    for fit, held in folds:
        corpus = [texts[side][i] for i in fit for side in (0, 1)]
        high, low = (np.stack([tf_idf(corpus, texts[side][i]) for i in range(6)]) for side in (0, 1))
        vector = (high[fit] - low[fit]).mean(0)
        vector, center = vector / np.linalg.norm(vector), (high[fit].mean(0) + low[fit].mean(0)) / 2
        gap = ((high[fit] - low[fit]) @ vector).mean()
        expected[0, held] = (high[held] - center) @ vector / gap
        expected[1, held] = (low[held] - center) @ vector / gap
    none = torch.zeros(1, 6, 4)
    rows = lexical_controls((none, none), texts, topics, folds, seed=0)
    assert find(rows, "tfidf", "auc")["estimate"] == pytest.approx(auc(*expected))
    assert find(rows, "tfidf", "paired_accuracy")["estimate"] == (expected[0] > expected[1]).mean()
    assert find(rows, "tfidf", "auc")["layer"] is None


def test_token_embeddings_are_read_like_a_layer_minus_one():
    activations, _ = planted(topics=24, per_topic=1, size=80.0)
    embedded = (activations.creative[:1], activations.boring[:1])
    pairs = pairs_of(activations.topics)
    folds = folds_of(pairs, [], seed=0)
    texts = [["odd"] * 24, ["plain"] * 24]
    rows = lexical_controls(embedded, texts, activations.topics, folds, seed=0)
    high, low = (side[0].astype(float) for side in read_folds(embedded, folds))
    expected = auc_interval(high, low, activations.topics, seed=0)
    row = find(rows, "token_embeddings", "auc", layer=-1)
    assert (row["estimate"], row["low"], row["high"]) == (expected.value, expected.low, expected.high)
    assert find(rows, "tfidf", "auc")["estimate"] == 1.0, "two words tell the sides apart"


def test_a_bag_of_words_reads_nothing_where_words_are_the_same():
    texts = [["one two three"] * 12, ["three two one"] * 12]
    none = torch.zeros(1, 12, 4)
    pairs = pairs_of(topics_of(12, 1))
    rows = lexical_controls((none, none), texts, topics_of(12, 1), folds_of(pairs, [], seed=0), seed=0)
    assert find(rows, "tfidf", "auc")["estimate"] == 0.5
    assert find(rows, "token_embeddings", "auc")["estimate"] == 0.5


@pytest.mark.parametrize("text", ["...", "a b", "\u6d77", "?!", "1"])
def test_no_text_is_too_short_for_a_bag_of_words(text):
    texts = [[text] * 10, ["the sea"] * 10]
    none = torch.zeros(1, 10, 4)
    pairs = pairs_of(topics_of(10, 1))
    rows = lexical_controls((none, none), texts, topics_of(10, 1), folds_of(pairs, [], seed=0), seed=0)
    assert find(rows, "tfidf", "auc")["estimate"] == 1.0


# -- nuisances, and the layer to read at ---------------------------------------------------------------------------


def test_cosines_with_nuisance_directions():
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    nuisances = {"length": torch.tensor([[1.0, 0.0], [1.0, 1.0]]), "sentiment": torch.tensor([[-2.0, 0.0], [0.0, 0.0]])}
    rows = nuisance_cosines(vectors, nuisances, (3, 4))
    got = {(row["group"], row["layer"]): row["estimate"] for row in rows}
    assert got == pytest.approx(
        {("length", 3): 1.0, ("length", 4): 0.5**0.5, ("sentiment", 3): -1.0, ("sentiment", 4): 0.0}
    )
    assert {(row["condition"], row["measure"], row["unit"]) for row in rows} == {("nuisance", "cosine", "cosine")}


def test_the_length_direction_is_where_longer_texts_lie():
    """Activations move along axis 0 with length; the sides differ in mean length along axis 1, which is not length."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(20, 60, (2, 200), generator=generator).float() + torch.tensor([[40.0], [0.0]])
    sides = 0.5 * torch.randn(2, 200, 6, generator=generator)
    sides[..., 0] += 0.1 * lengths - torch.tensor([[4.0], [0.0]])
    sides[0, :, 1] += 10.0
    both = replace(made(torch.zeros(1, 200, 6), topics_of(200, 1)), creative=sides[:1], boring=sides[1:])
    direction = length_direction(both, lengths)
    assert direction.shape == (1, 6)
    assert direction[0, 0] > 0.99
    assert float(direction.norm()) == pytest.approx(1.0)


def layer_rows(values):
    """Rows as `read_out` makes them, of (auc, accuracy, stability, margin) by layer."""
    rows = []
    for layer, (area, accuracy, stability, margin) in values.items():
        for method, less in (("mean_difference", 0.0), ("first_component", -0.5)):
            keys = {"layer": layer, "method": method}
            rows.append(table_row("readout", "direction", "auc", "share", area + less, **keys))
            rows.append(table_row("readout", "direction", "paired_accuracy", "share", accuracy + less, **keys))
        rows.append(
            table_row("readout", "direction", "dev_margin", "gaps", margin, layer=layer, method="mean_difference")
        )
        rows.append(table_row("readout", "direction", "stability", "cosine", stability, layer=layer))
        rows.append(table_row("readout", "shuffled", "auc", "share", 1.0, layer=layer, method="mean_difference"))
    return rows


@pytest.mark.parametrize(
    ("values", "allowed", "best"),
    [
        ({0: (0.7, 0.9, 0.9, 1.0), 1: (0.8, 0.5, 0.1, 1.0)}, [0, 1], 1),
        ({0: (0.8, 0.9, 0.1, 1.0), 1: (0.8, 0.8, 0.9, 1.0)}, [0, 1], 0),
        ({0: (0.8, 0.9, 0.1, 1.0), 1: (0.8, 0.9, 0.9, 1.0)}, [0, 1], 1),
        ({0: (0.7, 0.9, 0.9, 1.0), 1: (0.8, 0.9, 0.9, 0.0)}, [0, 1], 0),
        ({0: (0.7, 0.9, 0.9, 1.0), 1: (0.8, 0.9, 0.9, 1.0)}, [0], 0),
        ({0: (0.7, 0.9, 0.9, -0.1), 1: (0.8, 0.9, 0.9, 0.0)}, [0, 1], None),
    ],
    ids=["auc", "accuracy breaks ties", "stability breaks ties", "margin", "allowed", "none"],
)
def test_the_layer_to_read_at(values, allowed, best):
    assert best_layer(layer_rows(values), allowed) == best


def test_a_row_of_the_table():
    row = table_row("test", "chosen", "gain", "gaps", Estimate(0.5, 0.2, 0.8, 12, "gaps"), layer=3, note="so")
    assert (row["estimate"], row["low"], row["high"], row["n"], row["note"]) == (0.5, 0.2, 0.8, 12, "so")
    bare = table_row("screen", "steered", "kl", "nats/token", 0.25)
    assert bare["n"] is None
    assert math.isnan(bare["low"])
    assert set(bare) == set(row)
