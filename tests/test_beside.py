"""What stands beside the verdict: better, worse or not distinguishable, by hand; and never more than was measured."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from fake_pairs import refusal
from prepared import concept_of
from scipy.stats import binomtest

from creativity_lens import beside
from creativity_lens.beside import against_prompt, against_temperature, gain_left, second_reader
from creativity_lens.cells import Cell
from creativity_lens.concept import nuisance_directions
from creativity_lens.conditions import Condition, Measured, Texts, gain_of
from creativity_lens.models import Model
from creativity_lens.plan import Plan
from creativity_lens.prompts import Prompt
from creativity_lens.scoring import read_texts
from creativity_lens.sides import Sides
from creativity_lens.statistics import t_interval
from creativity_lens.steering import Steering

N = 12
NOISE = 0.05 * np.random.default_rng(0).standard_normal((6, N))


@pytest.fixture(scope="module")
def concept(chat: Model):
    """The register control under the main concept's name: a contrast that the model is sure to read."""
    return replace(concept_of(chat, name="register"), name="creativity")


def stage(gains: dict[str, float], temperatures: dict[float, tuple[float, float]] | None = None):
    """Texts with these mean gains by name of the condition; temperatures have (gain, coherence kept)."""
    conditions = [Condition("", "unsteered", (0,))]
    means, kept = [0.0], [1.0]
    for name, gain in gains.items():
        conditions.append(Condition("creativity", name, (0,), Steering(3, torch.ones(2), 0.1)))
        means.append(gain)
        kept.append(0.9)
    for temperature, (gain, keeps) in (temperatures or {}).items():
        conditions.append(Condition("creativity", "temperature", (0,), temperature=temperature))
        means.append(gain)
        kept.append(keeps)
    place = np.array([(c, p) for c in range(len(conditions)) for p in range(N)])
    score = np.concatenate([mean + NOISE[c % 6] for c, mean in enumerate(means)])
    prompts = tuple(Prompt(f"p{p}", None, f"About {p}.") for p in range(N))
    texts = Texts(pd.DataFrame(), place, tuple(conditions), prompts)
    calm, none = np.full(N, 3.0), np.full(N, 0.02)
    cells = {
        c: Cell(gain_of(texts, c, score), calm - np.log(kept[c]), calm, none, none, none, none)
        for c in range(1, len(conditions))
    }
    return texts, Measured(score, np.zeros(len(place)), torch.zeros(len(place), 2), {}), cells


@pytest.mark.parametrize(
    ("chosen", "prompted", "words"),
    [(0.9, 0.2, "Better than the prompt"), (0.1, 0.9, "Worse than the prompt"), (0.5, 0.5, "Not distinguishable from")],
)
def test_against_a_prompt(concept, chosen, prompted, words):
    texts, measured, _ = stage({"chosen": chosen, "prompted": prompted})
    found = against_prompt(texts, concept, measured, 1, Sides())
    assert found["label"] == "Against a 'be creative' prompt"
    difference = t_interval(gain_of(texts, 1, measured.score) - gain_of(texts, 2, measured.score))
    assert found["text"].startswith(words)
    ends = f"95 % interval {difference.low:.2f} to {difference.high:.2f}, 12 prompts"
    assert f"({difference.value:+.2f} gaps, {ends})." in found["text"]


def test_without_an_interval_nothing_is_said(concept):
    texts, measured, _ = stage({"chosen": 0.9, "prompted": 0.2})
    score = measured.score.copy()
    score[texts.place[:, 1] >= 7] = np.nan
    found = against_prompt(texts, concept, replace(measured, score=score), 1, Sides())
    assert found["text"] == "Not measured: 7 prompts are too few for an interval."


LADDER = {0.7: (-0.5, 1.0), 1.15: (0.2, 0.95), 1.3: (0.4, 0.85), 1.5: (0.6, 0.7)}


@pytest.mark.parametrize(
    ("chosen", "words"),
    [(0.9, "Better than temperature"), (0.3, "Not distinguishable from temperature"), (0.0, "Worse than temperature")],
)
def test_against_temperature_at_equal_coherence(concept, chosen, words):
    """The cell keeps 0.9, half way between 1.15 and 1.3, where temperature gains 0.3."""
    texts, measured, cells = stage({"chosen": chosen}, LADDER)
    found = against_temperature(texts, concept, measured, cells, 1)
    gains = [gain_of(texts, number, measured.score) for number in (1, 3, 4)]
    difference = t_interval(gains[0] - (gains[1] + gains[2]) / 2)
    assert found["text"].startswith(f"{words} at coherence 0.90 ({difference.value:+.2f} gaps, 95 % interval")


def test_colder_texts_are_no_baseline(concept):
    """Only 0.7 gains: it is no way of trading coherence."""
    texts, measured, cells = stage({"chosen": 0.5}, {0.7: (5.0, 0.9), 1.3: (0.4, 0.8)})
    assert against_temperature(texts, concept, measured, cells, 1)["text"].startswith("Better than")


@pytest.mark.parametrize("ladder", [{1.3: (0.4, 0.95)}, {0.7: (0.0, 0.99)}, {}])
def test_out_of_reach_of_the_ladder_nothing_is_compared(concept, ladder):
    texts, measured, cells = stage({"chosen": 0.5}, ladder)
    lowest = min([1.0, *(kept for temperature, (_, kept) in ladder.items() if temperature > 1)])
    expected = f"Not comparable: the chosen cell keeps 0.90 of coherence, the ladder reaches from 1.00 to {lowest:.2f}."
    assert against_temperature(texts, concept, measured, cells, 1)["text"] == expected


# -- on the model --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def read(chat: Model, concept):
    """As if the creative responses had been written by the push and the boring ones without it."""
    pairs = [*concept.splits["dev"], *concept.splits["test"]]
    prompts = tuple(Prompt(pair.id, None, pair.neutral) for pair in pairs)
    conditions = (
        Condition("", "unsteered", (0,)),
        Condition("creativity", "chosen", (0,), Steering(3, torch.ones(192), 0.1)),
    )
    sides = [[pair.boring_response for pair in pairs], [pair.creative_response for pair in pairs]]
    written = [text for side in sides for text in side]
    frame = pd.DataFrame({"text": written, "concept": [""] * len(pairs) + ["creativity"] * len(pairs)})
    place = np.array([(c, p) for c in range(2) for p in range(len(pairs))])
    means = read_texts(chat, [chat.encode_text(text) for text in written], concept.scorer.layer, length=48).means
    score = concept.scorer.score(means).numpy()
    return Texts(frame, place, conditions, prompts), Measured(score, np.zeros(len(place)), means, {})


def test_a_second_reader_agrees_where_there_is_something(chat, base, concept, read):
    texts, measured = read
    row, said = second_reader(chat, base, concept, texts, 1, 48)
    assert said["label"] == "Second reader (pocket-base)"
    assert (row["concept"], row["condition"], row["group"]) == ("creativity", "second_reader", "pocket-base")
    assert row["layer"] == concept.scorer.layer, "models of the same depth are read at the same layer"
    assert row["unit"] == "gaps"
    ours = t_interval(gain_of(texts, 1, measured.score))
    assert ours.low > 0, "the control: the first reader sees it"
    assert row["low"] > 0
    assert said["text"].startswith("Agrees: +")
    assert f"{row['n']} prompts" in said["text"]


def test_a_second_reader_sees_nothing_where_nothing_is(chat, base, concept, read):
    texts, _ = read
    half = len(texts.frame) // 2
    same = replace(texts, frame=texts.frame.assign(text=texts.frame["text"].tolist()[:half] * 2))
    row, said = second_reader(chat, base, concept, same, 1, 48)
    assert row["estimate"] == pytest.approx(0.0, abs=1e-6)
    assert said["text"].startswith("Sees no clear gain")


def test_a_second_reader_that_cannot_read_says_so(chat, base, concept, read):
    swapped = [
        replace(pair, creative_response=pair.boring_response, boring_response=pair.creative_response)
        for pair in concept.second_half
    ]
    row, said = second_reader(chat, base, replace(concept, second_half=swapped), read[0], 1, 48)
    assert row == {}
    assert said["text"] == "Does not separate the dev pairs, so it cannot say."
    row, said = second_reader(chat, base, replace(concept, scorer=None), read[0], 1, 48)
    assert (row, said["text"]) == ({}, "Not measured.")


def test_gain_left_without_nuisances(chat, concept, read):
    texts, measured = read
    nuisances = nuisance_directions(chat, concept, Plan())
    del nuisances["register"]  # which here is the concept itself
    rows, (said,) = gain_left(concept, texts, measured, 1, nuisances)
    assert [row["group"] for row in rows] == [*nuisances, "all of them"]
    whole = t_interval(gain_of(texts, 1, measured.score)).value
    index = concept.dev_texts.layers.index(concept.scorer.layer)
    for row in rows[:-1]:
        scorer = concept.scorer.without(nuisances[row["group"]][index][None], concept.dev_texts)
        expected = t_interval(gain_of(texts, 1, scorer.score(measured.means).numpy()))
        assert row["estimate"] == pytest.approx(expected.value, rel=1e-3)
        assert (row["condition"], row["measure"], row["unit"]) == ("nuisance_removed", "gain_left", "gaps")
        assert f"{row['group']} {row['estimate'] / whole:.0%}" in said["text"]
    assert all(np.isfinite(row["low"]) for row in rows)


def test_a_nuisance_that_is_the_score_itself_leaves_nothing(concept, read):
    texts, measured = read
    own = concept.scorer.vector.repeat(8, 1)
    assert refusal(lambda: concept.scorer.without(own[:1], concept.dev_texts))
    rows, (said,) = gain_left(concept, texts, measured, 1, {"itself": own})
    assert rows == []
    assert said["text"] == "itself: nothing is left of the score, all of them: nothing is left of the score."


def test_without_a_scorer_there_is_no_gain_to_be_left(concept, read):
    texts, measured = read
    assert gain_left(replace(concept, scorer=None), texts, measured, 1, {"x": torch.ones(8, 192)}) == ([], [])
    assert gain_left(concept, texts, measured, 1, {}) == ([], [])


def test_adversarial_contrasts_are_passed_or_failed_by_a_sign_test(chat, concept, monkeypatch):
    """Known texts, their sides exchanged, and a coin's: one of three contrasts is passed."""
    known = concept.splits["test"] + concept.splits["dev"]
    turned = [
        replace(pair, creative_response=pair.boring_response, boring_response=pair.creative_response) for pair in known
    ]
    mixed = [pair for couple in zip(known, turned, strict=True) for pair in couple]
    planted = [
        replace(pair, id=f"{contrast}-{number}", topic=f"{contrast} {number}", domain=contrast)
        for contrast, pairs in (("right", known), ("wrong", turned), ("coin", mixed))
        for number, pair in enumerate(pairs)
    ]
    monkeypatch.setattr(beside, "load_shipped", lambda name: planted)
    rows, said = beside.adversarial_contrasts(chat, concept.scorer)
    n = len(known)
    assert [row["group"] for row in rows] == ["right", "wrong", "coin"]
    assert [row["estimate"] for row in rows] == pytest.approx([1.0, 0.0, 0.5], abs=0.15)
    assert rows[0]["estimate"] + rows[1]["estimate"] == pytest.approx(1.0)
    assert rows[2]["estimate"] == pytest.approx(0.5)
    assert {row["layer"] for row in rows} == {concept.scorer.layer}
    assert said["label"] == "Adversarial contrasts"
    assert said["text"].startswith("The score passes 1 of 3 (sign tests at 0.05): right ")
    p = binomtest(round(rows[0]["estimate"] * n), n, alternative="greater").pvalue
    assert f"right {round(rows[0]['estimate'] * n)} of {n} (p {p:.3f})" in said["text"]
    assert f"coin {n} of {2 * n} (p 0." in said["text"]


def test_a_prompt_asks_for_the_side_that_is_named(concept):
    texts, measured, _ = stage({"chosen": 0.9, "prompted": 0.2})
    assert (
        against_prompt(texts, concept, measured, 1, Sides("formal", "casual"))["label"]
        == "Against a 'be formal' prompt"
    )
