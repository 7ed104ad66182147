"""`clens monoculture`: what it prints, what it writes, and the one line by which it refuses."""

import json

import pandas as pd
import pytest
from browsing import opened_page
from commands import refused, run

GOOD, BAD = "It was a lovely book.", "It was a terrible book, and I hated it."
ITEMS = [f"book {i}" for i in range(9)]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Nine books with four generated reviews, all good, and four human ones, three of them good."""
    monkeypatch.chdir(tmp_path)
    generated = [{"item": item, "text": GOOD, "genre": "novel", "ppl": 10 + n} for item in ITEMS for n in range(4)]
    source = [
        {"item": item, "text": text, "genre": genre, "ppl": 12 + 4 * n}
        for item in ITEMS
        for n, (text, genre) in enumerate([(GOOD, "novel"), (GOOD, "tale"), (GOOD, "novel"), (BAD, "poem")])
    ]
    write(tmp_path / "g.jsonl", generated)
    write(tmp_path / "s.jsonl", source)
    return tmp_path


def ask(*more):
    return ("monoculture", "--generated", "g.jsonl", "--source", "s.jsonl", "--draws", "199", *more)


def test_a_table_and_one_sentence(capsys):
    status, out, err = run(capsys, *ask())
    assert (status, err) == (0, "")
    flat = " ".join(out.split())
    assert "Monoculture in sentiment: generated text is narrower than its source in 9 of 9 items (1.00, p 0.004" in flat
    assert "two halves of the human texts give 0.50" in flat
    assert "VADER" in flat
    assert "entropy generated 0.00 (0.00 to 0.00) bits 9" in flat
    assert "mean positive source 0.75 (0.75 to 0.75) 9" in flat


def test_json_holds_the_same(capsys):
    status, out, _ = run(capsys, *ask("--attribute", "sentiment", "--attribute", "label:genre", "--json"))
    found = json.loads(out)
    assert status == 0
    assert found["outcome"] == {"sentiment": "narrower", "label:genre": "narrower"}
    entropies = {
        row["side"]: row["estimate"]
        for row in found["table"]
        if (row["attribute"], row["measure"]) == ("label:genre", "entropy")
    }
    assert entropies == pytest.approx({"generated": 0, "source": 1.5, "difference": -1.5})
    assert found["meta"]["seed"] == 0


def test_a_filter_says_what_it_keeps(capsys):
    status, out, err = run(capsys, *ask("--attribute", "label:genre", "--keep", "ppl<=20"))
    assert status == 0
    flat = " ".join(out.split())
    assert "Kept by ppl <= 20: 100.0 % of 36 generated, 75.0 % of 36 human texts." in flat
    assert err == ""


def test_files_are_written(capsys, here):
    status, _, err = run(capsys, *ask("--attribute", "label:genre", "--out", "items.csv", "--figure", "m.html"))
    assert status == 0
    assert err == "9 items: items.csv\nFigure: m.html\n"
    items = pd.read_csv(here / "items.csv")
    assert items["item"].tolist() == ITEMS
    assert items["source"].tolist() == pytest.approx([1.5] * 9)
    page = (here / "m.html").read_text(encoding="utf-8")
    assert "Plotly.react(" in page
    assert 'data-figure="data-attribute-1"' in page
    assert "in label:genre: generated text is" in page
    assert "exists; choose another name or add --force" in refused(capsys, *ask("--out", "items.csv"))
    assert "exists; choose another name or add --force" in refused(capsys, *ask("--figure", "m.html"))
    status, _, _ = run(capsys, *ask("--attribute", "label:genre", "--out", "all.json"))
    assert len(json.loads((here / "all.json").read_text())["per_item"]) == 9


def test_what_was_left_out_is_said(capsys, here):
    rows = [{"item": item, "text": text} for item in [*ITEMS, "spare"] for text in (GOOD, BAD, "")]
    write(here / "g.jsonl", rows)
    status, _, err = run(capsys, *ask("--skip-missing"))
    assert status == 0
    assert err == ("clens: note: g.jsonl: 10 empty texts left out.\nclens: note: 1 item only in g.jsonl left out.\n")


def test_texts_that_are_not_english_are_warned_about(capsys, here):
    rows = [{"item": item, "text": f"Ein wunderbares Buch Nummer {n}."} for item in ITEMS for n in range(3)]
    write(here / "g.jsonl", rows)
    status, _, err = run(capsys, *ask())
    assert status == 0
    assert "clens: note: sentiment: 3 of 5 different texts do not look like English" in err


def test_topics_are_printed_with_their_words(capsys, here):
    sea, bread = "The ship left the harbour.", "The baker kneads the dough."
    write(here / "g.jsonl", [{"item": item, "text": text} for item in ITEMS for text in (sea, sea)])
    write(here / "s.jsonl", [{"item": item, "text": text} for item in ITEMS for text in (sea, bread)])
    status, out, _ = run(capsys, *ask("--attribute", "topic", "--n-topics", "2"))
    assert status == 0
    assert "topic 1: harbour, left, ship" in out
    assert "topic 2: baker, dough, kneads" in out


def test_what_files_hold_cannot_drive_a_terminal(capsys, here):
    rows = [{"item": f"{item}\u001b[31m", "v\u001b[2J": "x"} for item in ITEMS for _ in range(2)]
    write(here / "g.jsonl", rows)
    write(here / "s.jsonl", rows)
    status, out, err = run(capsys, *ask("--attribute", "label:v\x1b[2J"))
    assert status == 0
    assert "\x1b" not in out + err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--attribute", "sentimnt"], "Did you mean 'sentiment'?"),
        (["--attribute", "label:gener"], "g.jsonl:1: no field 'gener'; it has 'item', 'text', 'genre', 'ppl'"),
        (["--attribute", "label:ppl"], "g.jsonl:1: field 'ppl': expected a label, got 10; write it in quotes, or"),
        (["--attribute", "set:ppl"], "expected a list of strings"),
        (["--attribute", "number:genre"], "expected a number, got 'novel'"),
        (["--attribute", "topic"], "expected at least 10 different texts to find 10 topics in, got 2"),
        (["--attribute", "topic", "--topics", "lda"], "--topics: expected one of nmf, kmeans; got 'lda'"),
        (["--attribute", "topic", "--n-topics", "1"], "--n-topics"),
        (["--group", "book"], "g.jsonl:1: no field 'book'"),
        (["--group", "text"], "not in g.jsonl; add it there"),
        (["--text", "txt"], "no field 'txt'; it has 'item', 'text', 'genre', 'ppl': set --text. Did you mean 'text'?"),
        (["--keep", "ppl"], "--keep: expected a condition such as 'perplexity<=20', got 'ppl'"),
        (["--keep", "ppl<=1"], "--keep ppl <= 1: leaves no item with at least 2 texts on both sides"),
        (["--keep", "pl<=20"], "no field 'pl'"),
        (["--out", "x.txt"], "--out x.txt: expected a name that ends in .csv or .json"),
        (["--figure", "x.png"], "--figure x.png: expected a name that ends in .html"),
        (["--sentiment-model", "x", "--attribute", "label:genre"], "belong to --attribute sentiment"),
        (["--positive", "good"], "names a label of --sentiment-model"),
        (["--embedder", "x"], "belongs to --attribute embedding or --topics kmeans"),
        (["--sentiment-model", "./none"], "./none: no such folder; expected one with a classifier"),
        (["--draws", "3"], "--draws"),
        (["--seed", "-1"], "--seed"),
        (["--generated", "none.jsonl"], "none.jsonl: no such file"),
        (["--generated", "."], "got a folder"),
    ],
)
def test_bad_input_is_one_line(capsys, more, said):
    assert said in refused(capsys, *ask(*more))


def test_items_of_one_file_only(capsys, here):
    write(here / "s.jsonl", [{"item": item, "text": GOOD} for item in [*ITEMS[1:], "book 10"] for _ in range(2)])
    said = refused(capsys, *ask())
    assert said.startswith(
        "g.jsonl: item 'book 0': not in s.jsonl; add it there, or leave such items out with --skip-m"
    )
    write(here / "s.jsonl", [{"item": item, "text": GOOD} for item in [*ITEMS, *ITEMS[1:]]])
    assert "s.jsonl: item 'book 0': has one text; expected at least 2" in refused(capsys, *ask())
    write(here / "s.jsonl", [{"item": item, "text": " "} for item in ITEMS])
    assert "s.jsonl: every text is empty" in refused(capsys, *ask())


@pytest.mark.slow
def test_the_page_draws_in_a_browser(capsys, here):
    assert run(capsys, *ask("--attribute", "label:genre", "--figure", "m.html"))[0] == 0
    with opened_page(here / "m.html") as (tab, events):
        tab.wait_for_selector("#figure-attribute-1 svg.main-svg")
        assert tab.locator("#verdict .sentence").count() == 1
        assert events["console"] == events["error"] == []
        assert events["request"] == [(here / "m.html").as_uri()]
