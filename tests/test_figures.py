"""The figures carry the numbers of the table they are drawn from, and say so when there are none."""

import json
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from fake_sweep import DOMAINS, STRENGTHS, fake_sweep

from creativity_lens.errors import InputError
from creativity_lens.figures import FIGURES, draw
from creativity_lens.figures.rows import number, reading, select
from creativity_lens.figures.style import VERMILLION

TABLE, _, RUN = fake_sweep()


def rows(stage: str, condition: str, measure: str, concept: str = "creativity") -> pd.DataFrame:
    """The reference: plain pandas, not the package's own selection."""
    wanted = (TABLE["stage"] == stage) & (TABLE["condition"] == condition) & (TABLE["measure"] == measure)
    return TABLE[wanted & (TABLE["concept"] == concept)].sort_values(["layer", "strength"]).reset_index(drop=True)


def traces(figure: go.Figure, *, axis: str = "x", error: str = "error_y") -> list[Any]:
    """The traces of one panel that carry intervals."""
    return [trace for trace in figure.data if (trace.xaxis or "x") == axis and trace[error].array is not None]


def points(figure: go.Figure, *, axis: str = "x") -> pd.DataFrame:
    found = [
        {"x": x, "y": y, "high": y + up, "low": y - down, "said": said, "name": trace.name}
        for trace in traces(figure, axis=axis)
        for x, y, up, down, said in zip(
            trace.x, trace.y, trace.error_y.array, trace.error_y.arrayminus, trace.hovertext, strict=True
        )
    ]
    return pd.DataFrame(found).sort_values("x", ignore_index=True)


def frames(figure: go.Figure, colour: str) -> list[tuple[float, float]]:
    """Centres of the frames of a colour."""
    shapes = [shape for shape in figure.layout.shapes if shape.type == "rect" and shape.line.color == colour]
    return [((shape.x0 + shape.x1) / 2, (shape.y0 + shape.y1) / 2) for shape in shapes]


def words(figure: go.Figure) -> list[str]:
    """Every text of a figure that plotly reads as its small HTML: labels, names, hover texts, notes, titles."""
    found = [note.text for note in figure.layout.annotations] + [figure.layout.title.text]
    for trace in figure.data:
        for part in (trace.name, trace.hovertext, getattr(trace, "text", None), trace.x, trace.y):
            found += [text for text in np.ravel(np.array(part, dtype=object)) if isinstance(text, str)]
    return found


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_draws_and_leaves_its_input_alone(name: str) -> None:
    table, run = TABLE.copy(deep=True), json.loads(json.dumps(RUN))
    figure = draw(name, TABLE, RUN)
    assert len(figure.data) > 0
    assert figure.layout.title.text
    template = figure.to_plotly_json()["layout"]["template"]
    assert "data" not in template, "plotly's own defaults are 7 kB of trace styles"
    assert len(json.dumps(template)) < 2000
    pd.testing.assert_frame_equal(TABLE, table)
    assert run == RUN


def test_a_misspelt_figure_is_refused_and_the_nearest_offered() -> None:
    with pytest.raises(InputError, match=r"figure: expected one of depth, .*got 'dept'\. Did you mean 'depth'\?"):
        draw("dept", TABLE, RUN)


def test_depth_curve_has_the_tables_gains_and_intervals() -> None:
    found, want = points(draw("depth", TABLE, RUN)), rows("test", "layer", "gain")
    for column, reference in (("x", "layer"), ("y", "estimate"), ("low", "low"), ("high", "high")):
        np.testing.assert_allclose(found[column], want[reference].astype(float))
    assert all("n = 32 prompts" in said and "gaps" in said for said in found["said"])


def test_depth_curve_against_kl_has_the_measured_kl() -> None:
    figure = draw("depth", TABLE, RUN)
    found = points(figure, axis="x2")
    want = rows("test", "layer", "kl")["estimate"].to_numpy()
    np.testing.assert_allclose(found["x"], np.sort(want))
    np.testing.assert_allclose(found["y"], rows("test", "layer", "gain")["estimate"].to_numpy()[np.argsort(want)])


def test_without_kl_on_test_the_screening_of_the_same_cell_is_used() -> None:
    table = TABLE[~((TABLE["stage"] == "test") & (TABLE["measure"] == "kl"))]
    screen = rows("screen", "steered", "kl")
    strengths = {int(layer): strength for layer, strength in RUN["choice"]["per_layer_strength"].items()}
    want = screen[[strengths[row.layer] == row.strength for row in screen.itertuples()]]["estimate"]
    np.testing.assert_allclose(points(draw("depth", table, RUN), axis="x2")["x"], np.sort(want))


def test_depth_curve_tells_apart_the_confidence_set_and_the_layers_never_up_for_choice() -> None:
    names = points(draw("depth", TABLE, RUN)).set_index("x")["name"]
    for layer, name in names.items():
        best, never = layer in RUN["layer_set"]["confidence_set"], layer in RUN["drawn_only"]
        want = "drawn, not up for choice" if never else "in the confidence set of layers" if best else "other layers"
        assert name == want, layer


def test_the_chosen_layer_is_ringed_wherever_it_is() -> None:
    for layer in (2, 5):
        run = RUN | {"choice": RUN["choice"] | {"layer": layer}}
        rings = [trace for trace in draw("depth", TABLE, run).data if trace.name == "chosen on dev prompts"]
        assert tuple(rings[0].x) == (layer,)


def test_the_band_is_the_controls_quantiles() -> None:
    controls = rows("test", "band", "gain").groupby("layer")["estimate"]
    figure = draw("depth", TABLE, RUN)
    wide, narrow = (trace for trace in figure.data if trace.fill == "toself")
    for trace, low, high in ((wide, 0.05, 0.95), (narrow, 0.25, 0.75)):
        half = len(trace.y) // 2
        np.testing.assert_allclose(trace.y[:half], controls.quantile(low))
        np.testing.assert_allclose(trace.y[half:][::-1], controls.quantile(high))
    middle = next(trace for trace in figure.data if trace.name == "controls: median")
    np.testing.assert_allclose(middle.y, controls.quantile(0.5))
    assert all("19 controls" in said and "n = 16 prompts" in said for said in middle.hovertext)
    flips = next(trace for trace in figure.data if "label flips" in str(trace.name))
    np.testing.assert_allclose(np.sort(flips.y), np.sort(rows("test", "flip", "gain")["estimate"]))


def test_the_positive_control_is_its_own_concept_on_the_same_axis() -> None:
    control, depth = draw("control", TABLE, RUN), draw("depth", TABLE, RUN)
    np.testing.assert_allclose(points(control)["y"], rows("test", "layer", "gain", "register")["estimate"])
    assert control.layout.yaxis.range == depth.layout.yaxis.range == control.layout.yaxis2.range
    higher = TABLE.copy()
    higher.loc[(higher["concept"] == "register") & (higher["measure"] == "gain"), ["estimate", "high"]] += 3
    assert draw("depth", higher, RUN).layout.yaxis.range[1] > 3


def test_the_map_has_the_tables_quality_and_frames_the_choice() -> None:
    figure, want = draw("map", TABLE, RUN), rows("dev", "steered", "quality")
    heat = figure.data[0]
    np.testing.assert_allclose(
        np.array(heat.z, dtype=float), want.pivot(index="strength", columns="layer", values="estimate")
    )
    choice = RUN["choice"]
    assert frames(figure, VERMILLION) == [pytest.approx((choice["layer"], STRENGTHS.index(choice["strength"])))]
    said = heat.hovertext[STRENGTHS.index(choice["strength"])][choice["layer"]]
    assert "n = 16 prompts" in said
    assert all(part in said for part in ("gain", "coherence", "faithfulness", "leak", "kl", "gaps", "share"))
    moved = RUN | {"choice": choice | {"layer": 5, "strength": 0.05}}
    assert frames(draw("map", TABLE, moved), VERMILLION) == [pytest.approx((5, 0))]


def test_two_methods_get_a_map_each_and_only_the_chosen_methods_is_framed() -> None:
    other = TABLE[(TABLE["stage"] == "dev")].assign(method="first_component")
    figure = draw("map", pd.concat([TABLE, other]), RUN)
    assert len(figure.data) == 2
    framed = [shape.xref for shape in figure.layout.shapes if shape.line.color == VERMILLION and shape.type == "rect"]
    assert framed == ["x"]
    assert "mean difference" in figure.layout.annotations[0].text


def test_tradeoff_has_one_point_per_cell_and_everything_that_stands_beside() -> None:
    figure = draw("tradeoff", TABLE, RUN)
    cells = [trace for trace in figure.data if trace.name.startswith("dev") and trace.hovertext is not None]
    found = sorted((x, y) for trace in cells for x, y in zip(trace.x, trace.y, strict=True))
    gain, kept = rows("dev", "steered", "gain"), rows("dev", "steered", "coherence")
    np.testing.assert_allclose(found, sorted(zip(kept["estimate"], gain["estimate"], strict=True)))
    for name, condition in (("the chosen cell", "chosen"), ("a “be creative” prompt", "prompted")):
        trace = next(trace for trace in figure.data if name in trace.name)
        gain, kept = rows("test", condition, "gain").iloc[0], rows("test", condition, "coherence").iloc[0]
        assert (trace.x[0], trace.y[0]) == (kept["estimate"], gain["estimate"])
        assert trace.y[0] + trace.error_y.array[0] == pytest.approx(gain["high"])
        assert trace.x[0] - trace.error_x.arrayminus[0] == pytest.approx(kept["low"])
        assert "n = 32 prompts" in trace.hovertext[0]
    heat = next(trace for trace in figure.data if "temperature" in trace.name)
    assert list(heat.text) == ["T 0.7", "T 0.9", "T 1.1", "T 1.3", "T 1.5"]
    np.testing.assert_allclose(heat.y, rows("test", "temperature", "gain").sort_values("temperature")["estimate"])


def test_readout_has_the_directions_and_their_controls() -> None:
    figure = draw("readout", TABLE, RUN)
    named = {(trace.name, trace.xaxis): trace for trace in figure.data}
    auc = rows("readout", "direction", "auc")
    mean = named["mean difference", "x"]
    np.testing.assert_allclose(mean.y, auc[auc["method"] == "mean_difference"]["estimate"])
    assert all("n = 24 topics" in said and "share" in said for said in mean.hovertext)
    np.testing.assert_allclose(named["labels shuffled", "x"].y, rows("readout", "shuffled", "auc")["estimate"])
    assert tuple(named["token embeddings (layer −1)", "x"].x) == (-1,)
    assert set(named["tf-idf of the words", "x2"].y) == {rows("readout", "tfidf", "paired_accuracy")["estimate"][0]}
    np.testing.assert_allclose(
        named["margin on dev pairs", "x4"].y, rows("readout", "direction", "dev_margin")["estimate"]
    )


def test_transfer_has_a_row_per_domain_and_kind() -> None:
    heat = draw("transfer", TABLE, RUN).data[0]
    want = rows("readout", "left_out_domain", "auc").pivot(index="group", columns="layer", values="estimate")
    for row, label in enumerate(heat.y):
        if label == "left out: poetry":
            np.testing.assert_allclose(np.array(heat.z[row], dtype=float), want.loc["poetry"].astype(float))
    assert len(heat.y) == len(DOMAINS) + 1


def test_nuisance_has_cosines_and_the_gain_left() -> None:
    figure = draw("nuisance", TABLE, RUN)
    cosines = rows("readout", "nuisance", "cosine")
    register = next(trace for trace in figure.data if trace.name == "register")
    np.testing.assert_allclose(register.y, cosines[cosines["group"] == "register"]["estimate"])
    left = {trace.y[0]: trace.x[0] for trace in traces(figure, axis="x2", error="error_x")}
    want = rows("test", "nuisance_removed", "gain_left").set_index("group")["estimate"]
    assert left["without register"] == want["register"]
    assert left["nothing removed"] == rows("test", "chosen", "gain")["estimate"][0]


def test_dose_units_are_the_same_push() -> None:
    figure = draw("dose", TABLE, RUN)
    own = {trace.xaxis: np.array(trace.y) for trace in figure.data if trace.legendgroup == "dev"}
    norms = rows("readout", "direction", "residual_norm")["estimate"].to_numpy()
    gaps = rows("readout", "direction", "gap")["estimate"].to_numpy()
    np.testing.assert_allclose(own["x"], [RUN["choice"]["per_layer_strength"][str(layer)] for layer in range(8)])
    np.testing.assert_allclose(own["x3"], own["x"] * norms)
    np.testing.assert_allclose(own["x2"] * gaps, own["x3"])


def test_leak_stands_beside_the_gain_as_reported() -> None:
    found = points(draw("leak", TABLE, RUN))
    leak = found[found["name"].str.startswith("leak")]
    np.testing.assert_allclose(leak["high"], rows("test", "layer", "leak")["high"])
    gain = found[found["name"].str.startswith("gain")]
    np.testing.assert_allclose(gain["y"], rows("test", "layer", "gain")["estimate"])


@pytest.mark.parametrize("name", FIGURES)
def test_a_table_that_was_read_back_draws_the_same(name: str, tmp_path: Any) -> None:
    TABLE.to_csv(tmp_path / "sweep.csv", index=False)
    back = pd.read_csv(tmp_path / "sweep.csv")
    assert draw(name, back, json.loads(json.dumps(RUN))).to_json() == draw(name, TABLE, RUN).to_json()


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize(
    "missing",
    [
        "stage in ('dev', 'test')",
        "stage == 'readout'",
        "condition in ('band', 'flip', 'nuisance', 'nuisance_removed', 'token_embeddings', 'tfidf', 'shuffled')",
        "concept == 'register' or measure in ('kl', 'coherence', 'gap')",
        "concept == concept",
    ],
)
def test_figures_survive_missing_parts(name: str, missing: str) -> None:
    left = TABLE.drop(TABLE.query(missing).index)
    figure = draw(name, left, RUN)
    assert figure.data or "Not measured in this run" in figure.layout.annotations[0].text
    figure.to_json()


@pytest.mark.parametrize("name", FIGURES)
def test_figures_survive_a_run_that_chose_nothing(name: str) -> None:
    for run in ({key: RUN[key] for key in ("drawn_only", "model")}, {}):
        assert draw(name, TABLE, run).data or name == "control"


@pytest.mark.parametrize("name", FIGURES)
def test_figures_survive_not_a_number(name: str) -> None:
    table = TABLE.astype({"n": float})
    table.loc[::2, ["low", "high", "n"]] = np.nan
    table.loc[::3, ["estimate"]] = np.nan
    draw(name, table, RUN).to_json()
    table["estimate"] = np.nan
    if name != "dose":  # the residual norms are also in the run
        assert not draw(name, table, RUN).data


@pytest.mark.parametrize("name", FIGURES)
def test_figures_survive_lacking_columns(name: str) -> None:
    draw(name, TABLE.drop(columns=["note", "temperature", "group", "control", "low", "high"]), RUN).to_json()


@pytest.mark.parametrize("layers", [1, 20])
@pytest.mark.parametrize("name", FIGURES)
def test_figures_of_shallow_and_deep_models(name: str, layers: int) -> None:
    table, _, run = fake_sweep(layers=layers)
    assert draw(name, table, run).data


@pytest.mark.parametrize("name", FIGURES)
def test_names_cannot_smuggle_markup_into_labels(name: str) -> None:
    evil = "<img src=x onerror=alert(1)>"
    table = TABLE.copy()
    table["group"] = table["group"].where(table["group"].isna(), evil)
    table["unit"], table["note"] = evil, evil
    table["concept"] = table["concept"].replace("creativity", evil)
    figure = draw(name, table, RUN | {"concept": evil})
    assert not [text for text in words(figure) if "<img" in text]
    assert [text for text in words(figure) if "&lt;img" in text], "the names are shown, escaped"


def test_select_keeps_what_could_not_be_measured() -> None:
    table = TABLE.copy()
    table.loc[(table["stage"] == "test") & (table["condition"] == "layer") & (table["layer"] == 4), "estimate"] = np.nan
    frame = select(table, concept="creativity", stage="test", condition="layer", measure="gain")
    assert len(frame) == 8
    assert reading(list(frame.itertuples())[4], of="prompts").startswith("not measured")


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.4219, "0.42"), (-12.34, "−12.3"), (0.00312, "0.0031"), (157.4, "157"), (0.0, "0.00"), (0.025, "0.025")],
)
def test_number(value: float, said: str) -> None:
    assert number(value) == said


def test_number_says_what_is_no_number() -> None:
    assert number(None) == number(float("nan")) == "not measured"
    assert number(float("inf")) == "infinite"
