"""What steers, what scores, what chooses and what is tested are four different things; and each is what it says."""

from dataclasses import replace
from inspect import unwrap

import numpy as np
import pytest
import torch
from fake_pairs import make_pairs, refusal
from prepared import concept_of

from creativity_lens import concept as module
from creativity_lens.activations import collect_activations
from creativity_lens.concept import dev_scores, embedded_texts, nuisance_directions, nuisance_rows, prepare
from creativity_lens.directions import balanced_flips, mean_difference
from creativity_lens.layers import drawn_only
from creativity_lens.models import Model
from creativity_lens.plan import Plan
from creativity_lens.prompts import fingerprint, halve_topics, load_pairs, split_pairs
from creativity_lens.readout import table_row
from creativity_lens.scoring import read_texts


@pytest.fixture(scope="module")
def found(chat: Model):
    return concept_of(chat)


def topics(pairs) -> set[str]:
    return {pair.topic for pair in pairs}


def test_no_topic_plays_two_parts(found):
    train, dev, test = (topics(found.splits[name]) for name in ("train", "dev", "test"))
    half_a, half_b = set(found.steering_pairs.topics), topics(found.second_half)
    assert half_a | half_b == train
    assert not half_a & half_b
    assert not train & dev
    assert not (train | dev) & test
    assert found.dev_texts.topics == tuple(pair.topic for pair in found.splits["dev"])


def test_the_steering_directions_are_those_of_half_a(chat, found):
    train, _, _ = split_pairs(load_pairs(), seed=0)
    half_a, _ = halve_topics(train, seed=0)
    alone = mean_difference(collect_activations(chat, half_a))
    for name, directions in found.directions.items():
        assert directions.method == name
        assert directions.source.n_pairs == len(half_a)
        assert directions.source.pairs_sha256 == fingerprint(half_a), "what the file will say of itself"
    torch.testing.assert_close(found.directions["mean_difference"].vectors, alone.vectors, rtol=0, atol=1e-4)
    assert torch.equal(found.flips(5, 3), balanced_flips(found.steering_pairs, 5, seed=3))


def test_margins_are_of_test_texts_read_alone(chat, found):
    """The whole way by hand: half B's direction and test's margins from whole texts, dev's gap from 48 tokens."""
    scorer = found.scorer
    assert scorer.length == 48
    fitted = mean_difference(collect_activations(chat, found.second_half, layers=[scorer.layer], position="text"))
    torch.testing.assert_close(scorer.vector, fitted.vectors[0], rtol=0, atol=1e-5)

    def means(pairs, side, length):
        return read_texts(chat, [chat.encode_text(getattr(p, side))[:length] for p in pairs], scorer.layer).means

    def margins(pairs, length=None):
        return (means(pairs, "creative_response", length) - means(pairs, "boring_response", length)) @ scorer.vector

    gap = float(margins(found.splits["dev"], 48).mean())
    assert scorer.gap == pytest.approx(gap, rel=1e-4)
    expected = margins(found.splits["test"]).numpy() / gap
    np.testing.assert_allclose(found.margins, expected, atol=1e-3)
    assert found.test_topics == [pair.topic for pair in found.splits["test"]]
    assert (found.margins > 0).mean() > 0.5, "the model reads its pairs better than a coin"


@pytest.mark.parametrize(("n_layers", "first"), [(8, 7), (10, 8), (32, 26), (5, 4), (1, 1)])
def test_the_last_fifth_is_drawn_only(n_layers, first):
    assert drawn_only(n_layers) == first


def test_layers_of_the_last_fifth_are_never_choosable(found):
    assert set(found.choosable) <= set(range(7))
    assert len(found.choosable) >= 3, "the built-in model reads its pairs in the middle"
    assert found.scorer.layer < 7


def margins_replaced(monkeypatch, changed):
    """The dev margins of some layers are others."""
    real = module.read_out

    def read_out(*args, **options):
        rows = real(*args, **options)
        for row in rows:
            if row["measure"] == "dev_margin" and row["layer"] in changed:
                row["estimate"] = changed[row["layer"]]
        return rows

    monkeypatch.setattr(module, "read_out", read_out)


def test_a_layer_without_a_margin_is_not_choosable_and_does_not_score(chat, monkeypatch):
    pairs = load_pairs()
    lost = dict.fromkeys(range(8), -1.0)
    margins_replaced(monkeypatch, lost | {0: 0.0, 2: 0.3, 3: float("nan")})
    some = prepare(chat, "creativity", pairs, Plan(), full=False)
    assert some.choosable == (2,)
    assert some.scorer.layer == 2
    margins_replaced(monkeypatch, lost)
    none = prepare(chat, "creativity", pairs, Plan(), full=False)
    assert none.choosable == ()
    assert none.scorer is None
    assert np.isnan(none.margins).all()


@pytest.mark.slow
def test_one_layer_alone_may_be_chosen_wherever_it_lies(chat):
    assert prepare(chat, "creativity", load_pairs(), Plan(layers="7"), full=False).choosable == (7,)


@pytest.mark.slow
def test_a_reader_that_reads_the_opposite_is_none(chat, monkeypatch):
    """Half B says the opposite of dev: said in a note, and not a number that was made up."""
    monkeypatch.setattr(module, "halve_topics", lambda pairs, seed: _one_half_swapped(pairs, seed))
    found = prepare(chat, "creativity", load_pairs(), Plan(), full=False)
    assert found.scorer is None
    (row,) = [row for row in found.rows if row["condition"] == "scorer"]
    assert np.isnan(row["estimate"])
    assert "does not separate the dev pairs" in row["note"]


def _one_half_swapped(pairs, seed):
    half_a, half_b = halve_topics(pairs, seed=seed)
    return half_a, [
        replace(pair, creative_response=pair.boring_response, boring_response=pair.creative_response) for pair in half_b
    ]


# -- position rules ------------------------------------------------------------------------------------------------


def test_pairs_with_one_instruction_for_both_sides_are_not_read_by_it(chat, monkeypatch):
    pairs = load_pairs()
    same = [pair for pair in pairs if pair.creative == pair.boring]
    assert same, "the shipped pairs have some, or this shows nothing"
    read = []
    monkeypatch.setattr(module, "lexical_controls", lambda _, texts, *others, **options: read.extend(texts) or [])
    found = prepare(chat, "creativity", pairs, Plan(layers="2", position="instruction"), full=True)
    train, dev, _ = split_pairs(pairs, seed=0)
    half_a, _ = halve_topics(train, seed=0)
    different = [pair for pair in half_a if pair.creative != pair.boring]
    assert found.directions["mean_difference"].source.n_pairs == len(different) < len(half_a)
    assert found.dev_texts.creative.shape[1] == len(dev), "texts are read whatever their instructions"
    both = [pair for pair in (*train, *dev) if pair.creative != pair.boring]
    expected = [[pair.creative for pair in both], [pair.boring for pair in both]]
    assert read == expected, "the bag of words is that of what the direction reads"


@pytest.mark.slow
def test_pairs_with_one_response_for_both_sides_are_not_scored_by(chat):
    pairs = load_pairs()
    spoiled = {pair.id for pair in pairs if pair.kind == "premise" and pair.domain == pairs[0].domain}
    changed = [replace(pair, boring_response=pair.creative_response) if pair.id in spoiled else pair for pair in pairs]
    found = prepare(chat, "creativity", changed, Plan(layers="2"), full=False)
    test = found.splits["test"]
    assert np.isnan(found.margins).tolist() == [pair.id in spoiled for pair in test]
    assert not {pair.id for pair in found.second_half} & spoiled


@pytest.mark.parametrize(
    ("topics", "screen_only", "said"),
    [
        (8, False, "creativity: expected pairs of at least 4 topics in the half of the training topics that steers"),
        (4, True, "creativity: expected pairs of at least 2 topics in the half of the training topics that steers"),
        (5, True, "pairs: expected at least 5 topics for 5 parts, got 4; add topics."),
        (2, True, "pairs: expected at least 3 topics (train, dev, test), got 2"),
    ],
)
def test_too_few_topics_are_refused_before_the_model_runs(chat, monkeypatch, topics, screen_only, said):
    monkeypatch.setattr(module, "collect_activations", None)
    few = make_pairs([topics], per_topic=3)
    assert said in refusal(lambda: prepare(chat, "creativity", few, Plan(screen_only=screen_only), full=True))


# -- lexical controls and nuisances --------------------------------------------------------------------------------


def test_embedded_texts_are_means_of_their_tokens_embeddings(chat):
    texts = [["The tide came in.", "Bread"], ["It was wet.", "Rain, rain"]]
    table = chat.bridge.original_model.get_input_embeddings().weight
    creative, boring = embedded_texts(chat, texts)
    for found, side in ((creative, texts[0]), (boring, texts[1])):
        assert found.shape == (1, 2, chat.d_model)
        for row, text in zip(found[0], side, strict=True):
            expected = torch.stack([table[token] for token in chat.encode_text(text)]).float().mean(0)
            torch.testing.assert_close(row, expected, rtol=0, atol=1e-6)


def test_nuisance_directions(chat, found):
    directions = nuisance_directions(chat, found, Plan())
    assert set(directions) == {"length", "sentiment", "register", "formality"}
    for vectors in directions.values():
        assert vectors.shape == (8, chat.d_model)
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(8))
    rows = nuisance_rows(found, directions)
    assert len(rows) == 4 * 8
    assert all(-1 <= row["estimate"] <= 1 and row["concept"] == "creativity" for row in rows)
    steering = found.directions["mean_difference"].vectors
    own = nuisance_rows(found, {"itself": steering})
    assert [row["estimate"] for row in own] == pytest.approx([1.0] * 8, abs=1e-5)


def test_instructions_have_no_length_direction(chat, found):
    assert "length" not in nuisance_directions(chat, found, Plan(position="last"))


# -- what goes into the file ---------------------------------------------------------------------------------------


def test_dev_scores_are_one_methods_with_their_intervals():
    rows = [
        {**table_row("readout", "direction", "auc", "share", value, layer=3, method=method), "low": low, "high": 1.0}
        for method, value, low in (("mean_difference", 0.9, 0.8), ("first_component", 0.7, float("nan")))
    ]
    rows.append(table_row("readout", "shuffled", "auc", "share", 0.5, layer=3, method="mean_difference"))
    rows.append(table_row("readout", "direction", "dev_margin", "gaps", 1.0, layer=3, method="mean_difference"))
    assert dev_scores(rows, "mean_difference") == [("auc@3", 0.9), ("auc_low@3", 0.8), ("auc_high@3", 1.0)]
    assert dev_scores(rows, "first_component") == [("auc@3", 0.7), ("auc_high@3", 1.0)]


@pytest.mark.slow
def test_a_concept_is_prepared_alike_twice(chat):
    one, other = (unwrap(prepare)(chat, "creativity", load_pairs(), Plan(), full=True) for _ in range(2))
    np.testing.assert_equal(one.rows, other.rows)
    np.testing.assert_array_equal(one.margins, other.margins)
