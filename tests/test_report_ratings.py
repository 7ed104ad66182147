"""The report's section on people's ratings: the fixed number stands out, panels keep apart, names stay text."""

import base64
import hashlib
import itertools
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fake_ratings import PLANS, PRIMARY_LAYER, FakeValidation, fake_ratings
from fake_sweep import HOSTILE, fake_sweep

from creativity_lens.figures import FIGURES, RATING_FIGURES, rating_rows
from creativity_lens.figures.rating_rows import correlation, short, with_ends
from creativity_lens.reports import MAX_BYTES, write_report
from creativity_lens.reports.ratings import ORDER

TABLE, TEXTS, RUN = fake_sweep()
FOUND, EVIL = fake_ratings(), fake_ratings(hostile=True)
DRAWN = {  # by set, what it has: too small sets have no calibration and no matrix
    "ttcw": ["depth", "scatter"],
    "hanna": ["depth", "scatter", "calibration", "criteria"],
    "ocsai": ["depth", "scatter", "calibration"],
    "lamp": ["pairs", "depth", "scatter", "calibration"],
    "mine": ["depth", "scatter"],
}
KEYS = ["ratings-all", *(f"ratings-{place}-{kind}" for place, name in enumerate(DRAWN, 1) for kind in DRAWN[name])]


class Page(HTMLParser):
    """What a browser's parser makes of the file: elements with their text, and scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.rows: list[dict[str, Any]] = []  # table rows: class, cells
        self.text = ""
        self.cell: str | None = None
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        elif tag == "tr":
            self.rows.append({"class": dict(attrs).get("class"), "cells": []})
        elif tag in ("td", "th"):
            self.cell = ""

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            attributes, source = self.scripts[-1]
            self.scripts[-1] = (attributes, source + data)
        elif self.cdata_elem is None:
            self.text += data
            self.cell = None if self.cell is None else self.cell + data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self.cell is not None:
            self.rows[-1]["cells"].append(" ".join(self.cell.split()))
            self.cell = None
        self.text += " " if tag in ("td", "th", "li", "p", "h3", "span") else ""

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    @property
    def drawn(self) -> list[str]:
        """The figures of ratings that are drawn, in their order."""
        ids = [str(attributes.get("id", "")) for _, attributes in self.tags]
        return [name.removeprefix("figure-") for name in ids if name.startswith("figure-ratings")]

    def json(self, name: str) -> Any:
        return json.loads(next(source for attributes, source in self.scripts if attributes.get("id") == name))

    def cells(self, *first: str) -> list[list[str]]:
        """The rows whose first cell starts with each of these words."""
        return [row["cells"] for row in self.rows if row["cells"] and row["cells"][0].startswith(first)]


def written(found: Any, path: Path, table: pd.DataFrame = TABLE, texts: pd.DataFrame = TEXTS) -> Page:
    return Page(write_report(table, texts, RUN, path / "report.html", ratings=found))


def small(found: Any, path: Path) -> Page:
    """A report of the ratings alone: quick to write."""
    return written(found, path, TABLE.head(0), TEXTS.head(0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return small(FOUND, folder)


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Page]:
    """The whole report, all its strings written by an enemy."""
    path = tmp_path_factory.mktemp("evil")
    return path / "report.html", written(EVIL, path)


def test_without_ratings_the_section_says_what_is_missing(tmp_path: Path) -> None:
    nothing = small(None, tmp_path)
    assert "No human ratings are part of this run." in nothing.text
    empty = replace(FOUND, meta=FOUND.meta | {"sets": {}})
    assert small(empty, tmp_path).words == nothing.words


def test_the_parts_that_are_drawn_are_in_order_and_numbered_on(page: Page) -> None:
    assert page.drawn == KEYS
    numbers = [int(number) for number in re.findall(r"Figure (\d+)\.", page.text)]
    assert numbers == list(range(1, len(FIGURES) + len(KEYS) + 1))
    assert sorted(ORDER) == sorted(RATING_FIGURES)


def test_headings_skip_no_level_and_ids_are_unique(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels[levels.index(1) :]))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    linked = {str(a["href"])[1:] for tag, a in page.tags if tag == "a"}
    assert linked <= set(ids)
    assert {f"ratings-{place}" for place in range(1, 6)} <= linked


def test_every_set_says_what_was_rated_by_whom_and_its_verdict(page: Page) -> None:
    for name, plan in PLANS.items():
        about = FOUND.meta["sets"][name]
        assert plan.title in page.text
        assert plan.sentence in page.words
        assert f"Source: {about['source']}" in page.words
        assert all(note in page.words for note in plan.notes)
    assert "48 rated, 36 with a text that was read; 864 single ratings" in page.words
    assert "Raters: 6, in panels that are kept apart: expert, lay" in page.words
    assert "Raters: means only" in page.words
    for said in ("– Not enough evidence", "= No better than length", "✗ Points the wrong way", "✓ Agrees"):
        assert said in page.words
    assert page.text.count("Bad news would be: the filled point") == len(PLANS)


def test_the_one_number_that_was_fixed_stands_out_and_the_rest_is_exploratory(page: Page) -> None:
    for name in PLANS:
        found = rating_rows(FOUND.table, FOUND.meta, name)
        for row in found:
            mark = "fixed in advance" if row["primary"] else "exploratory"
            place = f"{row['criterion']}, {row['panel']}, {row['compared']} {mark}"
            cells = page.cells(place)
            assert len(cells) == 1, place
            assert cells[0][1] == with_ends(row["rho"], row["low"], row["high"])
            assert cells[0][4] == correlation(row["detectable"])
            assert cells[0][7] == f"{row['cheap']} {with_ends(row['cheap_rho'], row['cheap_low'], row['cheap_high'])}"
    fixed = [row for row in page.rows if "fixed in advance" in " ".join(row["cells"][:1])]
    assert len(fixed) == len(PLANS)
    assert {row["class"] for row in fixed} == {"primary"}
    assert not [row for row in page.rows if row["class"] == "primary" and "exploratory" in row["cells"][0]]


def test_panels_never_share_a_cell(page: Page) -> None:
    for row in page.rows:
        assert not [cell for cell in row["cells"] if "expert" in cell and "lay" in re.findall(r"\w+", cell)]
    agreed = [cells for cells in page.cells("creativity, ") if cells[0] == "creativity, expert, within prompt"]
    want = FOUND.table.query(
        "set == 'mine' and panel == 'expert' and criterion == 'creativity' and level == 'group' and scorer == 'raters'"
    ).set_index("measure")["estimate"]
    (cells,) = agreed
    assert [cells[1], cells[2][:4], cells[3], cells[4]] == [
        correlation(want[name]) for name in ("icc1", "icck", "alpha", "ceiling")
    ]


def test_where_there_is_no_ceiling_the_reason_stands(page: Page) -> None:
    assert any(cells[-1].startswith("no ceiling: the lower end of ICC(k) is") for cells in page.cells("tests passed"))
    assert page.cells("originality, raters, within object")[-1][-1] == "no ceiling: single ratings are not published"


def test_pairs_are_compared_with_cheap_scorers_and_not_with_a_coin(page: Page) -> None:
    (direction,), (shorter,) = page.cells("higher score of the direction"), page.cells("shorter words")
    assert direction[1:3] == ["0.41 (0.34 to 0.48)", "202"]
    assert shorter[1:4] == ["0.70 (0.64 to 0.76)", "202", "−0.29 (−0.38 to −0.20)"]


def test_the_curve_is_also_a_table(page: Page) -> None:
    curve = FOUND.table.query("set == 'hanna' and scorer == 'direction' and measure == 'rho' and level == 'group'")
    curve = curve[curve["criterion"] == "surprise"]
    shown = [cells for cells in page.cells("direction, layer ") if len(cells) == 5]
    for row in curve.itertuples():
        matching = [
            cells
            for cells in shown
            if cells[:2] == [f"direction, layer {row.layer}", with_ends(row.estimate, row.low, row.high)]
        ]
        assert len(matching) == 1
        assert matching[0][4] == ("fixed in advance" if row.layer == PRIMARY_LAYER else "")


def test_a_validation_that_was_read_back_gives_the_same_report(tmp_path: Path) -> None:
    few = fake_ratings("hanna", "lamp")
    small(few, tmp_path)
    before = (tmp_path / "report.html").read_bytes()
    few.table.to_csv(tmp_path / "ratings.csv", index=False)
    few.texts.to_parquet(tmp_path / "ratings.parquet")
    back = FakeValidation(
        pd.read_csv(tmp_path / "ratings.csv"),
        pd.read_parquet(tmp_path / "ratings.parquet"),
        json.loads(json.dumps(few.meta)),
    )
    small(back, tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before


# ---- what a user, a rater or a set's author wrote ----


def test_names_become_no_markup(evil: tuple[Path, Page]) -> None:
    page = evil[1]
    assert not [tag for tag, _ in page.tags if tag in ("img", "iframe", "object", "i")]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    data = [source for attributes, source in page.scripts if attributes.get("type") == "application/json"]
    assert len(data) == len(FIGURES) + len(KEYS) + 1
    assert not [source for source in data if re.search("[<>&\u2028\u2029]", source)]
    running = [source for attributes, source in page.scripts if "type" not in attributes]
    policy = next(str(a["content"]) for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    hashes = {"sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode() for source in running}
    assert len(hashes) == 2
    assert all(digest in policy for digest in hashes)


def test_names_are_shown_as_they_are(evil: tuple[Path, Page]) -> None:
    text = " ".join(evil[1].text.split())
    for name, about in EVIL.meta["sets"].items():
        said = [
            name,
            about["title"],
            about["source"],
            about["licence"],
            about["group_name"],
            *about["panels"],
            *about["notes"],
        ]
        said += [about["verdict"]["sentence"], *about["criteria"][:2]]
        for each in said:
            assert short(each, 400) in text, each
    assert all(" ".join(each.split()) in text for each in HOSTILE[:4])


def test_five_sets_and_a_sweep_stay_under_8_megabytes(evil: tuple[Path, Page]) -> None:
    assert evil[0].stat().st_size < MAX_BYTES - 1_500_000


def test_figures_stop_at_their_budget_and_tables_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("creativity_lens.reports.ratings.MOST_BYTES", 60_000)
    found = small(FOUND, tmp_path)
    assert found.drawn == KEYS[: len(found.drawn)]
    assert 1 <= len(found.drawn) < len(KEYS)
    assert all(plan.title in found.text for plan in PLANS.values())


def test_many_sets_and_criteria_are_cut_and_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("creativity_lens.reports.ratings.MOST_SETS", 2)
    monkeypatch.setattr("creativity_lens.reports.ratings.MOST_ROWS", 20)
    found = small(FOUND, tmp_path)
    assert "3 further sets are not shown here" in found.words
    assert PLANS["lamp"].title not in found.text
    others = [len(PLANS[name].criteria[1:]) * len(PLANS[name].levels) for name in ("ttcw", "hanna")]
    assert f"{others[0] - 20} further comparisons are in ratings.csv" in found.words, "20 rows for all sets together"
    assert f"{others[1]} further comparisons are in ratings.csv" in found.words


@pytest.mark.slow
def test_many_sets_of_endless_names_stay_under_8_megabytes(tmp_path: Path) -> None:
    one = fake_ratings("mine")
    names = [f"{number} " + "<&>" * 2000 for number in range(16)]
    long = {text: text + "<&>" * 2000 for text in ("creativity", "expert", "lay")}
    columns = {"criterion": long, "panel": long}
    table = pd.concat([one.table.assign(set=name).replace(columns) for name in names])
    texts = pd.concat([one.texts.assign(set=name, item=names[0]).replace(columns) for name in names])
    about = one.meta["sets"]["mine"] | dict.fromkeys(("title", "licence", "source", "raters"), names[0])
    about |= {"primary": {"criterion": long["creativity"], "panel": long["expert"], "level": "group"}}
    about |= {
        "notes": names,
        "criteria": names,
        "panels": names,
        "verdict": {"outcome": names[0], "sentence": names[0]},
    }
    found = FakeValidation(table, texts, one.meta | {"sets": dict.fromkeys(names, about)})
    page = written(found, tmp_path)
    assert (tmp_path / "report.html").stat().st_size <= MAX_BYTES
    assert "4 further sets are not shown here" in page.words
    assert "ratings-1-depth" in page.drawn
    assert page.json("texts-data")["prompts"], "texts remain"


@pytest.mark.parametrize("missing", ["scorer == 'direction'", "measure == 'rho'", "scorer == 'raters'", "set == set"])
def test_a_set_that_could_not_be_measured_still_has_its_place(missing: str, tmp_path: Path) -> None:
    few = fake_ratings("lamp", "mine")
    left = few.table.drop(few.table.query(missing).index)
    found = small(replace(few, table=left, texts=few.texts.head(0)), tmp_path)
    assert all(PLANS[name].title in found.text and PLANS[name].sentence in found.words for name in few.meta["sets"])
    assert not re.search(r"\bnan\b", found.words)
    if missing == "set == set":
        assert found.text.count("No score was compared with these ratings.") == 2


def test_a_set_of_which_little_is_known(tmp_path: Path) -> None:
    few = fake_ratings("ttcw", "lamp")
    bare = {name: {"primary": about["primary"]} for name, about in few.meta["sets"].items()}
    found = small(replace(few, meta={"primary_layer": PRIMARY_LAYER, "sets": bare}), tmp_path)
    assert found.text.count("Nothing was claimed of this set.") == 2
    assert not re.search(r"\b(nan|None)\b", found.words)


def test_another_contrast_is_called_by_its_own_side(tmp_path: Path) -> None:
    few = fake_ratings("hanna", "lamp")
    few = replace(few, meta=few.meta | {"sides": ["<b>formal", "casual"]})
    run = RUN | {"concept": "formality", "sides": ["<b>formal", "casual"]}
    page = Page(write_report(TABLE.head(0), TEXTS.head(0), run, tmp_path / "report.html", ratings=few))
    section = page.text[page.text.index("The clean model read texts") : page.text.index("Everything needed to repeat")]
    assert "without being more <b>formal" in section
    assert not re.findall(r"creativ\w*", section)
    calibration = page.json("data-ratings-1-calibration")
    assert "Percentile among &lt;b&gt;formal test responses" in calibration["layout"]["xaxis"]["title"]["text"]


# ---- in a real browser ----


@pytest.mark.slow
def test_in_chromium_all_is_drawn_and_nothing_overflows(evil: tuple[Path, Page]) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on this machine: install it to open the report")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    complaints: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(evil[0].as_uri())
        drawn = tab.eval_on_selector_all(".js-plotly-plot:has(.main-svg)", "plots => plots.map(plot => plot.id)")
        assert [name for name in drawn if "ratings" in name] == [f"figure-{key}" for key in KEYS]
        for width in (1280, 390):
            tab.set_viewport_size({"width": width, "height": 800})
            tab.wait_for_function(
                f"document.getElementById('figure-ratings-1-depth').clientHeight {'>' if width < 620 else '<'} 620"
            )
            tab.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
            assert not tab.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"), (
                width
            )
            wide = (
                "parts => parts.filter(part => part.scrollWidth > part.clientWidth + 1).map(part => part.textContent)"
            )
            assert tab.eval_on_selector_all("#ratings table, #ratings p, #ratings h3", wide) == [], width
        tab.click("a[href='#ratings-3']")
        assert tab.evaluate("location.hash") == "#ratings-3"
        assert tab.evaluate("window.hacked") is None
        browser.close()
    assert complaints == []
