"""The audit's report answers at a glance, says what is primary, and trusts nothing a model or a user wrote."""

import base64
import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browsing import opened_page
from fake_audit import OPENING, FakeAudit, fake_audit
from fake_sweep import HOSTILE
from test_reports import Page, overflows

from creativity_lens.errors import InputError
from creativity_lens.figures import AUDIT_FIGURES
from creativity_lens.page_safety import embedded_json
from creativity_lens.reports import MAX_BYTES, write_audit_report
from creativity_lens.reports.audit import CONTENTS
from creativity_lens.reports.audit_tables import attractor_table, price, steering
from creativity_lens.reports.audit_texts import MOST_SAMPLES, audit_texts
from creativity_lens.reports.audit_words import creativity, glance, quotes, verdict

FOUND = fake_audit()
LADDER = fake_audit(stages=("base", "sft", "dpo", "rl"), steered=True, temperatures=(0.7, 1.3))
EVIL = fake_audit(hostile=True, steered=True, temperatures=(1.3,))


def write(found: FakeAudit, path: Path) -> Path:
    return write_audit_report(found.table, found.texts, found.meta, path)


def read(found: FakeAudit, folder: Path) -> Page:
    return Page(write(found, folder / "report.html").read_text(encoding="utf-8"))


def spaced(page: Page) -> str:
    """The page's text with single plain spaces."""
    return re.sub(r"\s+", " ", page.text)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return read(FOUND, tmp_path_factory.mktemp("audit"))


@pytest.fixture(scope="module")
def evil_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(EVIL, tmp_path_factory.mktemp("evil") / "report.html")


@pytest.fixture(scope="module")
def evil(evil_file: Path) -> Page:
    return Page(evil_file.read_text(encoding="utf-8"))


# ---- the page ----


def test_sections_come_in_order_and_headings_skip_no_level(page: Page) -> None:
    order = [anchor for anchor, _ in CONTENTS]
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == order
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    body = levels[levels.index(1) :]
    assert all(after - before <= 1 for before, after in itertools.pairwise(body))
    links = {str(attributes["href"])[1:] for tag, attributes in page.tags if tag == "a"}
    assert links == set(order)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_figure_is_there_with_its_caption_and_what_it_does_not_show(page: Page) -> None:
    drawn = [attributes["id"] for tag, attributes in page.tags if attributes.get("class") == "plot"]
    assert drawn == [f"figure-{name}" for name in AUDIT_FIGURES if name != "steps"]
    text = spaced(page)
    for place in range(1, len(AUDIT_FIGURES) + 1):
        assert f"Figure {place}. " in text
    assert text.count("What this does not show: ") == len(drawn)
    assert text.count("n = 24 prompts") >= 10
    assert "not used for any number" in text


def test_plotly_is_embedded_once_and_nothing_else_is_loaded(evil_file: Path, evil: Page) -> None:
    assert evil_file.stat().st_size <= MAX_BYTES
    running = [source for attributes, source in evil.scripts if "type" not in attributes]
    assert len(running) == 2
    assert sum("plotly.js v" in source for source in running) == 1
    policy = next(str(a["content"]) for tag, a in evil.tags if a.get("http-equiv") == "Content-Security-Policy")
    hashes = {"sha256-" + base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in running}
    scripts = re.search(r"script-src ([^;]*);", policy)
    assert scripts
    assert {word.strip("'") for word in scripts[1].split()} == hashes
    assert policy.startswith("default-src 'none';")
    for tag, attributes in evil.tags:
        assert "src" not in attributes, tag
        if "href" in attributes:
            assert str(attributes["href"]).startswith(("#", "data:,"))


def test_nothing_written_by_a_model_or_a_user_becomes_markup(evil: Page) -> None:
    assert not [tag for tag, _ in evil.tags if tag in ("img", "i", "iframe", "object")]
    assert not [name for _, attributes in evil.tags for name in attributes if name.startswith("on")]
    data = [source for attributes, source in evil.scripts if attributes.get("type") == "application/json"]
    assert len(data) == len(AUDIT_FIGURES)  # all but the steps, and the texts
    assert not [source for source in data if re.search("[<>&\u2028\u2029]", source)]
    meta = EVIL.meta
    shown = lambda text: re.sub("[\x00\x07]", "\ufffd", text.replace("\ud800", "?"))  # noqa: E731
    for written in (meta["name"], meta["command"], meta["models"][meta["stages"][0]]["weights_hash"]):
        assert shown(written) in evil.text
    for quoted in (*meta["attractors"], *meta["stretches"]):
        assert shown(quoted["text"]) in evil.text, "quoted as it was written"
    assert "<script>window.hacked=1</script>" in evil.text, "the control: it is there, as text"


def test_texts_arrive_as_they_were_written(evil: Page) -> None:
    shown = evil.json("texts-data")
    written = EVIL.texts.groupby(["condition", "seed"]).size()
    assert len(shown["prompts"]) == shown["of"] == 24
    assert [column["name"] for column in shown["columns"]] == [each["name"] for each in EVIL.meta["conditions"]]
    expected: dict[tuple[str, str], list[str]] = {}
    for row in EVIL.texts.itertuples():
        expected.setdefault((row.prompt_id, row.condition), []).append(row.text)
    for prompt in shown["prompts"]:
        assert prompt["text"] == EVIL.meta["prompts_text"][prompt["id"]]
        for column, samples in zip(shown["columns"], prompt["texts"], strict=True):
            assert [sample["text"] for sample in samples] == expected[prompt["id"], column["name"]]
    assert len(written) == sum(10 if each["kind"] != "temperature" else 4 for each in EVIL.meta["conditions"])
    joined = json.dumps(shown["prompts"])
    assert all(json.dumps(text)[1:-1] in joined for text in HOSTILE)


def test_what_stands_in_the_run_stands_under_provenance(page: Page) -> None:
    text = page.text[page.text.index("Everything needed to repeat the run") :]
    for value in (
        FOUND.meta["command"], FOUND.meta["embedder"]["id"], FOUND.meta["models"]["aligned"]["weights_hash"],
        "sum 106.7 s", "2.13.0",
    ):  # fmt: skip
        assert value in text
    assert OPENING not in text, "quoted above, not again"


@pytest.mark.slow
def test_an_audit_that_was_read_back_gives_the_same_report(tmp_path: Path) -> None:
    FOUND.table.to_csv(tmp_path / "audit.csv", index=False)
    FOUND.texts.to_parquet(tmp_path / "audit.parquet")
    table, texts = pd.read_csv(tmp_path / "audit.csv"), pd.read_parquet(tmp_path / "audit.parquet")
    again = write_audit_report(table, texts, json.loads(json.dumps(FOUND.meta)), tmp_path / "again.html")
    assert again.read_bytes() == write(FOUND, tmp_path / "first.html").read_bytes()


# ---- the answer at a glance ----


def test_the_glance_says_what_was_lost_where_and_how_much_is_the_template(page: Page) -> None:
    lost, where, template = glance(FOUND.table, FOUND.meta)
    table = FOUND.table[FOUND.table["measure"] == "semantic spread"]
    effects = table[table["part"] == "effects"].set_index("condition")
    total = effects.loc["total"]
    first = table[(table["part"] == "diversity") & (table["condition"] == "base plain") & (table["scope"] == "within")]
    first = first[first["twin"] == "all"]["estimate"].iloc[0]
    assert lost["value"] == f"−{abs(total['estimate']):.2f}"
    assert f"−{abs(100 * total['estimate'] / first):.0f}\u00a0% of {first:.2f} in base plain" in lost["lines"][0]
    assert lost["lines"][1:] == [
        f"95 % interval −{abs(total['low']):.2f} to −{abs(total['high']):.2f}",
        "n = 24 prompts",
    ]
    assert where["value"] == "one step"
    assert template["value"] == f"{100 * effects['estimate']['template share']:.0f}\u00a0%"
    text = spaced(page)
    assert "↓ Alignment cost diversity" in text
    assert FOUND.meta["verdict"]["sentence"] in text
    assert all(each in text for each in FOUND.meta["verdict"]["detail"])
    assert "One measure is primary and was fixed in advance: semantic spread within prompts" in text
    assert page.text.index("What changed: semantic spread") < page.text.index("Figure 1.")


def test_a_ladder_names_its_largest_step_and_all_of_them() -> None:
    where = glance(LADDER.table, LADDER.meta)[1]
    steps = LADDER.table[(LADDER.table["part"] == "steps") & (LADDER.table["measure"] == "semantic spread")]
    largest = steps.loc[steps["estimate"].abs().idxmax(), "condition"]
    assert where["value"] == largest
    assert [line.split()[0] for line in where["lines"][:3]] == ["sft", "dpo", "rl"]
    row = steps.set_index("condition").loc["dpo"]
    assert where["lines"][1].startswith(f"dpo −{abs(100 * row['estimate']):.0f}\u00a0% (−{abs(100 * row['low']):.0f}")


def test_a_share_that_could_be_anything_is_not_printed_large() -> None:
    table = FOUND.table.copy()
    share = (table["part"] == "effects") & (table["condition"] == "template share")
    table.loc[share, ["estimate", "low", "high"]] = (0.51, -0.16, 11.35)
    found = glance(table, FOUND.meta)[2]
    assert (found["value"], found["lines"][1]) == ("not clear", "95 % interval −16\u00a0% to 1135\u00a0%")
    table.loc[share, ["estimate", "low", "high"]] = np.nan
    table.loc[share, "note"] = "the interval of the total contains 0"
    found = glance(table, FOUND.meta)[2]
    assert (found["value"], found["lines"][0]) == ("not told", "The interval of the total contains 0")
    assert glance(fake_audit(formats=("plain",)).table, FOUND.meta)[2]["value"] == "not measured"


@pytest.mark.parametrize(
    ("outcome", "symbol"), [("alignment added diversity", "↑"), ("not enough evidence", "–"), ("other", "–")]
)
def test_every_outcome_has_its_symbol(outcome: str, symbol: str) -> None:
    found = verdict({"verdict": {"outcome": outcome, "sentence": "s"}})
    assert (found["symbol"], found["outcome"], found["sentence"]) == (symbol, outcome, "s")
    assert "claims nothing" in verdict({})["sentence"]


def test_the_price_has_one_primary_row_and_the_tables_numbers(page: Page) -> None:
    found = price(FOUND.table, FOUND.meta)
    assert [row["measure"] for row in found] == [
        *["semantic spread", "free entropy", "forced entropy", "EAD", "surprisal"]
    ]
    assert [row["primary"] for row in found] == [True, False, False, False, False]
    rows = FOUND.table[(FOUND.table["part"] == "effects") & (FOUND.table["measure"] == "free entropy")]
    weights = rows.set_index("condition").loc["weights"]
    said = f"−{abs(weights['estimate']):.2f} (−{abs(weights['low']):.2f}\u00a0to\u00a0−{abs(weights['high']):.2f})"
    assert found[1]["weights"] == said
    means = FOUND.table[(FOUND.table["measure"] == "free entropy") & FOUND.table["position"].isna()]
    mean = means[(means["part"] == "entropy") & (means["condition"] == "base plain")]["estimate"].iloc[0]
    assert found[1]["first"].startswith(f"{mean:.2f} (")
    assert re.search(r"semantic spread 1 - cosine, n = 24 prompts primary", spaced(page))
    assert spaced(page).count(" descriptive ") >= 4


# ---- the parts ----


def test_entropy_is_not_creativity_is_said_with_the_correlation(page: Page) -> None:
    rows = FOUND.table[(FOUND.table["measure"] == "entropy and creativity")].set_index("condition")
    row = rows.loc["aligned template"]
    rho, low, high = (f"{row[key]:.2f}".replace("-", "−") for key in ("estimate", "low", "high"))
    said = f"Entropy is not creativity. Measured here: among the texts of a prompt by aligned template, their rank correlation is ρ = {rho} (95 % interval {low} to {high})."  # noqa: E501
    assert said in spaced(page)
    strong = FOUND.table.copy()
    strong.loc[strong["measure"] == "entropy and creativity", "estimate"] = 0.7
    assert creativity(strong, FOUND.meta)["strong"]
    assert not creativity(FOUND.table, FOUND.meta)["strong"]


def test_another_contrast_is_called_by_its_name(tmp_path: Path) -> None:
    meta = FOUND.meta | {"scored": "<i>formality"}
    page = read(FakeAudit(FOUND.table, FOUND.texts, meta).only("correlation"), tmp_path)
    text = spaced(page)
    assert "Entropy is not creativity, and not <i>formality, which this run scores." in text
    assert "creative against boring" not in text
    drawn = page.json("data-entropy_creativity")
    assert drawn["layout"]["yaxis"]["title"]["text"] == "&lt;i&gt;formality (gaps)"
    assert page.json("texts-data")["scored"] == "<i>formality"


def test_attractors_are_quoted_with_the_share_they_stand_for(page: Page) -> None:
    found = quotes(FOUND.meta)
    assert found[0]["said"] == "90 % (9 of 10 samples)"
    assert found[0]["prompt"] == FOUND.meta["prompts_text"]["p00"]
    assert f"{OPENING}, and it was good." in page.text
    assert "there lived an old keeper who" in page.text
    assert "96 of 240" in page.text
    long = quotes({"attractors": [{"text": "x" * 5000}, *[{"text": "y"}] * 50]})
    assert len(long) == 12
    assert len(long[0]["text"]) == 700


def test_a_pull_that_was_not_measured_says_why(tmp_path: Path) -> None:
    table = FOUND.table.copy()
    gone = (table["part"] == "attractors") & (table["measure"] == "pull") & (table["condition"] == "base")
    table.loc[gone, ["estimate", "low", "high"]] = np.nan
    table.loc[gone, "note"] = "there is nothing to be pulled back from"
    assert attractor_table(table, FOUND.meta)["missing"] == [
        {"stage": "base", "tokens": "5, 10, 20", "why": "there is nothing to be pulled back from"}
    ]
    text = spaced(read(replace(FOUND, table=table).only("attractors"), tmp_path))
    assert "No pull for base after 5, 10, 20 tokens: there is nothing to be pulled back from." in text


def test_steering_stands_beside_the_unsteered_and_at_matched_coherence(page: Page) -> None:
    found = steering(LADDER.table, LADDER.meta)
    assert found is not None
    assert found["heads"] == ["base plain", "rl template", "rl template, steered"]
    assert [row["name"] for row in found["rows"] if row["primary"]] == ["semantic spread"]
    assert {"coherence kept", "fidelity", "creativity", "EAD"} <= {row["name"] for row in found["rows"]}
    assert [row["name"] for row in found["matched"]["rows"]][-1] == (
        "difference, rl template, steered against temperature at the same coherence"
    )
    assert steering(FOUND.table, FOUND.meta) is None
    assert "nothing was steered" in page.text


def test_parts_that_were_not_measured_are_said_to_be_so(tmp_path: Path) -> None:
    parts = ("personas", "attractors", "stretches", "readers", "correlation", "similarity", "entropy", "frontier")
    gone = FOUND.without(*parts)
    meta = FOUND.meta | {"personas": {}, "attractors": [], "stretches": []}
    text = spaced(read(replace(gone, meta=meta), tmp_path))
    assert text.count("Not measured in this run: ") == 1 + len(parts) + 1  # the steps, and the quotes
    assert "no attractor texts were kept" in text
    assert "How far they go together was not measured in this run." in text
    assert not re.search(r"n = (None|nan|not)|\bnan\b", text)


def test_personas_that_could_not_be_parsed_say_their_rate(tmp_path: Path) -> None:
    text = spaced(read(fake_audit(personas=False).only("personas"), tmp_path))
    assert "Parse rate: 0.00 of 64 for base plain, 0.00 of 64 for aligned template" in text
    assert "Not measured in this run: parse rate 0.00 of 64 (base plain)" in text


def test_too_few_prompts_have_no_interval_and_nothing_is_claimed(tmp_path: Path) -> None:
    few = fake_audit(prompts=5)
    assert few.table[few.table["part"] == "effects"]["low"].isna().all(), "the control"
    text = spaced(read(few.only("effects", "diversity"), tmp_path))
    assert "There is no interval: it takes at least 8 prompts. Nothing can be claimed from this audit." in text
    assert "no interval: fewer than 8 prompts" in text
    assert "n = 5 prompts, too few for intervals." in text
    assert not re.search(r"\bnan\b", text)


def test_one_format_does_not_speak_of_two(tmp_path: Path) -> None:
    text = spaced(read(fake_audit(formats=("plain",)).only("effects"), tmp_path))
    assert "there is no template whose part could be told apart" in text
    assert "All four combinations wrote" not in text


def test_an_empty_audit_still_gives_a_report(tmp_path: Path) -> None:
    page = read(FakeAudit(FOUND.table.head(0), FOUND.texts.head(0), {}), tmp_path)
    assert page.text.count("Not measured in this run") == len(AUDIT_FIGURES) + 2  # the quotes, and steering
    assert "No texts are part of this audit." in page.text
    assert "– No verdict" in spaced(page)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write(FOUND.only(), tmp_path / "no" / "report.html")


# ---- the browser's texts ----


def test_the_browser_keeps_to_its_budget_with_whole_prompts() -> None:
    everything = audit_texts(FOUND.texts, FOUND.meta, budget=10**9)
    one = len(embedded_json(everything["prompts"][:1]))
    shown = audit_texts(FOUND.texts, FOUND.meta, budget=5 * one)
    assert 1 <= len(shown["prompts"]) < 24 == shown["of"]
    assert shown["prompts"] == everything["prompts"][: len(shown["prompts"])]
    assert len(embedded_json(shown["prompts"])) <= 5 * one
    escaped = audit_texts(FOUND.texts.assign(text="<" * 500), FOUND.meta, budget=500_000)
    assert 1 <= len(escaped["prompts"]) < 24
    assert len(embedded_json(escaped["prompts"])) <= 500_000, "also where every letter is escaped"


@pytest.mark.slow
def test_a_page_that_would_grow_too_large_says_what_it_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = replace(FOUND.only(), texts=FOUND.texts)
    whole = write(found, tmp_path / "report.html").stat().st_size
    monkeypatch.setattr("creativity_lens.reports.audit.MAX_BYTES", whole + 200_000)
    path = write(found, tmp_path / "report.html")
    assert path.stat().st_size < whole
    assert re.search(r"The first \d+ of 24 prompts are here", path.read_text(encoding="utf-8"))


def test_many_samples_are_cut_and_counted() -> None:
    found = fake_audit(samples=15, prompts=8)
    shown = audit_texts(found.texts, found.meta, budget=10**9)
    assert shown["samples"] == MOST_SAMPLES
    assert shown["left"] == 8 * 4 * (15 - MOST_SAMPLES)
    assert audit_texts(FOUND.texts, FOUND.meta, budget=10**9)["left"] == 0


def test_a_sample_carries_its_numbers_and_nothing_where_there_is_none() -> None:
    texts = FOUND.texts.assign(entropy=np.nan, creativity=np.inf).drop(columns=["cluster", "coherent"])
    sample = audit_texts(texts, FOUND.meta, budget=10**9)["prompts"][0]["texts"][0][0]
    assert (sample["entropy"], sample["creativity"], sample["cluster"], sample["coherent"]) == (None,) * 4
    row = FOUND.texts.iloc[0]
    sample = audit_texts(FOUND.texts, FOUND.meta, budget=10**9)["prompts"][0]["texts"][0][0]
    assert sample["entropy"] == pytest.approx(row["entropy"], abs=6e-4)
    assert (sample["cluster"], sample["coherent"]) == (row["cluster"] + 1, row["coherent"])


def test_a_ladder_opens_with_each_stage_as_it_is_used() -> None:
    columns = audit_texts(LADDER.texts, LADDER.meta, budget=10**9)["columns"]
    assert [each["name"] for each in columns if each["open"]] == [
        *["base plain", "sft template", "dpo template", "rl template"]
    ]
    assert len(columns) == 11


# ---- in a real browser ----


@pytest.fixture(scope="module")
def opened(evil_file: Path) -> Iterator[tuple[Any, dict[str, list[str]]]]:
    """The hostile report in headless Chromium, with everything the page complained about or asked for."""
    with opened_page(evil_file) as found:
        yield found


@pytest.mark.slow
def test_in_chromium_the_audit_draws_and_its_texts_are_browsed(
    opened: tuple[Any, dict[str, list[str]]], evil_file: Path
) -> None:
    tab, events = opened
    drawn = tab.eval_on_selector_all(".js-plotly-plot:has(.main-svg)", "plots => plots.map(plot => plot.id)")
    assert drawn == [f"figure-{name}" for name in AUDIT_FIGURES if name != "steps"]
    assert not overflows(tab)

    asked = list(EVIL.meta["prompts_text"].values())
    names = [each["name"] for each in EVIL.meta["conditions"]]
    first = EVIL.texts[EVIL.texts["prompt_id"] == EVIL.texts["prompt_id"].iloc[0]]

    def cards() -> list[str]:
        return tab.eval_on_selector_all("#texts-side .words", "parts => parts.map(part => part.textContent)")

    assert tab.text_content("#texts-asked") == asked[0]
    want = [first[first["condition"] == name]["text"].iloc[k] for k in range(3) for name in names[:4]]
    assert cards() == want, "a row of columns for each of three samples"
    # With the button, the keyboard and the list.
    tab.click("#texts-next")
    assert tab.text_content("#texts-asked") == asked[1]
    tab.focus("#texts-side")
    for place in range(2, 9):
        tab.keyboard.press("ArrowRight")
        assert tab.text_content("#texts-asked") == asked[place]
    tab.keyboard.press("ArrowLeft")
    assert tab.locator("#texts-previous").is_enabled()
    tab.select_option("#texts-prompt", index=23)
    assert tab.text_content("#texts-asked") == asked[23]
    assert tab.locator("#texts-next").is_disabled()
    # Conditions and samples, by keyboard too.
    assert len(cards()) == 12
    tab.focus("#texts-conditions input >> nth=0")
    tab.keyboard.press("Space")
    assert len(cards()) == 9
    tab.select_option("#texts-samples", "10")
    assert len(cards()) == 30
    facts = tab.text_content("#texts-side .facts")
    assert re.match(r"entropy \d\.\d\d nats · surprisal \d\.\d\d nats/token · creativity [+−]?\d\.\d\d gaps", facts)
    for place in (1, 2, 3):
        tab.uncheck(f"#texts-conditions input >> nth={place}")
    assert tab.text_content("#texts-side") == "Choose a condition above."
    tab.check("#texts-conditions input >> nth=4")
    assert len(cards()) == 4, "the ladder has fewer samples"

    # A telephone, and paper.
    tab.set_viewport_size({"width": 390, "height": 800})
    tab.wait_for_function("document.getElementById('figure-map').clientHeight > 1500")
    assert not overflows(tab)
    tab.eval_on_selector_all("details", "parts => parts.forEach(part => { part.open = true; })")
    assert not overflows(tab)
    tab.set_viewport_size({"width": 1280, "height": 900})
    assert not overflows(tab)
    assert tab.pdf(format="A4").startswith(b"%PDF")
    tab.wait_for_timeout(200)
    assert tab.evaluate("window.hacked") is None
    assert events == {"console": [], "request": [evil_file.as_uri()], "error": []}


@pytest.mark.slow
def test_in_chromium_no_text_of_a_figure_leaves_its_picture(
    opened: tuple[Any, dict[str, list[str]]], tmp_path: Path
) -> None:
    """Names, ticks, heads and legends stand within the figure, wide and narrow, for a ladder with everything."""
    tab, _ = opened
    other = tab.context.browser.new_page(viewport={"width": 1280, "height": 900})
    other.goto(write(LADDER, tmp_path / "report.html").as_uri())
    outside = """() => [...document.querySelectorAll('.plot')].flatMap(plot => {
        const box = plot.getBoundingClientRect();
        return [...plot.querySelectorAll('.main-svg text')].filter(text => {
            const at = text.getBoundingClientRect();
            return at.width && getComputedStyle(text).visibility !== 'hidden'
                && (at.left < box.left - 1 || at.right > box.right + 1 || at.bottom > box.bottom + 1);
        }).map(text => plot.id + ': ' + text.textContent);
    })"""
    assert other.evaluate(outside) == []
    other.set_viewport_size({"width": 390, "height": 800})
    other.wait_for_function("document.getElementById('figure-map').clientHeight > 1500")
    assert other.evaluate(outside) == []
    other.close()
