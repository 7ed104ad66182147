"""The figures of an audit carry the numbers of its table, look alike in all figures, and say what was not measured."""

import io
import json
import math
import re
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from fake_audit import ATTRIBUTES, FakeAudit, fake_audit
from scipy import stats

from creativity_lens.errors import InputError
from creativity_lens.figures import AUDIT_FIGURES, draw_audit
from creativity_lens.figures.audit_creativity import MOST_POINTS, centred
from creativity_lens.figures.audit_personas import counted_values
from creativity_lens.figures.audit_rows import conditions_of, faint, of_part, own_conditions, prompts_of
from creativity_lens.figures.audit_spread import MEASURES

FOUND = fake_audit()
LADDER = fake_audit(stages=("base", "sft", "dpo", "rl"), steered=True, temperatures=(0.7, 1.3))
HOSTILE = fake_audit(hostile=True, steered=True, temperatures=(1.3,))
CELLS = ["base plain", "base template", "aligned plain", "aligned template"]
PARTS_OF = {
    "effects": "effects", "steps": "steps", "spread": "diversity", "lexical": "diversity", "entropy": "entropy",
    "clusters": "clusters", "similarity": "similarity", "attractors": "attractors", "stretches": "stretches",
    "frontier": "frontier", "readers": "readers",
}  # fmt: skip


@cache
def figure(name: str, found: FakeAudit = FOUND) -> go.Figure:
    return draw_audit(name, found.table, found.texts, found.meta)


def rows(part: str, found: FakeAudit = FOUND, **where: Any) -> pd.DataFrame:
    """The reference: plain pandas, not the package's own selection."""
    frame = found.table[found.table["part"] == part]
    for column, value in where.items():
        frame = frame[frame[column] == value]
    return frame.reset_index(drop=True)


def ends(trace: Any, along: str = "x") -> np.ndarray:
    """The points of a trace with the ends of their intervals, `[point, 3]`."""
    at, bars = np.array(trace[along], dtype=float), trace[f"error_{along}"]
    return np.stack([at, at - np.array(bars.arrayminus), at + np.array(bars.array)], 1)


def all_ends(traces: list[Any]) -> np.ndarray:
    """The points of several traces, the topmost first."""
    found = np.concatenate([np.column_stack([ends(trace), trace.y]) for trace in traces])
    return found[np.argsort(-found[:, 3], kind="stable"), :3]


def points(drawn: go.Figure, name: str, axis: str = "x") -> list[Any]:
    return [trace for trace in drawn.data if trace.name == name and (trace.xaxis or "x") == axis]


def words(drawn: go.Figure) -> list[str]:
    """Every text of a figure that plotly reads as its small HTML."""
    found = [note.text for note in drawn.layout.annotations] + [drawn.layout.title.text]
    for axis in (*drawn.select_xaxes(), *drawn.select_yaxes()):
        found += [axis.title.text or "", *(axis.ticktext or ())]
    for trace in drawn.data:
        for part in (trace.name, trace.hovertext, getattr(trace, "text", None)):
            found += [text for text in np.ravel(np.array(part, dtype=object)) if isinstance(text, str)]
    return found


def said(drawn: go.Figure) -> str:
    return " ".join(note.text.replace("<br>", " ") for note in drawn.layout.annotations)


# ---- what was not measured, and what cannot be trusted ----


@pytest.mark.parametrize("name", AUDIT_FIGURES)
def test_a_part_that_was_not_measured_says_so(name: str) -> None:
    empty = draw_audit(name, FOUND.table.head(0), FOUND.texts.head(0), {})
    assert not empty.data
    assert empty.layout.annotations[0].text.startswith("Not measured in this run: ")
    part = PARTS_OF.get(name)
    if part is not None:
        drawn = figure(name, FOUND.without(part))
        assert not drawn.data
        assert drawn.layout.title.text == empty.layout.title.text == figure(name).layout.title.text
    assert figure(name, LADDER if name == "steps" else FOUND).data, "the control: where it was measured it is drawn"


def test_an_unknown_name_is_refused_and_the_nearest_offered() -> None:
    with pytest.raises(InputError, match="entropy"):
        draw_audit("entrpy", FOUND.table, FOUND.texts, FOUND.meta)


@pytest.mark.parametrize("name", AUDIT_FIGURES)
def test_nothing_a_user_or_a_model_wrote_is_markup(name: str) -> None:
    own = re.compile(r"</?b>|<br>")
    drawn = figure(name, HOSTILE)
    texts = words(drawn)
    assert not [text for text in texts if re.search("[<>]", own.sub("", text))]
    assert not [text for text in texts if re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08]", text)]
    if drawn.data and name != "effects":  # where only measures are named
        assert any("&lt;" in text for text in texts), "the control: hostile names are drawn, escaped"


@pytest.mark.parametrize("name", AUDIT_FIGURES)
def test_without_intervals_no_bar_is_drawn(name: str) -> None:
    few = fake_audit(prompts=5, steered=True)
    table = few.table.assign(low=np.nan, high=np.nan)
    for trace in draw_audit(name, table, few.texts, few.meta).data:
        assert getattr(trace, "fill", None) is None, "no band"
        for bars in (getattr(trace, "error_x", None), getattr(trace, "error_y", None)):
            assert bars is None or bars.array is None


@pytest.mark.slow
@pytest.mark.parametrize("name", AUDIT_FIGURES)
def test_an_audit_that_was_read_back_draws_the_same(name: str) -> None:
    table = pd.read_csv(io.StringIO(FOUND.table.to_csv(index=False)))
    assert table["note"].isna().any(), "the control: empty fields come back as NaN"
    again = draw_audit(name, table, FOUND.texts, json.loads(json.dumps(FOUND.meta)))
    assert again.to_json() == figure(name).to_json()


# ---- looks ----


def test_conditions_differ_without_colour() -> None:
    for found in (FOUND, LADDER):
        looks = [each.look for each in conditions_of(found.meta) if each.kind != "temperature"]
        assert len({look.symbol for look in looks}) == len(looks)
        assert len({(look.colour, look.symbol, look.dash) for look in looks}) == len(looks)
    names = [each.said for each in conditions_of(HOSTILE.meta)]
    assert len(set(names)) == len(names), "long names are shortened where they agree, not where they differ"
    assert len({each.wrapped for each in conditions_of(HOSTILE.meta)}) == len(names)


def test_own_conditions_are_the_stages_as_they_are_used() -> None:
    assert [each.name for each in own_conditions(FOUND.meta)] == ["base plain", "aligned template"]
    assert [each.name for each in own_conditions(LADDER.meta)] == [
        *["base plain", "sft template", "dpo template", "rl template", "rl template, steered"]
    ]
    assert own_conditions({}) == []


def test_rows_are_read_whatever_stands_in_empty_fields() -> None:
    table = pd.DataFrame({"part": ["a", "a", "b"], "estimate": ["1", None, 2], "note": [float("nan"), "x\u202ey", ""]})
    found = of_part(table, "a")
    assert found["estimate"].tolist()[0] == 1.0
    assert math.isnan(found["estimate"][1])
    assert found["note"].tolist() == ["", "x y"]
    assert found["measure"].tolist() == ["", ""]
    assert of_part(table, "c").empty
    assert of_part(table.head(0), "a", measure="m").columns.tolist() == found.columns.tolist()


def test_small_words() -> None:
    assert faint("#ff0010", 0.25) == "rgba(255, 0, 16, 0.25)"
    assert prompts_of(pd.DataFrame({"n": [16.0, 24.0, np.nan]})) == "16 to 24"
    assert prompts_of(pd.DataFrame({"n": [np.nan]})) == ""


# ---- numbers ----


def test_spread_has_every_condition_within_and_across_with_its_intervals() -> None:
    drawn = figure("spread")
    for name, scope, twin in (
        ("within a prompt, all texts (primary)", "within", "all"),
        ("within a prompt, coherent texts", "within", "coherent"),
        ("across prompts, all texts", "across", "all"),
        ("across prompts, coherent texts", "across", "coherent"),
    ):
        want = rows("diversity", measure="semantic spread", scope=scope, twin=twin).set_index("condition").loc[CELLS]
        got = all_ends(points(drawn, name))
        np.testing.assert_allclose(got, want[["estimate", "low", "high"]].to_numpy())
    (primary,) = points(drawn, "within a prompt, all texts (primary)")
    heights = list(primary.y)
    assert heights == sorted(heights, reverse=True), "the first condition stands on top"


def test_lexical_and_semantic_stand_together_as_shares_of_the_first_value() -> None:
    drawn = figure("lexical")
    for measure in ("semantic spread", "EAD", "self-BLEU"):
        want = rows("diversity", measure=measure, scope="within", twin="all").set_index("condition")
        base = want["estimate"]["base plain"]
        at = {text.text.split("</b>")[0].removeprefix("<b>"): text.y for text in drawn.layout.annotations}[measure]
        (trace,) = points(drawn, "aligned template")
        below = [place for place, y in enumerate(trace.y) if y < at]
        np.testing.assert_allclose(
            ends(trace)[below[0]], want.loc["aligned template", ["estimate", "low", "high"]] / base
        )
    names = [note.text for note in drawn.layout.annotations if note.text.startswith("<b>") and note.xanchor == "left"]
    order = [re.sub("</?b>|,.*| \\(.*", "", name) for name in names[1:]]
    assert order == [measure for measure in MEASURES if measure in order]
    assert {"semantic spread", "EAD"} <= set(order)
    assert sum("primary" in name for name in names) == 1
    assert all(("higher: more alike" in name) == ("self-" in name or "largest" in name or "compression" in name)
               for name in names[1:])  # fmt: skip


def test_a_share_of_nothing_is_said_and_not_drawn() -> None:
    table = FOUND.table.copy()
    table.loc[(table["measure"] == "self-repetition") & (table["condition"] == "base plain"), "estimate"] = 0.0
    chosen = (table["measure"] == "self-BLEU") & (table["condition"] == "aligned template")
    table.loc[chosen, "estimate"] = 1000.0
    drawn = figure("lexical", replace(FOUND, table=table))
    assert "so there is no share" in said(drawn)
    assert "1 off the scale" in said(drawn)
    assert max(max(trace.x) for trace in drawn.data) < 10


def test_entropy_curves_are_the_tables_with_their_bands() -> None:
    drawn = figure("entropy")
    for axis, measure in (("x", "free entropy"), ("x2", "forced entropy")):
        for name in CELLS:
            want = rows("entropy", measure=measure, condition=name)
            want = want[want["position"].notna()].sort_values("position")
            (curve,) = [trace for trace in points(drawn, name, axis) if trace.hovertext is not None]
            np.testing.assert_allclose(curve.x, want["position"])
            np.testing.assert_allclose(curve.y, want["estimate"])
            (band,) = [t for t in drawn.data if t.fill and t.legendgroup == name and (t.xaxis or "x") == axis]
            np.testing.assert_allclose(band.y, [*want["high"], *want["low"][::-1]])
    dashes = {trace.name: trace.line.dash for trace in drawn.data if trace.hovertext is not None}
    assert dashes == {name: "dash" if "plain" in name else "solid" for name in CELLS}
    assert [trace.name for trace in drawn.data if trace.showlegend] == CELLS


def test_effects_are_the_tables_primary_first_each_in_its_own_panel() -> None:
    drawn = figure("effects")
    heads = [note.text for note in drawn.layout.annotations if note.xref.endswith("domain") and note.y == 1]
    measures = ["semantic spread", "free entropy", "forced entropy", "EAD", "surprisal"]
    assert heads == ["<b>semantic spread, primary</b>", *[f"<b>{each}</b>" for each in measures[1:]],
                     "<b>Shares of the total</b>"]  # fmt: skip
    assert drawn.layout.meta["panels"] == 6
    for panel, measure in enumerate(measures, start=1):
        axis = "x" if panel == 1 else f"x{panel}"
        want = rows("effects", measure=measure).set_index("condition")
        (total,) = points(drawn, "total", axis)
        np.testing.assert_allclose(ends(total)[0], want.loc["total", ["estimate", "low", "high"]].astype(float))
        (once,) = points(drawn, "in one format alone", axis)
        assert list(once.x) == list(want["estimate"][["weights, plain", "weights, template"]])
        (template,) = points(drawn, "template, mean of both orders", axis)
        (weights,) = points(drawn, "weights, mean of both orders", axis)
        assert template.x[0] + weights.x[0] == pytest.approx(total.x[0]), "the two add up"
    (shares,) = points(drawn, "template, mean of both orders", "x6")
    want = rows("effects", condition="template share").set_index("measure")["estimate"][measures]
    np.testing.assert_allclose(shares.x, want)


def test_a_share_of_a_total_that_may_be_nothing_is_left_out() -> None:
    table = FOUND.table.copy()
    shares = table["condition"].isin(["template share", "weights share"])
    table.loc[shares, ["estimate", "low", "high"]] = np.nan
    drawn = figure("effects", replace(FOUND, table=table))
    assert drawn.layout.meta["panels"] == 5
    assert "Shares" not in said(drawn)
    wide = FOUND.table.copy()
    wide.loc[shares, ["low", "high"]] = (-40.0, 90.0)
    axis = figure("effects", replace(FOUND, table=wide)).layout.xaxis6.range
    assert -3 < axis[0] < axis[1] < 4, "an interval without end does not press the shares together"


def test_one_format_has_a_total_and_nothing_else() -> None:
    drawn = figure("effects", fake_audit(formats=("plain",)))
    assert {trace.name for trace in drawn.data} == {"total"}


def test_steps_are_the_stages_in_their_order() -> None:
    drawn = figure("steps", LADDER)
    for measure, name in (("semantic spread", "semantic spread (primary)"), ("EAD", "EAD")):
        want = rows("steps", LADDER, measure=measure)
        assert want["condition"].tolist() == ["sft", "dpo", "rl"]
        got = all_ends(points(drawn, name))
        np.testing.assert_allclose(got, want[["estimate", "low", "high"]].to_numpy())
    assert "<b>dpo</b>, from sft" in said(drawn)
    assert "with two stages there is one step" in said(figure("steps"))


def test_similarity_shows_every_pair_and_the_floor_on_one_scale() -> None:
    drawn = figure("similarity")
    for trace, measure in zip(drawn.data, ("cosine", "floor"), strict=True):
        want = rows("similarity", measure=measure).pivot(index="condition", columns="against", values="estimate")
        np.testing.assert_allclose(np.array(trace.z, dtype=float), want.loc[CELLS, CELLS])
        assert trace.coloraxis == "coloraxis"
        assert trace.text[0][0] == f"{want.loc['base plain', 'base plain']:.2f}"
    many = figure("similarity", LADDER)
    assert many.layout.xaxis.ticktext == tuple(str(place) for place in range(1, 12))
    assert many.layout.yaxis.ticktext[3] == "4. sft template"


def test_readers_are_writers_down_and_readers_across() -> None:
    (trace,) = figure("readers").data
    want = rows("readers").pivot(index="condition", columns="against", values="estimate").loc[CELLS, CELLS]
    np.testing.assert_allclose(np.array(trace.z, dtype=float), want)
    assert not np.allclose(want, want.T), "the control: it matters who reads"
    assert "base plain wrote, aligned template reads" in trace.hovertext[0][3]
    many = figure("readers", LADDER)
    assert len(many.data[0].z) == 11
    assert len(many.data[0].z[0]) == 8, "only cells read"


def test_a_pair_that_was_not_measured_is_a_gap() -> None:
    table = FOUND.table
    gone = (table["part"] == "readers") & (table["condition"] == "base plain") & (table["against"] == "aligned plain")
    (trace,) = figure("readers", replace(FOUND, table=table[~gone])).data
    assert trace.z[0][2] is None
    assert trace.text[0][2] == "–"
    assert "not measured" in trace.hovertext[0][2]


def test_attractors_have_pull_rate_and_floor_over_the_forced_tokens() -> None:
    drawn = figure("attractors")
    for stage in ("base", "aligned"):
        for axis, measure, name in (
            ("x", "pull", stage),
            ("x2", "return rate", stage),
            ("x2", "return floor", f"floor of {stage}: texts of other prompts"),
        ):
            want = rows("attractors", measure=measure, condition=stage).sort_values("position")
            (line,) = points(drawn, name, axis)
            np.testing.assert_allclose(line.y, want["estimate"])
            np.testing.assert_allclose(np.array(line.y) + line.error_y.array, want["high"])
            np.testing.assert_allclose(line.x, want["position"], atol=0.5)
    assert {t.line.dash for t in drawn.data if "floor" in t.name} == {"dot"}
    table = FOUND.table.copy()
    gone = (table["part"] == "attractors") & (table["measure"] == "pull") & (table["condition"] == "base")
    table.loc[gone, ["estimate", "low", "high"]] = np.nan
    drawn = figure("attractors", replace(FOUND, table=table))
    assert not points(drawn, "base")
    assert "not measured: base" in said(drawn)


def test_stretches_and_clusters_are_the_tables() -> None:
    drawn = figure("stretches")
    for scope, name in (("within", "two texts of the same prompt"), ("across", "floor: of different prompts")):
        want = rows("stretches", scope=scope).set_index("condition").loc[CELLS, ["estimate", "low", "high"]]
        np.testing.assert_allclose(all_ends(points(drawn, name)), want)
    drawn = figure("clusters")
    for axis, measure in (("x", "clusters"), ("x2", "cluster entropy"), ("x3", "largest share")):
        want = rows("clusters", measure=measure).set_index("condition")["estimate"]
        for name in CELLS:
            (point,) = points(drawn, name, axis)
            assert point.x[0] == want[name]
    assert not [trace for trace in figure("clusters", LADDER).data if "T 1.3" in trace.name], "of fewer texts"


def test_frontier_has_both_intervals_the_ladder_as_a_line_and_steering_as_a_star() -> None:
    drawn = figure("frontier", LADDER)
    at = rows("frontier", LADDER).set_index(["measure", "condition"])
    for axis, measure in (("x", "coherence kept"), ("x2", "fidelity")):
        (point,) = points(drawn, "rl template, steered", axis)
        assert point.marker.symbol == "star"
        columns = ["estimate", "low", "high"]
        np.testing.assert_allclose(ends(point)[0], at.loc[(measure, "rl template, steered"), columns].astype(float))
        spread = at.loc[("semantic spread", "rl template, steered"), columns].astype(float)
        np.testing.assert_allclose(ends(point, "y")[0], spread)
        (ladder,) = points(drawn, "temperature of the last stage", axis)
        rungs = ["rl template, T 0.7", "rl template", "rl template, T 1.3"]
        np.testing.assert_allclose(ladder.x, [at["estimate"][measure, name] for name in rungs])
        np.testing.assert_allclose(ladder.y, [at["estimate"]["semantic spread", name] for name in rungs])
    assert [note.text for note in drawn.layout.annotations][2:5] == ["T 0.7", "T 1", "T 1.3"]
    assert not points(figure("frontier"), "temperature of the last stage")


def test_entropy_is_not_creativity_with_the_correlation_measured() -> None:
    drawn = figure("entropy_creativity")
    assert drawn.layout.title.text.startswith("Entropy is not creativity")
    want = rows("correlation", measure="entropy and creativity").set_index("condition")
    got = [trace for trace in drawn.data if trace.xaxis == "x2" and "of a prompt" in trace.name]
    np.testing.assert_allclose(all_ends(got), want.loc[CELLS, ["estimate", "low", "high"]].astype(float))
    own = FOUND.texts[FOUND.texts["condition"] == "base plain"]
    (cloud,) = points(drawn, "base plain")
    expected = own["entropy"] - own.groupby("prompt_id")["entropy"].transform("mean")
    assert len(cloud.x) == min(len(own), MOST_POINTS)
    full = centred(FOUND.texts, "base plain")
    np.testing.assert_allclose(full["entropy"], expected, atol=1e-12)
    assert full["creativity"].groupby(full["prompt_id"]).mean().abs().max() < 1e-12


def test_centring_takes_out_what_prompts_differ_in() -> None:
    """Planted: across prompts the two go together, within prompts they do not."""
    rng = np.random.default_rng(3)
    level = np.repeat(rng.normal(size=40) * 5, 25)
    texts = pd.DataFrame(
        {"condition": "c", "prompt_id": np.repeat([f"p{k}" for k in range(40)], 25), "text": "t"}
        | {"entropy": level + rng.normal(size=1000), "creativity": level + rng.normal(size=1000)}
    )
    assert stats.pearsonr(texts["entropy"], texts["creativity"])[0] > 0.9
    found = centred(texts, "c")
    assert abs(stats.pearsonr(found["entropy"], found["creativity"])[0]) < 0.1
    assert centred(texts.groupby("prompt_id").head(1), "c").empty, "one text has no distance to its own mean"


def test_map_panels_are_prompts_of_one_width() -> None:
    drawn = figure("map")
    assert drawn.layout.meta["panels"] == 6
    wide = {round(axis.range[1] - axis.range[0], 9) for axis in (*drawn.select_xaxes(), *drawn.select_yaxes())}
    assert len(wide) == 1, "a prompt whose texts stand closer must look closer"
    first = FOUND.texts[(FOUND.texts["prompt_id"] == "p00") & (FOUND.texts["condition"] == "base plain")]
    (cloud,) = points(drawn, "base plain")
    np.testing.assert_allclose(cloud.x, first["x"], atol=1e-4)
    low, high = drawn.layout.xaxis.range
    assert low < first["x"].min() < first["x"].max() < high
    several = {trace.name for trace in figure("map", LADDER).data}
    assert several == {"base plain", "sft template", "dpo template", "rl template", "rl template, steered"}


def test_personas_are_shares_that_add_up_to_one() -> None:
    drawn = figure("personas")
    assert drawn.layout.meta["panels"] == len(ATTRIBUTES)
    for axis, name in zip(("x", "x2", "x3", "x4"), ATTRIBUTES, strict=True):
        for place, condition in enumerate(("base plain", "aligned template")):
            bars = [
                (share, text, trace.name)
                for trace in drawn.data
                if (trace.xaxis or "x") == axis
                for share, y, text in zip(trace.x, trace.y, trace.text, strict=True)
                if y == -place
            ]
            counted = FOUND.meta["personas"]["attributes"][name][condition]
            most = max(count for _, count in counted)
            assert sum(share for share, _, _ in bars) == pytest.approx(1)
            assert bars[0][2] == "most frequent value"
            assert bars[0][0] == pytest.approx(most / sum(count for _, count in counted))
            assert bars[0][1] == next(value for value, count in counted if count == most)
            assert bars[-1][1] == "2 others"


def test_personas_that_could_not_be_parsed_say_their_rate() -> None:
    drawn = figure("personas", fake_audit(personas=False))
    assert "parse rate 0.00 of 64 (base plain); 0.00 of 64 (aligned template)" in said(drawn)
    assert "no personas were asked for" in said(draw_audit("personas", FOUND.table.head(0), FOUND.texts, {}))
    assert counted_values({"personas": {"attributes": {"name": {"a": []}}}}) == {}
