"""The long format: what it holds is checked, and panels are never averaged unless that is asked for by name."""

import math

import numpy as np
import pandas as pd
import pytest
from fake_pairs import refusal

from creativity_lens.ratings import COLUMNS, Ratings, scale_ends

NAN = math.nan


def frame(*rows, **constant):
    """Rows of item, rater, value and, further on, panel."""
    named = [dict(zip(("item", "rater", "value", "panel"), row, strict=False)) for row in rows]
    return pd.DataFrame(named).assign(**({"criterion": "surprise"} | constant))


def two_panels():
    rows = [("a", "w1", 1, "expert"), ("a", "w2", 2, "expert"), ("a", "w9", 7, "lay"), ("b", "w1", 4, "expert")]
    return Ratings.of(frame(*rows, text="x", scale="1-7"), "mine")


def test_missing_columns_are_empty_and_the_panel_has_a_name():
    ratings = Ratings.of(frame(("a", "w1", 1), ("b", "w1", 2)), "mine")
    assert list(ratings.frame) == list(COLUMNS)
    assert ratings.panels("surprise") == ["raters"]
    assert ratings.frame[["text", "prompt", "group", "author", "source", "scale"]].isna().all(axis=None)
    assert (ratings.criteria, ratings.name, ratings.group_name, len(ratings)) == (["surprise"], "mine", "prompt", 2)


def test_items_stand_once_in_the_order_of_their_first_rows():
    ratings = Ratings.of(frame(("b", "w1", 1), ("a", "w1", 2), ("b", "w2", 3)), "mine")
    assert ratings.items["item"].tolist() == ["b", "a"]
    assert list(ratings.items) == ["item", "text", "prompt", "group", "author", "source"]


def test_means_and_matrix_by_hand():
    ratings = two_panels()
    means = ratings.means("surprise", "expert")
    assert means.to_dict() == {"a": 1.5, "b": 4.0}
    assert ratings.means("surprise", "lay").to_dict() == {"a": 7.0}
    matrix = ratings.matrix("surprise", "expert")
    assert matrix.index.tolist() == ["a", "b"]
    np.testing.assert_array_equal(matrix[["w1", "w2"]].to_numpy(), [[1, 2], [4, NAN]])


def test_panels_are_averaged_only_when_pooled_by_name():
    ratings = two_panels()
    for asked in (ratings.means, ratings.matrix):
        said = refusal(asked, "surprise")
        assert "rated by 2 panels (expert, lay), which are not averaged" in said
    assert ratings.means("surprise", pool=["expert", "lay"])["a"] == pytest.approx(10 / 3)
    assert ratings.means("surprise", pool=["lay"])["a"] == 7
    assert "Did you mean 'expert'?" in refusal(ratings.means, "surprise", "exprt")
    assert "Did you mean 'surprise'?" in refusal(ratings.means, "suprise")


def test_means_without_single_raters_have_no_matrix():
    ratings = Ratings.of(frame(("a", NAN, 1.5), ("b", NAN, 2.5)), "mine")
    assert ratings.matrix("surprise").empty
    assert ratings.means("surprise").tolist() == [1.5, 2.5]


def test_constant_ratings_are_ratings():
    assert Ratings.of(frame(("a", "w1", 3), ("b", "w1", 3)), "mine").means("surprise").tolist() == [3, 3]


def test_only_items_with_a_text():
    rows = frame(("a", "w1", 1), ("b", "w1", 2), ("c", "w1", 3)).assign(text=["x", NAN, " \n"])
    ratings = Ratings.of(rows, "mine")
    assert ratings.with_texts().items["item"].tolist() == ["a"]
    assert len(ratings) == 3


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (frame(("a", "w1", 8), scale="1-7"), "mine: row 1: 8 of item 'a' is off the scale 1-7"),
        (frame(("a", "w1", 0.5), scale="1-7"), "off the scale"),
        (frame(("a", "w1", 1), ("a", "w1", 2)), "row 2: rater 'w1' stands twice for item 'a' and criterion 'surprise'"),
        (frame(("a", NAN, 1), ("a", NAN, 2)), "row 2: the mean stands twice for item 'a'"),
        (frame(("a", "w1", NAN)), "row 1: no value"),
        (frame((NAN, "w1", 1)), "row 1: no item"),
        (frame(("a", "w1", "high")), "value: expected a number in every row"),
        (frame(("a", "w1", math.inf)), "expected a finite number"),
        (frame(("a", "w1", 1), scale="7-1"), "scale: expected two rising numbers such as 1-7, got '7-1'"),
        (frame(("a", "w1", 1), ("a", "w2", 1)).assign(text=["x", "y"]), "item 'a' has 2 different values of 'text'"),
        (frame(("a", "w1", 1), ("a", "w2", 1)).assign(group=["x", NAN]), "2 different values of 'group'"),
        (frame(("a", "w1", 1), vlaue=1), "column 'vlaue': unknown"),
        (frame(("a", "w1", 1)).iloc[:0], "mine: no ratings"),
    ],
)
def test_what_is_no_rating_is_refused(rows, said):
    assert said in refusal(Ratings.of, rows, "mine")


def test_one_rater_may_sit_on_two_panels():
    assert len(Ratings.of(frame(("a", "w1", 1, "expert"), ("a", "w1", 2, "lay")), "mine")) == 2


@pytest.mark.parametrize(("scale", "ends"), [("1-7", (1, 7)), ("0-0.5", (0, 0.5)), ("0-200", (0, 200))])
def test_scales(scale, ends):
    assert scale_ends(scale) == ends


@pytest.mark.parametrize("scale", ["", "7", "7-1", "3-3", "a-b", "-1-7", "1-inf", "nan-2", "1-7-9"])
def test_what_is_no_scale_is_refused(scale):
    assert "expected two rising numbers" in refusal(scale_ends, scale)


def test_its_view_in_a_notebook_is_escaped():
    view = Ratings.of(frame(("a", "w1", 3), criterion="<b>", panel="<i>"), "<script>")._repr_html_()
    for wrong in ("<script>", "<b><", "<i>"):
        assert wrong not in view
    assert "&lt;script&gt;" in view
    assert "&lt;b&gt;" in view
