"""What a stage writes, and what is measured of it prompt by prompt, against hand-made frames and text by text."""

import numpy as np
import pandas as pd
import pytest
import torch
from fake_pairs import refusal

from creativity_lens.cells import repeated_share
from creativity_lens.conditions import (
    Condition,
    Texts,
    by_prompt,
    cell_of,
    check_prompts,
    gain_of,
    hooked_gaps,
    measure_surprisal,
    measure_texts,
    repetitions,
    write_texts,
)
from creativity_lens.generation import generate
from creativity_lens.models import Model
from creativity_lens.prompts import Prompt, load_prompts
from creativity_lens.scoring import Scorer, read_texts, surprisals
from creativity_lens.sides import Sides
from creativity_lens.steering import Steering

NAN = float("nan")
URGE = Sides().urge


# -- frames by hand ------------------------------------------------------------------------------------------------


@pytest.fixture
def texts() -> Texts:
    """Three prompts; unsteered with two lucks, a push with one, a control on the first prompt alone."""
    conditions = (
        Condition("", "unsteered", (0, 1)),
        Condition("creativity", "chosen", (0,), Steering(3, torch.ones(4), 0.1)),
        Condition("creativity", "band", (1,), Steering(3, torch.ones(4), 0.2, "flip"), control=7, n_prompts=1),
    )
    place = np.array([(0, 0), (0, 0), (0, 1), (0, 1), (0, 2), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0)])
    prompts = tuple(Prompt(name, None, f"About {name}.") for name in ("sea", "bread", "tax"))
    return Texts(pd.DataFrame({"concept": [conditions[c].concept for c, _ in place]}), place, conditions, prompts)


def test_means_by_prompt(texts):
    values = np.array([1.0, 3.0, 5.0, 5.0, 0.0, NAN, 10.0, 20.0, 30.0, 7.0])
    np.testing.assert_array_equal(by_prompt(texts, 0, values), [2.0, 5.0, NAN])
    np.testing.assert_array_equal(by_prompt(texts, 1, values), [10.0, 20.0, 30.0])
    np.testing.assert_array_equal(by_prompt(texts, 2, values), [7.0, NAN, NAN])


def test_gain_is_against_the_same_prompt(texts):
    score = np.array([1.0, 3.0, 5.0, 5.0, 0.0, 0.0, 10.0, 20.0, -30.0, 7.0])
    np.testing.assert_array_equal(gain_of(texts, 1, score), [8.0, 15.0, -30.0])
    np.testing.assert_array_equal(gain_of(texts, 2, score), [5.0, NAN, NAN])
    np.testing.assert_array_equal(gain_of(texts, 0, score), [0.0, 0.0, 0.0])


def test_a_cell_holds_both_sides_of_every_measure(texts):
    rng = np.random.default_rng(0)
    score, match, surprisal, repetition = rng.standard_normal((4, 10))
    cell = cell_of(texts, 1, score, match, surprisal, repetition)
    for name, values in (("surprisal", surprisal), ("repetition", repetition), ("match", match)):
        np.testing.assert_array_equal(getattr(cell, name), values[6:9])
        base = [(values[0] + values[1]) / 2, (values[2] + values[3]) / 2, (values[4] + values[5]) / 2]
        np.testing.assert_allclose(getattr(cell, f"{name}_0"), base)
    np.testing.assert_array_equal(cell.gain, gain_of(texts, 1, score))


def test_conditions_are_found_by_name(texts):
    assert texts.find("unsteered") == [0]
    assert texts.find("chosen", "creativity") == [1]
    assert texts.find("chosen", "register") == []
    assert texts.of(2).tolist() == [False] * 9 + [True]


def test_keys_tell_conditions_apart(texts):
    assert texts.conditions[0].keys == {
        "concept": "", "condition": "unsteered", "layer": None, "strength": 0.0, "method": None, "temperature": 1.0,
        "control": None,
    }  # fmt: skip
    assert texts.conditions[2].keys == {
        "concept": "creativity", "condition": "band", "layer": 3, "strength": 0.2, "method": "flip", "temperature": 1.0,
        "control": 7,
    }  # fmt: skip


def test_a_probes_projections_become_gaps():
    scorer = Scorer(2, torch.tensor([0.6, 0.8]), torch.tensor([1.0, 2.0]), 4.0, None)
    found = hooked_gaps(np.array([2.2, 6.2, NAN]), scorer)
    np.testing.assert_allclose(found, [0.0, 1.0, NAN], atol=1e-6)
    cosine = Scorer(2, scorer.vector, scorer.center, 4.0, None, cosine=True)
    assert np.isnan(hooked_gaps(np.array([1.0, 2.0]), cosine)).all(), "a cosine does not follow from a projection"


# -- on the model --------------------------------------------------------------------------------------------------

LENGTH = 12


def edit(model: Model, layer: int = 3, size: float = 60.0) -> Steering:
    vector = torch.nn.functional.normalize(
        torch.randn(model.d_model, generator=torch.Generator().manual_seed(layer)), dim=0
    )
    return Steering(layer, size * vector, 0.15)


@pytest.fixture(scope="module")
def stage(chat: Model) -> Texts:
    """Texts of every kind of condition, of two concepts, on four prompts."""
    _, test = load_prompts()
    conditions = [
        Condition("", "unsteered", (0, 1)),
        Condition("creativity", "chosen", (0, 1), edit(chat)),
        Condition("creativity", "prompted", (0,), front=URGE),
        Condition("creativity", "temperature", (0,), temperature=1.5),
        Condition("creativity", "band", (1,), edit(chat, 4), control=0, n_prompts=2),
        Condition("register", "flip", (1,), edit(chat, 5), control=3),
    ]
    return write_texts(
        chat, "test", conditions, test[:4], max_new_tokens=LENGTH, batch_rows=7, probe=(3, edit(chat).vector)
    )


@pytest.fixture(scope="module")
def scorer(chat: Model) -> Scorer:
    generator = torch.Generator().manual_seed(1)
    vector = torch.nn.functional.normalize(torch.randn(chat.d_model, generator=generator), dim=0)
    return Scorer(2, vector, torch.randn(chat.d_model, generator=generator), 3.0, LENGTH)


@pytest.fixture(scope="module")
def measured(chat, stage, scorer):
    return measure_texts(chat, stage, "creativity", scorer, with_tokens=[0, 9])


def test_rows_come_condition_by_condition_prompt_by_prompt(stage):
    frame = stage.frame
    assert len(frame) == 8 + 8 + 4 + 4 + 2 + 4
    assert frame["text_id"].tolist() == [f"test-{number:05d}" for number in range(30)]
    for row, (condition, prompt) in zip(frame.itertuples(), stage.place, strict=True):
        asked = stage.conditions[condition]
        assert (row.condition, row.concept, row.stage) == (asked.name, asked.concept, "test")
        assert row.prompt_id == stage.prompts[prompt].id
        assert row.seed in asked.seeds
    assert frame["layer"].dtype == frame["control"].dtype == "Int64"
    assert frame.loc[frame["condition"] == "unsteered", "layer"].isna().all()
    assert set(frame.loc[frame["condition"] == "band", "prompt_id"]) == {prompt.id for prompt in stage.prompts[:2]}


def test_all_texts_are_equally_long(stage):
    assert {len(ids) for ids in stage.frame["token_ids"]} == {LENGTH}


def test_texts_are_what_generate_would_write(chat, stage):
    """The long way round: one condition alone, without the batches of the others."""
    some = stage.frame[stage.frame["condition"] == "chosen"]
    alone = generate(chat, stage.prompts, steering=[edit(chat)], samples=2, max_new_tokens=4, seed=0)
    for ids, text in zip(some["token_ids"], alone, strict=True):
        if len(text.token_ids) == 4:  # ends are not drawn in a stage
            assert tuple(ids[:4]) == text.token_ids


def test_a_prompt_in_front_is_said_and_is_not_part_of_the_prompt(chat, stage):
    row = stage.frame[stage.frame["condition"] == "prompted"].iloc[0]
    asked = Prompt(stage.prompts[0].id, None, URGE + stage.prompts[0].text)
    (text,) = generate(chat, [asked], max_new_tokens=4, seed=0)
    assert row["prompt_id"] == stage.prompts[0].id
    if len(text.token_ids) == 4:
        assert tuple(row["token_ids"][:4]) == text.token_ids


def test_scores_equal_a_hand_computation(chat, stage, scorer, measured):
    mine = stage.frame["concept"].isin(["", "creativity"]).to_numpy()
    assert np.isnan(measured.score[~mine]).all(), "another concept's texts are not read"
    for place in np.flatnonzero(mine)[::5]:
        ids = stage.frame["token_ids"].iloc[place]
        mean = read_texts(chat, [ids], 2).means[0]
        expected = float((mean - scorer.center) @ scorer.vector) / 3.0
        assert measured.score[place] == pytest.approx(expected, abs=1e-4)
        torch.testing.assert_close(measured.means[place], mean, rtol=0, atol=1e-3)
    assert set(measured.tokens) == {0, 9}
    assert float(measured.tokens[9].mean()) == pytest.approx(measured.score[9], abs=1e-4)


def test_match_is_own_prompt_less_the_others(chat, stage, scorer, measured):
    """Cosines of centred means with the scoring direction removed, text by text."""
    from creativity_lens.reading import Passage
    from creativity_lens.scoring import read_passages

    def away(vectors):
        return vectors - (vectors @ scorer.vector)[:, None] * scorer.vector

    prompts = read_passages(chat, [Passage(*chat.encode_prompt(prompt.text)) for prompt in stage.prompts], 2)
    prompts = away(prompts - prompts.mean(0))
    base = measured.means[stage.place[:, 0] == 0].mean(0)
    for place in (0, 5, 11, 17, 24):
        text = away((measured.means[place] - base)[None])[0]
        cosines = torch.cosine_similarity(text[None], prompts)
        own = int(stage.place[place, 1])
        others = [float(cosine) for number, cosine in enumerate(cosines) if number != own]
        assert measured.match[place] == pytest.approx(float(cosines[own]) - sum(others) / 3, abs=1e-4)
    assert np.isnan(measured.match[26:]).all()


def test_match_finds_the_prompt_a_text_is_about(chat, scorer):
    """A control on the measure: prompts repeated as texts match themselves better than others."""
    _, test = load_prompts()
    prompts = tuple(test[:8])
    ids = [list(chat.encode_text(prompt.text)) for prompt in prompts]
    frame = pd.DataFrame({"concept": [""] * 8, "token_ids": ids})
    own = Texts(frame, np.array([(0, p) for p in range(8)]), (Condition("", "unsteered", (0,)),), prompts)
    match = measure_texts(chat, own, "creativity", scorer).match
    assert (match > 0).mean() >= 0.75


def test_surprisal_is_given_the_neutral_prompt_whatever_was_said(chat, stage):
    found = measure_surprisal(chat, stage)
    names = stage.frame["condition"].to_numpy()
    assert np.isnan(found[np.isin(names, ["flip", "band"])]).all(), "controls are compared in gain alone"
    assert np.isfinite(found[~np.isin(names, ["flip", "band"])]).all()
    place = int(np.flatnonzero(names == "prompted")[2])
    ids = stage.frame["token_ids"].iloc[place]
    neutral, urged = (float(surprisals(chat, [front + stage.prompts[2].text], [ids])[0]) for front in ("", URGE))
    assert found[place] == pytest.approx(neutral, abs=1e-4)
    assert abs(neutral - urged) > 1e-3, "the control: the two differ"


def test_repetition_of_every_text(stage):
    found = repetitions(stage)
    assert found.tolist() == [repeated_share(ids) for ids in stage.frame["token_ids"]]


# -- prompts that will not do --------------------------------------------------------------------------------------


def named(*texts: str) -> list[Prompt]:
    return [Prompt(f"p{number}-{text[:5]}", None, text) for number, text in enumerate(texts)]


def test_prompts_that_are_fit(chat):
    dev, test = load_prompts()
    check_prompts(chat, dev, test, max_new_tokens=48, front=URGE)


def test_prompts_that_are_not(chat):
    def said(dev, test, new=48):
        return refusal(lambda: check_prompts(chat, dev, test, max_new_tokens=new, front=URGE))

    sea, bread = named("About the sea."), named("About bread.")
    assert said([], bread) == "prompts: expected some for dev and for test, got 0 and 1."
    assert said(sea, []) == "prompts: expected some for dev and for test, got 1 and 0."
    assert "the text 'About the sea.' stands twice" in said(sea, [Prompt("other", None, "About the sea.")])
    assert "the id 'p0-About' stands twice" in said(sea, [Prompt("p0-About", None, "About bread.")])
    long = named("word " * (chat.context - 40))
    assert f"expected at most the context of {chat.context} of pocket-chat; shorten it" in said(sea, long)
    assert "expected fewer than the context" in said(sea, named("word " * chat.context))
    assert "prompt 'p0-About'" in said(sea, [Prompt("bread", None, "About bread.")], new=chat.context)


def test_a_prompt_at_the_limit_can_be_written_for(chat):
    prompt, other = named("word " * (chat.context - 60), "sea")
    longest = chat.context - len(chat.encode_prompt(URGE + prompt.text).ids)
    check_prompts(chat, [prompt], [other], max_new_tokens=longest, front=URGE)
    assert "shorten it" in refusal(
        lambda: check_prompts(chat, [prompt], [other], max_new_tokens=longest + 1, front=URGE)
    )
    conditions = [Condition("", "unsteered", (0,)), Condition("c", "prompted", (0,), front=URGE)]
    texts = write_texts(chat, "dev", conditions, [prompt], max_new_tokens=longest, batch_rows="auto", probe=None)
    assert [len(ids) for ids in texts.frame["token_ids"]] == [longest, longest]
