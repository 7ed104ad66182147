"""What the nouns show of themselves in a notebook: their numbers, everything escaped, no colour of their own."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from math import nan
from typing import Any

import numpy as np
import pytest
from fake_sweep import fake_sweep
from planted import planted
from yardsticks import by_hand

from creativity_lens.directions import mean_difference, with_dev_scores
from creativity_lens.gating import Gate
from creativity_lens.html_tables import html_note, html_table, html_text, with_interval
from creativity_lens.prompts import ContrastivePair
from creativity_lens.result import Sweep
from creativity_lens.scores import Generation
from creativity_lens.sides import Sides
from creativity_lens.statistics import Estimate

BAD = "<script>alert(1)</script>\"'&"


class Shown(HTMLParser):
    """What a browser would make of a fragment: its elements, the rows of its tables, and all of its text."""

    def __init__(self, noun: Any) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.rows: list[list[str]] = []
        self.text, self.inside = "", False
        self.source = noun if isinstance(noun, str) else noun._repr_html_()
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.inside:
            self.rows[-1][-1] += data


def pair(**changes: str) -> ContrastivePair:
    texts = {"neutral": "Write.", "creative": "Be odd.", "boring": "Be plain.", "creative_response": "A whale."}
    given = {"id": "sea", "topic": "sea", "domain": "story", "kind": "manner", "split": "dev"}
    return ContrastivePair(**(given | texts | {"boring_response": "A fish."} | changes))


def generation(**changes: Any) -> Generation:
    given = {"prompt_id": "p1", "seed": 3, "layers": (2, 3), "strength": 0.15, "method": "mean_difference"}
    given |= {"mode": "add", "temperature": 0.7, "text": "One.\nTwo.", "token_ids": tuple(range(400)), "probe": nan}
    return Generation(**(given | changes))


def sweep(**changes: Any) -> Sweep:
    table, texts, run = fake_sweep()
    return Sweep(table, texts, texts, run | {"concept": "creativity"} | changes, mean_difference(planted()[0]))


def nouns() -> dict[str, Any]:
    """One of each, with a hostile word wherever a user or a model may have written it."""
    activations, _ = planted()
    activations = replace(activations, source=replace(activations.source, model=BAD))
    directions = replace(mean_difference(activations), positive=BAD, method=BAD)
    texts = dict.fromkeys(("id", "topic", "domain", "neutral", "creative", "boring", "creative_response"), BAD)
    run = fake_sweep()[2]
    bad_run = {
        "concept": BAD,
        "model": run["model"] | {"name": BAD},
        "verdict": run["verdict"] | {"sentence": BAD},
    }
    hostile = sweep(**bad_run)
    hostile = replace(hostile, table=hostile.table.assign(concept=hostile.table["concept"].replace("creativity", BAD)))
    return {
        "pair": pair(**texts),
        "activations": activations,
        "directions": directions,
        "generation": generation(prompt_id=BAD, text=BAD),
        "sweep": hostile,
        "yardstick": replace(by_hand(), sides=Sides(BAD, "plain"), fitted=BAD),
        "gate": Gate(directions, 2, 0.5, BAD, None),
    }


@pytest.mark.parametrize("name", list(nouns()))
def test_what_users_wrote_stays_text(name):
    shown = Shown(nouns()[name])
    assert set(shown.tags) <= {"p", "b", "small", "table", "thead", "tbody", "tr", "th", "td"}
    assert {key for key, _ in shown.attributes} <= {"style", "scope"}
    assert BAD in shown.text, "it is shown, as it was written"
    assert "<script" not in shown.source


@pytest.mark.parametrize("name", list(nouns()))
def test_they_have_the_ink_and_the_paper_of_the_page(name):
    """A colour that is dark on light paper cannot be read on dark paper."""
    shown = Shown(nouns()[name])
    styles = {value for key, value in shown.attributes if key == "style"}
    assert not [style for style in styles if re.search("colou?r|background|#|rgb", style or "")]
    assert len(shown.source) < 12_000
    assert len({len(row) for row in shown.rows}) <= 2, "each table's rows have as many cells as its head"


@pytest.mark.parametrize("name", list(nouns()))
def test_in_a_list_they_are_short(name):
    assert len(repr(nouns()[name])) < 250 + 10 * len(BAD)
    assert "\n" not in repr(nouns()[name])
    assert "tensor" not in repr(nouns()[name])


def test_a_pair_has_its_sides_side_by_side():
    shown = Shown(pair())
    assert shown.rows[0] == ["", "creative", "boring"]
    assert shown.rows[1:] == [["instruction", "Be odd.", "Be plain."], ["response", "A whale.", "A fish."]]
    assert shown.text.endswith("Neutral instruction: Write.")
    assert repr(pair()) == "ContrastivePair('sea', manner, split dev)"


def test_activations_say_how_far_the_sides_are_apart():
    activations, _ = planted()
    rows = Shown(activations).rows[1:]
    apart = (activations.creative - activations.boring).mean(1).norm(dim=-1)
    assert [row[0] for row in rows] == ["0", "2", "5"]
    assert [float(row[2]) for row in rows] == pytest.approx(apart.tolist(), rel=1e-3)
    shares = (apart / activations.residual_norms).tolist()
    assert [float(row[3]) for row in rows] == pytest.approx(shares, abs=0.006)


def test_directions_show_what_was_recorded_on_dev():
    directions = mean_difference(planted()[0])
    bare = Shown(directions)
    assert bare.rows[0] == ["layer", "gap", "median residual norm"]
    assert [float(row[1]) for row in bare.rows[1:]] == pytest.approx(directions.gaps.tolist(), rel=1e-3)
    told = Shown(with_dev_scores(directions, [("auc@2", 0.75), ("auc_low@2", 0.5), ("auc_high@2", 1.0)]))
    assert told.rows[2][-1] == "0.75 (0.50 to 1.00)"
    assert told.rows[1][-1] == "not measured"
    assert "more creative" in told.text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "layers 2-3, strength 0.15, seed 3, temperature 0.7"),
        ({"layers": (), "mode": "none", "strength": 0.0}, "unsteered, seed 3, temperature 0.7"),
        ({"layers": (4,), "mode": "ablate"}, "layer 4, ablated, seed 3, temperature 0.7"),
        ({"layers": (4,), "mode": "clamp"}, "layer 4, held at 0.15, seed 3, temperature 0.7"),
    ],
)
def test_a_generation_says_what_it_was_written_under(changes, said):
    text = generation(**changes)
    assert text.condition == said
    assert said in Shown(text).text
    assert "One.\nTwo." in Shown(text).text
    assert repr(text) == f"Generation({said}, 400 tokens: 'One.\\nTwo.')"


def test_a_sweep_shows_its_verdict_and_marks_the_chosen_layer():
    found = sweep()
    shown = Shown(found)
    assert found.sentence in shown.text
    for part in found.run["verdict"]["parts"]:
        assert part["question"] in shown.text
        assert part["needed"] in shown.text
    marked = [row for row in shown.rows if "(chosen)" in row[0]]
    assert [row[0] for row in marked] == [f"{found.run['choice']['layer']} (chosen)"]
    layers = found.layers
    assert layers["layer"].tolist() == found.run["layers"]
    assert layers.loc[layers["chosen"], "layer"].tolist() == [found.run["choice"]["layer"]]
    chosen = layers[layers["chosen"]].iloc[0]
    assert marked[0][3] == with_interval(chosen["gain"], chosen["gain_low"], chosen["gain_high"], sign="+")


def test_a_screening_shows_that_nothing_was_claimed():
    said = {"outcome": "not enough evidence", "sentence": "Only screened.", "parts": []}
    whole = sweep(choice=None, verdict=said)
    screened = replace(whole, table=whole.table[whole.table["stage"] != "test"])
    shown = Shown(screened)
    assert "Only screened." in shown.text
    assert shown.tags.count("table") == 1
    assert not screened.layers["chosen"].any()
    assert {row[3] for row in shown.rows[1:]} == {"not measured"}


def test_a_yardstick_shows_its_unit_and_what_it_is_held_against():
    shown = Shown(by_hand())
    assert "odd (above 0) against plain" in shown.text
    cells = dict(row[:2] for row in shown.rows[1:])
    assert cells["layer"] == "2 of 8"
    assert cells["one gap"].startswith(f"{by_hand().whole.value:.2f} residual units"), "few topics, no interval"
    assert cells["dev responses"].startswith("4 of 2 topics")
    assert cells["test responses"].startswith("6 of 3 topics")


def test_a_gate_says_how_it_was_judged():
    directions = mean_difference(planted()[0])
    assert "given by hand" in Shown(Gate(directions, 2, 0.5, "a.safetensors", None)).text
    judged = Shown(Gate(directions, 2, 0.5, "a.safetensors", Estimate(0.75, 0.5, 1.0, 12, "share"))).text
    assert "0.75 (0.50 to 1.00) of the test requests right, 12 topics" in judged


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((0.5,), "0.50"),
        ((0.5, 0.25, 0.75), "0.50 (0.25 to 0.75)"),
        ((0.5, nan, nan), "0.50"),
        ((0.025,), "0.025"),
        ((-0.001, -0.1, 0.1), "-0.001 (-0.100 to 0.100)"),
        ((nan,), "not measured"),
        ((None,), "not measured"),
        ((np.float64(0.0),), "0.00"),
    ],
)
def test_numbers_are_said_with_their_interval(numbers, said):
    assert with_interval(*numbers) == said


def test_the_pieces():
    shown = Shown(html_table("A & b", ["x", "y"], [["<1", "2"], ["3", "4"]], "5 > 4"))
    assert shown.tags[:4] == ["p", "b", "table", "thead"]
    assert shown.rows[:2] == [["x", "y"], ["<1", "2"]]
    assert shown.text.startswith("A & b")
    assert shown.text.endswith("5 > 4")
    assert html_note("") == ""
    assert Shown(html_text("t", "a\n<b>")).text == "ta\n<b>"
