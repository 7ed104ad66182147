"""`validate_ratings` on the built-in model: what is planted in real readings is found, saved, drawn and refused."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from rated import groups_of, ratings_of
from yardsticks import of_chat, short_pairs

from creativity_lens.activations import collect_activations
from creativity_lens.directions import mean_difference
from creativity_lens.errors import InputError
from creativity_lens.text_features import words_of
from creativity_lens.text_scores import score_texts
from creativity_lens.validation import Validation, validate_ratings
from creativity_lens.validation.cheap import cheap_scores

LAYERS = (1, 4, 7)


@cache
def texts() -> tuple[str, ...]:
    """72 short texts of unlike length."""
    sides = [text for pair in short_pairs() for text in (pair.creative_response, pair.boring_response)]
    return tuple(" ".join(text.split()[: 8 + place % 9]) for place, text in enumerate(sides))


@pytest.fixture(scope="module")
def directions(chat):
    return mean_difference(collect_activations(chat, short_pairs(), layers=LAYERS, position="text"))


@pytest.fixture(scope="module")
def planted(chat, directions):
    """Ratings that are the projection at layer 4, with a little noise and a level of its own for every prompt."""
    stick = of_chat(chat)
    scores = np.array([row.score for row in score_texts(chat, stick, texts()).rows])
    names = groups_of(12, 6)
    shift = np.array([3.0 * int(name[1:]) for name in names])
    rng = np.random.default_rng(0)
    values = scores[:, None] + shift[:, None] + 0.1 * scores.std() * rng.normal(size=(72, 3))
    made = ratings_of(values, names, texts=texts(), name="planted")
    other = ratings_of(rng.normal(size=(72, 2)), names, texts=texts(), name="noise")
    return validate_ratings(chat, stick, [made, other], directions=directions)


def test_what_is_planted_is_found_at_its_layer(planted):
    rows = planted.table[(planted.table["set"] == "planted") & (planted.table["level"] == "group")]
    rho = rows[(rows["scorer"] == "direction") & (rows["measure"] == "rho")].set_index("layer")["estimate"]
    assert list(rho.index) == list(LAYERS)
    assert rho.idxmax() == 4
    assert rho[4] > 0.9
    assert planted.meta["sets"]["planted"]["verdict"]["outcome"] == "agrees"
    assert planted.meta["sets"]["noise"]["verdict"]["outcome"] == "not enough evidence"


def test_texts_carry_their_scores_in_one_unit_and_no_text(planted, chat):
    stick = of_chat(chat)
    frame = planted.texts[planted.texts["set"] == "planted"]
    values = score_texts(chat, stick, texts(), tokens=True).rows
    expected = [row.tokens.projections.mean() for row in values]
    assert frame["score"].to_numpy() == pytest.approx(expected, abs=1e-4)
    assert frame["percentile"].to_numpy() == pytest.approx([row.percentile_creative for row in values], abs=1e-6)
    assert "text" not in frame
    assert frame["n_ratings"].tolist() == [3.0] * 72


def test_without_directions_only_the_primary_layer_is_read(chat):
    ratings = ratings_of(np.random.default_rng(1).normal(size=(72, 2)), groups_of(12, 6), texts=texts())
    found = validate_ratings(chat, of_chat(chat), [ratings])
    assert found.meta["layers"] == [4]
    assert not (found.table["measure"] == "p max").any(), "one layer is no curve"


def test_a_saved_validation_is_loaded_equal_and_keeps_other_sets(planted, tmp_path):
    planted.save(tmp_path)
    loaded = Validation.load(tmp_path)
    pd.testing.assert_frame_equal(loaded.table, planted.table)
    pd.testing.assert_frame_equal(loaded.texts, planted.texts, check_dtype=False)
    assert loaded.meta == planted.meta
    part = replace(planted, meta=planted.meta | {"sets": {"noise": planted.meta["sets"]["noise"]}})
    part.save(tmp_path)
    assert Validation.load(tmp_path).sets == ["planted", "noise"]
    elsewhere = replace(part, meta=part.meta | {"primary_layer": 7})
    elsewhere.save(tmp_path)
    assert Validation.load(tmp_path).sets == ["noise"], "what was read at another layer does not stand beside it"


@pytest.mark.parametrize("name", ["ratings.csv", "ratings.parquet", "ratings.json"])
def test_a_damaged_file_is_named(planted, tmp_path, name):
    planted.save(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-20])
    with pytest.raises(InputError, match=r"damaged.*run `clens ratings validate` again"):
        Validation.load(tmp_path)
    planted.save(tmp_path)
    assert Validation.load(tmp_path).sets == planted.sets, "and that mends it"


def test_figures_and_tables_are_drawn(planted):
    for name in ("depth", "scatter", "calibration", "criteria", "overview"):
        assert planted.figure(name, "planted").layout.title.text
    with pytest.raises(InputError, match="Did you mean 'planted'"):
        planted.figure("depth", "plantd")
    assert "planted" in planted._repr_html_()
    assert "agrees" in repr(planted)


def test_texts_without_a_token_are_left_out_and_counted(chat):
    ratings = ratings_of(np.random.default_rng(2).normal(size=(72, 2)), groups_of(12, 6), texts=texts())
    frame = ratings.frame.copy()
    frame.loc[frame["item"] == "t0", "text"] = None
    found = validate_ratings(chat, of_chat(chat), [type(ratings).of(frame, "made")])
    about = found.meta["sets"]["made"]
    assert (about["items"], about["texts"]) == (72, 71)
    assert any("1 of 72 rated texts" in note for note in about["notes"])


def test_what_cannot_be_validated_is_refused(chat, base):
    ratings = ratings_of(np.zeros((4, 2)), ["a", "a", "b", "b"], texts=["one", "two", "three", "four"])
    stick = of_chat(chat)
    with pytest.raises(InputError, match="different names, got 'made' twice"):
        validate_ratings(chat, stick, [ratings, ratings])
    with pytest.raises(InputError, match="different names, got none"):
        validate_ratings(chat, stick, [])
    with pytest.raises(InputError, match="scores of pocket-chat"):
        validate_ratings(base, stick, [ratings])
    frame = ratings.frame.assign(text=None)
    with pytest.raises(InputError, match="made: no item has a text"):
        validate_ratings(chat, stick, [type(ratings).of(frame, "made")])


def test_cheap_scores_are_what_they_say(chat):
    found = cheap_scores(chat, ["A b a.", "Long words, longer words"], ["b", "b"], np.array([1.0, 2.0]))
    assert found["length"].tolist() == [3.0, 4.0]
    assert found["word length"].tolist() == [1.0, pytest.approx((4 + 5 + 6 + 5) / 4)]
    assert found["type-token ratio"].tolist() == [pytest.approx(2 / 3), pytest.approx(3 / 4)]
    assert len(words_of("Long words, longer words")) == 4
    assert found["surprisal"].tolist() == [1.0, 2.0]
    assert "distance to prompt" not in cheap_scores(chat, ["a", "b"], ["x", None], np.zeros(2))


def test_a_text_is_near_the_prompt_it_repeats(chat):
    prompts = ["the harbour at night", "a recipe for bread", "my uncle and his car"]
    near = cheap_scores(chat, prompts, prompts, np.zeros(3))["distance to prompt"]
    far = cheap_scores(chat, prompts, prompts[1:] + prompts[:1], np.zeros(3))["distance to prompt"]
    assert near == pytest.approx(np.zeros(3), abs=1e-5)
    assert (far > near).all()
