"""The report is one file that opens offline, holds the run's numbers, and trusts nothing a model or a user wrote."""

import base64
import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browsing import opened_page
from fake_sweep import HOSTILE, fake_sweep

from creativity_lens.errors import InputError
from creativity_lens.figures import FIGURES
from creativity_lens.figures.rows import number
from creativity_lens.page_safety import embedded_json
from creativity_lens.reports import MAX_BYTES, write_report
from creativity_lens.reports.browser import browser_texts, cut

TABLE, TEXTS, RUN = fake_sweep()
ORDER = ["verdict", "depth", "map", "tradeoff", "control", "readout", "nuisance", "dose", "leak"]
ORDER += ["texts", "ratings", "provenance"]


class Page(HTMLParser):
    """What a browser's parser makes of the file: elements, their attributes, scripts, and the text outside them."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            attributes, source = self.scripts[-1]
            self.scripts[-1] = (attributes, source + data)
        elif self.cdata_elem is None:
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        self.text += " " if tag in ("td", "th", "li", "p") else ""

    def json(self, name: str) -> Any:
        return json.loads(next(source for attributes, source in self.scripts if attributes.get("id") == name))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(TABLE, TEXTS, RUN, tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def page(report: Path) -> Page:
    return Page(report.read_text(encoding="utf-8"))


def test_one_file_of_at_most_8_megabytes(report: Path) -> None:
    assert [path.name for path in report.parent.iterdir()] == ["report.html"]
    assert 4_000_000 < report.stat().st_size <= MAX_BYTES <= 8_000_000


def test_plotly_is_embedded_once_and_nothing_else_is_loaded(page: Page) -> None:
    running = [source for attributes, source in page.scripts if "type" not in attributes]
    assert len(running) == 2
    assert sum("plotly.js v" in source for source in running) == 1
    for tag, attributes in page.tags:
        assert "src" not in attributes, tag
        if "href" in attributes:
            assert str(attributes["href"]).startswith(("#", "data:,"))
    style = page.tags[[tag for tag, _ in page.tags].index("style")]
    assert style == ("style", {})


def test_the_policy_names_exactly_the_two_scripts(page: Page) -> None:
    policy = next(str(a["content"]) for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    hashes = {
        "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        for attributes, source in page.scripts
        if "type" not in attributes
    }
    scripts = re.search(r"script-src ([^;]*);", policy)
    assert scripts
    assert {word.strip("'") for word in scripts[1].split()} == hashes
    assert policy.startswith("default-src 'none';")


def test_sections_come_in_order_and_headings_skip_no_level(page: Page) -> None:
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == ORDER
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    body = levels[levels.index(1) :]
    assert all(after - before <= 1 for before, after in itertools.pairwise(body))
    links = {str(attributes["href"])[1:] for tag, attributes in page.tags if tag == "a"}
    assert links == set(ORDER)
    assert {"main", "nav", "header", "footer"} <= {tag for tag, _ in page.tags}
    assert dict(page.tags[0][1]) == {"lang": "en"}


def test_nothing_written_by_a_model_or_a_user_becomes_markup(page: Page) -> None:
    assert not [tag for tag, _ in page.tags if tag in ("img", "b <", "iframe", "object")]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    data = [source for attributes, source in page.scripts if attributes.get("type") == "application/json"]
    assert len(data) == len(FIGURES) + 1
    assert not [source for source in data if re.search("[<>&\u2028\u2029]", source)]
    assert RUN["name"] in page.text, "names are shown as they are, as text"
    assert RUN["command"] in page.text
    assert RUN["pairs"]["file"] in page.text


def test_every_hostile_text_arrives_as_it_was_written(page: Page) -> None:
    shown = page.json("texts-data")
    prompts = {prompt["id"]: prompt for prompt in shown["prompts"]}
    written = set(TEXTS["text"])
    for name, prompt in prompts.items():
        assert prompt["text"] == RUN["prompts_text"][name]
        for text in prompt["texts"]:
            assert "".join(text["pieces"]) in written
            assert len(text["pieces"]) == len(text["scores"])
    joined = "".join("".join(text["pieces"]) for prompt in prompts.values() for text in prompt["texts"])
    assert all(text in joined for text in HOSTILE)


@pytest.mark.parametrize("text", [*HOSTILE, "\ud800 alone", "]]>", "\u2028\u2029", ""])
def test_embedded_json_is_the_same_json_and_ends_no_script(text: str) -> None:
    written = embedded_json({text: [text, 1, None]})
    assert json.loads(written) == {text: [text, 1, None]}
    assert not re.search("[<>&\u2028\u2029]", written)
    assert written.isascii()


def test_figures_numbers_are_rounded_to_five_digits(page: Page) -> None:
    found: list[float] = []
    for name in FIGURES:
        source = next(source for attributes, source in page.scripts if attributes.get("id") == f"data-{name}")
        json.loads(source, parse_float=lambda text: found.append(float(text)))
    assert len(found) > 500
    assert all(value == float(f"{value:.5g}") for value in found)


def test_the_verdict_is_told_in_words_with_its_numbers(page: Page) -> None:
    text = re.sub(r"\s+", " ", page.text)
    verdict = RUN["verdict"]
    assert "– Not enough evidence" in text
    assert verdict["sentence"] in text
    for part in verdict["parts"]:
        assert part["question"] in text
        assert part["needed"] in text
    gain = verdict["parts"][0]
    assert f"{number(gain['estimate'])} gaps {number(gain['low'])} to {number(gain['high'])} 32" in text
    assert "rank p = 0.025" in text
    for said in ("✓ passed", "✗ not passed", "– not measured", "Smallest detectable gain: 0.14 gaps"):
        assert said in text
    for beside in verdict["beside"]:
        assert beside["text"] in text
    assert "No human ratings are part of this run." in text


def test_the_depth_curve_is_also_a_table(page: Page) -> None:
    gains = TABLE.query("stage == 'test' and condition == 'layer' and measure == 'gain' and concept == 'creativity'")
    for row in gains.itertuples():
        assert f"{number(row.low)} to {number(row.high)}" in page.text
    assert "chosen, in the confidence set" in page.text
    assert page.text.count("not up for choice") >= 1


def test_provenance_has_every_hash_version_seed_command_and_timing(page: Page) -> None:
    def leaves(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            for item in value.values():
                yield from leaves(item)
        elif isinstance(value, list):
            for item in value:
                yield from leaves(item)
        else:
            yield value

    parts = ("model", "pairs", "prompts", "versions", "machine", "options", "seed", "command", "timings", "rows")
    text = page.text[page.text.index("Everything needed to repeat the run") :]
    for value in leaves([RUN[part] for part in parts] + RUN["choice"]["made_at"].split()):
        said = "none" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
        assert said in text, value
    assert "sum 99.05 s" in text


def test_a_run_that_was_read_back_gives_the_same_report(report: Path, tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "sweep.csv", index=False)
    TEXTS.to_parquet(tmp_path / "generations.parquet")
    table, texts = pd.read_csv(tmp_path / "sweep.csv"), pd.read_parquet(tmp_path / "generations.parquet")
    assert isinstance(texts["token_scores"][0], np.ndarray)
    again = write_report(table, texts, json.loads(json.dumps(RUN)), tmp_path / "report.html")
    assert again.read_bytes() == report.read_bytes()


def test_a_screening_alone_claims_nothing(tmp_path: Path) -> None:
    table = TABLE[TABLE["stage"].isin(["readout", "screen"])]
    run = {key: RUN[key] for key in ("name", "created", "command", "model", "pairs", "layers", "norms", "drawn_only")}
    source = write_report(table, TEXTS.head(0), run, tmp_path / "report.html").read_text(encoding="utf-8")
    text = Page(source).text
    assert "– No verdict" in text
    assert "so it claims nothing" in text
    assert "Not measured in this run: no layer was tested." in text
    assert "No texts were generated in this run." in text
    assert "screening instead" in text
    assert not re.search(r"n = (None|nan|not)", text)


def test_an_empty_run_still_gives_a_report(tmp_path: Path) -> None:
    page = Page(write_report(TABLE.head(0), TEXTS.head(0), {}, tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.text.count("Not measured in this run") == len(FIGURES)


def test_another_contrast_is_called_by_its_own_sides(tmp_path: Path) -> None:
    """No word of creativity is left where the pairs are about something else; hostile names stay text."""
    table, texts = (
        frame.assign(concept=frame["concept"].replace("creativity", "<b>formal")) for frame in (TABLE, TEXTS)
    )
    run = json.loads(json.dumps(RUN).replace("more creative", "more formal"))
    run |= {"concept": "<b>formal", "sides": ["<b>formal", "casual"]}
    page = Page(write_report(table, texts, run, tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "between <b>formal and casual responses" in page.text
    assert "separates <b>formal from casual responses" in page.text
    assert not [word for word in re.findall(r"\b[\w-]*creativ[\w-]*", page.text) if word != "creativity-lens"]
    labels = [column["label"] for column in browser_texts(texts, run, budget=10**6)["columns"]]
    assert "asked to be <b>formal, not steered" in labels
    for name in ("tradeoff", "depth", "readout"):
        drawn = str(FIGURES[name](table, run).to_plotly_json())
        assert "creativ" not in drawn
        assert "<b>formal" not in drawn
        assert "&lt;b&gt;formal" in drawn


def test_a_lone_surrogate_in_a_name_is_replaced(tmp_path: Path) -> None:
    source = write_report(TABLE.head(0), TEXTS.head(0), {"name": "a \ud800 b"}, tmp_path / "report.html")
    assert "a ? b" in Page(source.read_text(encoding="utf-8")).text


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_report(TABLE.head(0), TEXTS.head(0), {}, tmp_path / "no" / "report.html")


# ---- the browser's texts ----


def test_browser_shows_one_text_per_prompt_and_condition_with_one_seed() -> None:
    shown = browser_texts(TEXTS, RUN, budget=10**9)
    assert shown["of"] == len(shown["prompts"]) == 32
    assert [column["condition"] for column in shown["columns"]] == [
        *["unsteered", *["layer"] * 8, "prompted", "negated"],
    ]
    assert "chosen on dev" in shown["columns"][1 + RUN["choice"]["layer"]]["label"]
    assert "not up for choice" in shown["columns"][8]["label"]
    for prompt in shown["prompts"]:
        assert {text["seed"] for text in prompt["texts"]} == {"0"}


def test_browser_text_is_the_one_of_its_cell() -> None:
    shown = browser_texts(TEXTS, RUN, budget=10**9)
    wanted = TEXTS[(TEXTS["condition"] == "layer") & (TEXTS["layer"] == 4) & (TEXTS["seed"] == 0)]
    for prompt in shown["prompts"]:
        row = wanted[wanted["prompt_id"] == prompt["id"]].iloc[0]
        text = prompt["texts"][1 + 4]
        assert "".join(text["pieces"]) == row["text"]
        assert text["score"] == pytest.approx(row["score"], abs=6e-4)


def test_browser_keeps_to_its_budget_with_whole_prompts() -> None:
    everything = browser_texts(TEXTS, RUN, budget=10**9)
    one = len(embedded_json(everything["prompts"][:1]))
    shown = browser_texts(TEXTS, RUN, budget=5 * one)
    assert 1 <= len(shown["prompts"]) < 32 == shown["of"]
    assert shown["prompts"] == everything["prompts"][: len(shown["prompts"])]
    assert len(embedded_json(shown["prompts"])) <= 5 * one


def test_a_long_run_stays_in_its_size_and_says_what_it_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write_report(TABLE.head(0), TEXTS, RUN, tmp_path / "report.html").stat().st_size
    monkeypatch.setattr("creativity_lens.reports.page.MAX_BYTES", whole + 300_000)
    path = write_report(TABLE.head(0), TEXTS, RUN, tmp_path / "report.html")
    assert path.stat().st_size < whole + 300_000
    assert re.search(r"The first \d+ of 32 prompts are here", path.read_text(encoding="utf-8"))


def test_texts_without_tokens_or_scores_are_shown_uncoloured() -> None:
    shown = browser_texts(TEXTS.drop(columns=["token_scores", "surprisal"]), RUN, budget=10**9)
    text = shown["prompts"][0]["texts"][0]
    assert len(text["pieces"]) == 1
    assert text["scores"] == [None]
    assert text["surprisal"] is None


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("a cat sat", ["a", " cat", " sat"]),
        ("Once", [" Once"]),
        ("caf\u00e9 now", ["caf", "\ufffd", "\ufffd", " now"]),
        ("\U0001f9ff\U0001f9ff!", ["\ufffd"] * 8 + ["!"]),
        ("a cat", ["<s>", "a", "\u0120cat", "</s>"]),
        ("two\nlines", ["two", "\u010a", "lines"]),
        ("text that goes on", ["text"]),
        ("text", ["quite", " different"]),
        *[(text, list(text)) for text in HOSTILE],
        ("", []),
    ],
)
def test_pieces_join_to_exactly_the_text(text: str, tokens: list[str]) -> None:
    pieces, scores = cut(text, tokens, [0.5] * len(tokens))
    assert "".join(pieces) == text
    assert len(pieces) == len(scores)


def test_pieces_carry_their_own_tokens_scores() -> None:
    assert cut("a cat sat", ["a", " cat", " sat"], [0.1, -2.0, 3.0]) == (["a", " cat", " sat"], [10, -200, 300])
    assert cut("\u00e9 b", ["\ufffd", "\ufffd", " b"], [1.0, 2.0, 0.0]) == (["\u00e9", " b"], [150, 0])
    assert cut("a b", ["a", " b"], [float("nan"), 1.0]) == (["a", " b"], [None, 100])
    assert cut("a b", ["a"], [1.0, 2.0]) == (["a b"], [None])


# ---- in a real browser ----


@pytest.fixture(scope="module")
def opened(report: Path) -> Iterator[tuple[Any, dict[str, list[str]]]]:
    """The report in headless Chromium, with everything the page complained about or asked for."""
    with opened_page(report) as found:
        yield found


def overflows(tab: Any) -> bool:
    return bool(tab.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def test_in_chromium_the_report_draws_and_its_texts_are_browsed(
    opened: tuple[Any, dict[str, list[str]]], report: Path
) -> None:
    tab, events = opened
    drawn = tab.eval_on_selector_all(".js-plotly-plot:has(.main-svg)", "plots => plots.map(plot => plot.id)")
    assert sorted(drawn) == sorted(f"figure-{name}" for name in FIGURES)
    assert tab.locator(".js-plotly-plot .main-svg").count() >= len(FIGURES)
    assert not overflows(tab)

    # The first prompt's texts, as text.
    asked = list(RUN["prompts_text"].values())
    unsteered = TEXTS[(TEXTS["condition"] == "unsteered") & (TEXTS["seed"] == 0)]["text"].tolist()
    assert tab.text_content("#texts-asked") == asked[0]
    assert HOSTILE[0] in tab.text_content("#texts-base .words")
    assert tab.text_content("#texts-base .words") == unsteered[0]
    assert tab.locator("#texts-steered .text").count() == 10
    assert tab.locator("#texts-previous").is_disabled()
    # Every hostile prompt, with the button, the keyboard and the list.
    tab.click("#texts-next")
    assert tab.text_content("#texts-asked") == asked[1]
    tab.focus(".pair")
    for place in range(2, len(HOSTILE)):
        tab.keyboard.press("ArrowRight")
        assert tab.text_content("#texts-asked") == asked[place]
        assert tab.text_content("#texts-base .words") == unsteered[place]
    tab.keyboard.press("ArrowLeft")
    assert tab.text_content("#texts-asked") == asked[len(HOSTILE) - 2]
    tab.select_option("#texts-prompt", index=31)
    assert tab.text_content("#texts-asked") == asked[31]
    assert tab.locator("#texts-next").is_disabled()
    # A word says its number.
    word = tab.locator("#texts-base .words span").first
    assert re.fullmatch(r"[+−]?\d+\.\d\d gaps", word.get_attribute("title"))
    word.hover()
    assert tab.text_content("#texts-pointed").endswith(word.get_attribute("title"))
    assert tab.locator(".words .number").count() == 0
    tab.check("#texts-numbers")
    assert tab.locator(".words .number").count() > 100

    # A telephone, and paper.
    tab.set_viewport_size({"width": 390, "height": 800})
    tab.wait_for_function("document.getElementById('figure-readout').clientHeight > 1000")
    assert not overflows(tab)
    assert tab.pdf(format="A4").startswith(b"%PDF")
    tab.wait_for_timeout(200)
    assert tab.evaluate("window.hacked") is None
    assert events == {"console": [], "request": [report.as_uri()], "error": []}


def test_in_chromium_a_script_that_got_in_would_not_run(
    opened: tuple[Any, dict[str, list[str]]], tmp_path: Path, report: Path
) -> None:
    """The negative control of the policy: even where escaping failed, the injected script is refused."""
    tab, _ = opened
    source = report.read_text(encoding="utf-8").replace("<h2", "<script>window.hacked=1</script><h2", 1)
    path = tmp_path / "report.html"
    path.write_text(source, encoding="utf-8")
    other = tab.context.browser.new_page()
    refused: list[str] = []
    other.on("console", lambda message: refused.append(message.text))
    other.goto(path.as_uri())
    assert other.evaluate("window.hacked") is None
    assert any("Content Security Policy" in text for text in refused)
    other.close()
