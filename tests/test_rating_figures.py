"""The figures of ratings carry the numbers of the table, keep panels apart, and say what a set is too small for."""

import copy
import json
import math
import re
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from fake_ratings import CHEAP, PLANS, PRIMARY_LAYER, FakeValidation, fake_ratings
from scipy import stats

from creativity_lens.errors import InputError
from creativity_lens.figures import RATING_FIGURES, draw_ratings, pair_rows, rating_overview, rating_rows
from creativity_lens.figures.rating_calibration import calibration
from creativity_lens.figures.rating_rows import correlation, short, with_ends
from creativity_lens.figures.rating_scatter import MOST_POINTS, within

FOUND = fake_ratings()
HOSTILE = fake_ratings(hostile=True)


def figure(kind: str, name: str, found: FakeValidation = FOUND) -> go.Figure:
    return draw_ratings(kind, found.table, found.texts, found.meta, name)


def rows(name: str, **where: Any) -> pd.DataFrame:
    """The reference: plain pandas, not the package's own selection; primary criterion, panel and level by default."""
    frame = FOUND.table[FOUND.table["set"] == name]
    for column, value in (FOUND.meta["sets"][name]["primary"] | where).items():
        frame = frame[frame[column] == value]
    return frame.reset_index(drop=True)


def traces(drawn: go.Figure, name: str, axis: str = "x") -> list[Any]:
    return [trace for trace in drawn.data if trace.name == name and (trace.xaxis or "x") == axis]


def words(drawn: go.Figure) -> list[str]:
    """Every text of a figure that plotly reads as its small HTML."""
    found = [note.text for note in drawn.layout.annotations] + [drawn.layout.title.text]
    for axis in (*drawn.select_xaxes(), *drawn.select_yaxes()):
        found += [axis.title.text or "", *(axis.ticktext or ())]
    for trace in drawn.data:
        for part in (trace.name, trace.hovertext):
            found += [text for text in np.ravel(np.array(part, dtype=object)) if isinstance(text, str)]
    return found


def notes(drawn: go.Figure) -> str:
    return " ".join(note.text.replace("<br>", " ").replace("\u00a0", " ") for note in drawn.layout.annotations)


# ---- the rows of the primary layer ----


@pytest.mark.parametrize("name", PLANS)
def test_rating_rows_are_the_tables_numbers_the_fixed_one_first(name: str) -> None:
    found = rating_rows(FOUND.table, FOUND.meta, name)
    plan = PLANS[name]
    assert len(found) == len(plan.criteria) * len(plan.panels) * len(plan.levels)
    assert [row["primary"] for row in found] == [True] + [False] * (len(found) - 1)
    assert (found[0]["criterion"], found[0]["panel"], found[0]["level"]) == (
        plan.criteria[0],
        plan.panels[0],
        plan.level,
    )
    for row in found:
        place = {key: row[key] for key in ("criterion", "panel", "level")}
        rho = rows(name, **place, scorer="direction", measure="rho", layer=PRIMARY_LAYER).iloc[0]
        assert (row["rho"], row["low"], row["p"], row["n"]) == (rho.estimate, rho.low, rho.p, rho.n)
        partial = rows(name, **place, scorer="direction", measure="partial rho").iloc[0]
        assert (row["partial"], row["partial_high"]) == (partial.estimate, partial.high)
        cheap = rows(name, **place, measure="rho")
        cheap = cheap[cheap["scorer"].isin(CHEAP)].set_index("scorer")["estimate"]
        assert row["cheap"] == cheap.abs().idxmax()
        assert row["cheap_rho"] == cheap[row["cheap"]]
        raters = rows(name, **place, scorer="raters").set_index("measure")["estimate"]
        np.testing.assert_equal([row["icc1"], row["icck"], row["alpha"], row["ceiling"]], list(raters))
        assert bool(row["no_ceiling"]) == math.isnan(row["ceiling"])
        assert row["no_ceiling"].startswith("no ceiling" if math.isnan(row["ceiling"]) else "")


def test_rating_rows_never_mix_panels() -> None:
    found = {
        (row["criterion"], row["panel"], row["level"]): row["rho"]
        for row in rating_rows(FOUND.table, FOUND.meta, "mine")
    }
    assert len(found) == 8
    assert found["creativity", "expert", "group"] != found["creativity", "lay", "group"]
    lay = FOUND.table[FOUND.table["panel"] != "lay"]
    alone = rating_rows(lay, FOUND.meta, "mine")
    assert {row["panel"] for row in alone} == {"expert"}
    assert all(found[row["criterion"], row["panel"], row["level"]] == row["rho"] for row in alone)


def test_a_set_that_was_not_measured_has_no_rows() -> None:
    assert rating_rows(FOUND.table.head(0), FOUND.meta, "ttcw") == []
    assert rating_rows(FOUND.table, FOUND.meta, "other") == []
    assert rating_rows(FOUND.table, {}, "ttcw") == []


def test_pairs_turn_cheap_scorers_to_their_better_sign_with_their_interval() -> None:
    found = {row["scorer"]: row for row in pair_rows(FOUND.table, FOUND.meta, "lamp")}
    assert list(found) == ["direction", *CHEAP]
    table = rows("lamp", measure="accuracy").set_index("scorer")
    assert found["direction"]["accuracy"] == table["estimate"]["direction"] == 0.41, "the direction is never turned"
    assert not found["direction"]["flipped"]
    length = found["length"]
    assert (length["said"], length["flipped"]) == ("shorter", True)
    assert length["accuracy"] == pytest.approx(1 - table["estimate"]["length"]) == pytest.approx(0.65)
    assert (length["low"], length["high"]) == (1 - table["high"]["length"], 1 - table["low"]["length"])
    assert (found["surprisal"]["said"], found["surprisal"]["accuracy"]) == ("more surprising", 0.62)
    assert length["lead"] == rows("lamp", measure="accuracy lead", scorer="length")["estimate"][0]
    assert pair_rows(FOUND.table, FOUND.meta, "ttcw") == []


# ---- depth ----


@pytest.mark.parametrize("name", PLANS)
def test_depth_has_the_tables_correlations_and_intervals(name: str) -> None:
    drawn = figure("depth", name)
    want = rows(name, scorer="direction", measure="rho").sort_values("layer")
    curve = traces(drawn, "direction of each layer (exploratory)")[0]
    assert list(curve.x) == list(range(8))
    for bars, column in ((np.array(curve.error_y.array), "high"), (-np.array(curve.error_y.arrayminus), "low")):
        np.testing.assert_allclose(np.array(curve.y) + bars, want[column])
    np.testing.assert_allclose(curve.y, want["estimate"])
    fixed = traces(drawn, "direction at the layer fixed in advance")[0]
    assert list(fixed.x) == [PRIMARY_LAYER]
    for scorer in CHEAP:
        line = traces(drawn, scorer)[0]
        assert set(line.y) == {rows(name, scorer=scorer, measure="rho")["estimate"][0]}
    looks = {(line.line.dash, line.marker.symbol) for scorer in CHEAP for line in traces(drawn, scorer)}
    assert len(looks) == len({dash for dash, _ in looks}) == len(CHEAP), "told apart without colour, twice"
    band = traces(drawn, "weaker than this set could have shown (80 % power)")[0]
    assert max(band.y) == -min(band.y) == want["detectable"].iloc[0]
    assert f"permutation p = {rows(name, measure='p max')['p'][0]:.2g}"[:21] in notes(drawn)


def test_depth_draws_the_ceiling_on_both_sides_or_says_why_there_is_none() -> None:
    ceiling = rows("hanna", scorer="raters", measure="ceiling")["estimate"][0]
    drawn = figure("depth", "hanna")
    lines = traces(drawn, "raters’ ceiling, ±√ICC(k)")
    assert sorted(line.y[0] for line in lines) == pytest.approx([-ceiling, ceiling])
    icck = rows("hanna", scorer="raters", measure="icck").iloc[0]
    hatched = [trace.y for trace in traces(drawn, "the ceiling’s 95 % interval")]
    assert sorted({abs(y) for ys in hatched for y in ys}) == pytest.approx([icck.low**0.5, icck.high**0.5])
    assert f"ceiling {ceiling:.2f}" in notes(drawn)
    for name, why in (
        ("ttcw", "No ceiling: the lower end of ICC(k) is"),
        ("ocsai", "No ceiling: single ratings are not"),
    ):
        drawn = figure("depth", name)
        assert not traces(drawn, "raters’ ceiling, ±√ICC(k)")
        assert why in notes(drawn)


def test_depth_marks_the_layer_that_was_fixed_wherever_it_is() -> None:
    for layer in (0, 7):
        moved = FakeValidation(FOUND.table, FOUND.texts, FOUND.meta | {"primary_layer": layer})
        fixed = traces(figure("depth", "ttcw", moved), "direction at the layer fixed in advance")[0]
        want = rows("ttcw", scorer="direction", measure="rho", layer=layer)["estimate"][0]
        assert (fixed.x[0], fixed.y[0]) == (layer, want)


def test_depth_has_a_row_of_panels_per_panel_of_raters() -> None:
    drawn = figure("depth", "mine")
    assert drawn.layout.meta["panels"] == 4
    for axis, panel in (("x", "expert"), ("x3", "lay")):
        curve = traces(drawn, "direction of each layer (exploratory)", axis)[0]
        want = rows("mine", panel=panel, scorer="direction", measure="rho").sort_values("layer")
        np.testing.assert_allclose(curve.y, want["estimate"])
    assert [note.text for note in drawn.layout.annotations if "panel" in note.text] == [
        "<b>Rank correlation ρ, panel expert</b>",
        "<b>Rank correlation ρ, panel lay</b>",
    ]


def test_beside_the_curve_every_scorer_stands_with_its_interval() -> None:
    drawn = figure("depth", "hanna")
    names = [trace.name for trace in drawn.data if trace.xaxis == "x2" and trace.error_x.array is not None]
    assert names == [f"direction, layer {PRIMARY_LAYER}", "the same, given length and surprisal", *CHEAP]
    for scorer in CHEAP:
        point, want = traces(drawn, scorer, "x2")[0], rows("hanna", scorer=scorer, measure="rho").iloc[0]
        assert point.x[0] == want.estimate
        assert point.x[0] + point.error_x.array[0] == pytest.approx(want.high)
        assert point.x[0] - point.error_x.arrayminus[0] == pytest.approx(want.low)
        assert f"<b>{correlation(want.estimate)}</b>" in notes(drawn)


# ---- scatter ----


def test_scatter_has_every_text_once_per_panel_of_raters() -> None:
    drawn = figure("scatter", "mine")
    for axis, panel in (("x", "expert"), ("x3", "lay")):
        texts = FOUND.texts.query(f"set == 'mine' and criterion == 'creativity' and panel == '{panel}'")
        point = next(trace for trace in drawn.data if trace.xaxis == axis)
        np.testing.assert_allclose(point.x, texts["score"], atol=6e-5)
        np.testing.assert_allclose(point.y, texts["rating"], atol=6e-5)
        centred = next(trace for trace in drawn.data if trace.xaxis == f"x{int(axis[1:] or 1) + 1}")
        means = texts.groupby("group")[["score", "rating"]].transform("mean")
        np.testing.assert_allclose(centred.x, texts["score"] - means["score"], atol=6e-5)
        np.testing.assert_allclose(centred.y, texts["rating"] - means["rating"], atol=6e-5)
        rho = rows("mine", panel=panel, scorer="direction", measure="rho", layer=PRIMARY_LAYER).iloc[0]
        assert f"ρ {with_ends(rho.estimate, rho.low, rho.high)}" in notes(drawn)


def test_authors_are_told_apart_by_symbol_where_they_are_few() -> None:
    drawn = figure("scatter", "ttcw")
    left = [trace for trace in drawn.data if (trace.xaxis or "x") == "x"]
    assert [trace.name for trace in left] == ["author 0", "author 1", "author 2"]
    assert len({trace.marker.symbol for trace in left}) == 3
    assert sum(len(trace.x) for trace in left) == 36


def test_a_crowd_is_thinned_to_a_sample_that_is_the_same_each_time_and_said() -> None:
    drawn = figure("scatter", "ocsai")
    assert len(drawn.data) == 1, "answers about different objects are not compared as they are"
    point = drawn.data[0]
    assert len(point.x) == len(point.y) == len(point.hovertext) == MOST_POINTS
    texts = within(FOUND.texts[FOUND.texts["set"] == "ocsai"], "group")
    there = set(zip(texts["score"].round(4), texts["rating"].round(4), strict=True))
    assert set(zip(point.x, point.y, strict=True)) <= there
    assert point.x == figure("scatter", "ocsai").data[0].x
    assert "a random 1,200 of 4,040 texts are drawn" in notes(drawn)
    assert len(drawn.to_json()) < 150_000


def test_a_group_of_one_text_has_no_place_within_groups() -> None:
    frame = pd.DataFrame({"item": list("abcde"), "group": list("xxyzz"), "author": list("mnmnm")})
    frame = frame.assign(score=[1.0, 3.0, 9.0, 2.0, 6.0], rating=[2.0, 4.0, 9.0, 1.0, 1.0])
    found = within(frame, "group")
    assert list(found["item"]) == ["a", "b", "d", "e"]
    assert list(found["score"]) == [-1.0, 1.0, -2.0, 2.0]
    assert list(found["rating"]) == [-1.0, 1.0, 0.0, 0.0]


def test_a_group_of_equal_ratings_is_not_drawn_since_it_does_not_count() -> None:
    texts = FOUND.texts.query("set == 'lamp'")
    spread = texts.groupby("group")["rating"].transform("nunique") > 1
    assert 0 < (~spread).sum() < len(texts)
    drawn = figure("scatter", "lamp")
    centred = next(trace for trace in drawn.data if trace.xaxis == "x2")
    assert len(centred.x) == spread.sum() == 2 * rows("lamp", scorer="direction", measure="rho")["groups"].max()


def test_two_factors_leave_the_residuals_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"group": rng.choice(list("abc"), 40), "author": rng.choice(list("xyz"), 40)})
    frame = frame.assign(
        item=[str(place) for place in range(40)], score=rng.normal(size=40), rating=rng.normal(size=40)
    )
    design = pd.get_dummies(frame[["group", "author"]]).to_numpy(float)
    residual = frame["score"] - design @ np.linalg.lstsq(design, frame["score"].to_numpy(), rcond=None)[0]
    np.testing.assert_allclose(within(frame, "group and author")["score"], residual, atol=1e-9)


# ---- calibration ----


def test_calibration_bins_hold_every_text_once_and_their_means() -> None:
    texts = FOUND.texts.query("set == 'hanna' and criterion == 'surprise'")
    found = calibration(texts)
    assert len(found) == 10
    assert found["n"].sum() == len(texts)
    assert np.average(found["estimate"], weights=found["n"]) == pytest.approx(texts["rating"].mean())
    lowest = texts[texts["percentile"] <= found["to"][0]]
    assert found["estimate"][0] == pytest.approx(lowest["rating"].mean())
    drawn = figure("calibration", "hanna")
    np.testing.assert_allclose(traces(drawn, "mean of the texts that score alike")[0].y, found["estimate"])


def test_calibration_interval_is_students_where_every_text_is_a_group() -> None:
    rng = np.random.default_rng(0)
    rating = rng.normal(size=150)
    frame = pd.DataFrame({"item": np.arange(150).astype(str), "group": np.nan, "percentile": np.arange(150.0)})
    found = calibration(frame.assign(rating=rating))
    assert len(found) == 5
    low, high = stats.t.interval(0.95, 29, rating[:30].mean(), stats.sem(rating[:30]))
    assert (found["low"][0], found["high"][0]) == pytest.approx((low, high))
    copies = pd.concat([frame.assign(group=frame["item"], rating=rating)] * 2, ignore_index=True)
    twice = calibration(copies.sort_values("percentile"))
    # Ten bins of 30 rows, each of 15 texts said twice: no more is known than from 15 texts.
    low, high = stats.t.interval(0.95, 14, rating[:15].mean(), stats.sem(rating[:15]))
    assert (twice["low"][0], twice["high"][0]) == pytest.approx((low, high))
    few = calibration(frame.assign(rating=rating, group=(np.arange(150) % 7).astype(str)))
    pd.testing.assert_frame_equal(few, found)
    split = calibration(frame.assign(rating=rating, group=(np.arange(150) // 5).astype(str)))
    assert split["low"].isna().all(), "six groups of five texts a bin: no interval below 8"


def test_one_percentile_for_all_is_one_bin() -> None:
    texts = FOUND.texts.query("set == 'hanna' and criterion == 'surprise'").assign(percentile=100.0)
    assert list(calibration(texts)["n"]) == [288]


@pytest.mark.parametrize(("kind", "why"), [("calibration", "needs 100 rated texts"), ("criteria", "on 100 texts")])
def test_a_small_set_has_no_calibration_and_no_matrix(kind: str, why: str) -> None:
    for name in ("ttcw", "mine"):
        drawn = figure(kind, name)
        assert not drawn.data
        assert why in notes(drawn)
        assert "Not measured in this run" in notes(drawn)


# ---- criteria ----


def test_the_matrix_has_the_tables_correlations_and_the_raters_on_its_diagonal() -> None:
    drawn = figure("criteria", "hanna")
    criteria = PLANS["hanna"].criteria
    square, beside = drawn.data
    for place, one in enumerate(criteria):
        for other, name in enumerate(criteria):
            want = rows("hanna", criterion=name, scorer=f"criterion {one}", measure="rho")["estimate"][0]
            found = square.z[place][other]
            assert found is None if one == name else found == want
            assert one == name or square.text[place][other] == correlation(want)
        icck = rows("hanna", criterion=one, scorer="raters", measure="icck")["estimate"][0]
        assert square.text[place][place] == f"({icck:.2f})".replace("0.", ".")
    direction = [
        rows("hanna", criterion=name, scorer="direction", measure="rho", layer=PRIMARY_LAYER)["estimate"][0]
        for name in criteria
    ]
    length = [rows("hanna", criterion=name, scorer="length", measure="rho")["estimate"][0] for name in criteria]
    np.testing.assert_allclose(np.array(beside.z, dtype=float), [direction, length])
    assert tuple(drawn.layout.xaxis.ticktext) == criteria


# ---- pairs, overview ----


def test_pairs_are_drawn_beside_the_cheap_scorers() -> None:
    drawn = figure("pairs", "lamp")
    found = sorted(trace.x[0] for trace in drawn.data)
    assert found == pytest.approx([0.41, 0.5, 0.55, 0.62, 0.65, 0.7])
    assert any("the direction leads by −0.24 (−0.33 to −0.15)" in text for text in words(drawn))
    assert not figure("pairs", "hanna").data


def test_the_overview_has_the_one_number_of_each_set() -> None:
    drawn = rating_overview(FOUND.table, FOUND.meta)
    points = [trace.x[0] for trace in drawn.data if trace.name == "direction at the layer fixed in advance"]
    want = [rows(name, scorer="direction", measure="rho", layer=PRIMARY_LAYER)["estimate"][0] for name in PLANS]
    assert points == want
    assert notes(drawn).count("no ceiling") == 3
    assert not rating_overview(FOUND.table.head(0), FOUND.meta).data


# ---- all of them ----

# The sets that have most to draw of each kind.
BEST = {
    "depth": ("ttcw", "mine"),
    "pairs": ("lamp",),
    "scatter": ("ttcw", "mine"),
    "calibration": ("hanna", "ocsai"),
    "criteria": ("hanna",),
}


@pytest.mark.parametrize("kind", RATING_FIGURES)
def test_a_validation_that_was_read_back_draws_the_same(kind: str, tmp_path: Any) -> None:
    table, meta = FOUND.table.copy(deep=True), copy.deepcopy(FOUND.meta)
    drawn = [figure(kind, name) for name in BEST[kind]]
    assert all(each.data for each in drawn)
    pd.testing.assert_frame_equal(FOUND.table, table)
    assert FOUND.meta == meta
    FOUND.table.to_csv(tmp_path / "ratings.csv", index=False)
    back = FakeValidation(pd.read_csv(tmp_path / "ratings.csv"), FOUND.texts, json.loads(json.dumps(FOUND.meta)))
    assert [figure(kind, name, back).to_json() for name in BEST[kind]] == [each.to_json() for each in drawn]
    assert all(len(json.dumps(each.to_plotly_json()["layout"]["template"])) < 2000 for each in drawn)


@pytest.mark.parametrize("kind", [*RATING_FIGURES, "overview"])
def test_names_cannot_smuggle_markup_into_labels(kind: str) -> None:
    names = dict(zip(PLANS, HOSTILE.meta["sets"], strict=True))
    shown = words(rating_overview(HOSTILE.table, HOSTILE.meta)) if kind == "overview" else []
    for name in BEST.get(kind, ()):
        shown += words(figure(kind, names[name], HOSTILE))
    assert not [text for text in shown if re.search("<(img|i|/?script)", text)]
    assert not [text for text in shown if any(ord(letter) < 32 or letter in "\u202e\u2066" for letter in text)]
    assert [text for text in shown if "&lt;" in text], "the names are shown, escaped"


@pytest.mark.parametrize("kind", RATING_FIGURES)
@pytest.mark.parametrize(
    "missing",
    [
        "measure == 'rho'",
        "scorer == 'raters'",
        "measure == 'partial rho' or measure == 'p max'",
        "scorer in @CHEAP",
        "layer == 4",
    ],
)
def test_figures_survive_missing_rows(kind: str, missing: str) -> None:
    left = FOUND.table.drop(FOUND.table.query(missing, local_dict={"CHEAP": CHEAP}).index)
    drawn = draw_ratings(kind, left, FOUND.texts, FOUND.meta, BEST[kind][-1])
    assert drawn.data or "Not measured in this run" in notes(drawn)
    drawn.to_json()


@pytest.mark.parametrize("kind", RATING_FIGURES)
def test_figures_survive_not_a_number(kind: str) -> None:
    table, texts = FOUND.table.copy(), FOUND.texts.copy()
    table.loc[::2, ["low", "high", "p", "detectable", "groups", "n"]] = np.nan
    table.loc[::3, "estimate"] = np.nan
    texts.loc[::2, ["percentile", "n_ratings"]] = np.nan
    texts.loc[::5, ["rating", "score"]] = np.nan
    texts.loc[::7, ["group", "author"]] = np.nan
    for name in BEST[kind]:
        draw_ratings(kind, table, texts, FOUND.meta, name).to_json()
    table["estimate"], texts["score"] = np.nan, np.nan
    for name in BEST[kind]:
        drawn = draw_ratings(kind, table, texts, FOUND.meta, name)
        assert not any(trace.type == "scatter" for trace in drawn.data)


@pytest.mark.parametrize("layers", [1, 20])
def test_depth_of_shallow_and_deep_models(layers: int) -> None:
    found = fake_ratings("ttcw", layers=layers)
    drawn = figure("depth", "ttcw", found)
    assert list(traces(drawn, "direction of each layer (exploratory)")[0].x) == list(range(layers))


def test_a_misspelt_figure_or_set_is_refused_and_the_nearest_offered() -> None:
    with pytest.raises(InputError, match=r"figure: expected one of depth, .*Did you mean 'scatter'\?"):
        figure("scater", "ttcw")
    with pytest.raises(InputError, match=r"set: expected one of ttcw, .*Did you mean 'hanna'\?"):
        figure("depth", "hana")


@pytest.mark.parametrize(
    ("value", "said"), [(0.4219, "0.42"), (-0.351, "−0.35"), (-0.001, "0.00"), (1.0, "1.00"), (None, "not measured")]
)
def test_a_correlation_has_two_digits(value: float | None, said: str) -> None:
    assert correlation(value) == said
    assert with_ends(value, -0.5, 0.75) == (said if value is None else f"{said} (−0.50 to 0.75)")


def test_short_names_are_one_line() -> None:
    assert short("two\nlines\u202eturned\x00", 40) == "two lines turned"
    assert len(short("x" * 100, 40)) == 40
