"""`clens score`: what it prints and writes, and the one line by which it refuses."""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from commands import everything, refused, run
from yardsticks import of_chat, short_pairs

from creativity_lens.activations import collect_activations
from creativity_lens.directions import mean_difference
from creativity_lens.files import write_json
from creativity_lens.prompts import split_pairs, write_pairs
from creativity_lens.text_scores import score_texts

TEXTS = ["The tide came in like a rumour.", "It [red]rained[/red] on \u05e9\u05dc\u05d5\u05dd\x1b[31m.", "Rain."]


@pytest.fixture(scope="module")
def made(chat, tmp_path_factory):
    """A run's folder, as far as scoring reads it; one without a scorer; and a file of directions with its pairs."""
    folder = tmp_path_factory.mktemp("made")
    for name, created in (("old", "2026-01-01T00:00:00Z"), ("new", "2026-01-02T00:00:00Z"), ("bare", "2026-02-01")):
        (folder / "runs" / name).mkdir(parents=True)
        write_json(folder / "runs" / name / "run.json", {"created": created, "status": "finished"})
        if name != "bare":
            of_chat(chat).save(folder / "runs" / name / "scorer.safetensors")
    pairs = list(short_pairs())
    write_pairs(folder / "pairs.jsonl", pairs)
    found = mean_difference(collect_activations(chat, split_pairs(pairs, seed=0)[0], layers=[3, 4]))
    replace(found, positive="imaginative").save(folder / "d.safetensors")
    (folder / "t.jsonl").write_text("".join(json.dumps({"id": f"t{n}", "text": t}) + "\n" for n, t in enumerate(TEXTS)))
    (folder / "t.txt").write_text("one\n\ntwo lines\n", encoding="utf-8")
    (folder / "t.csv").write_text("answer\nhere\n", encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _there(made, monkeypatch):
    monkeypatch.chdir(made)


@pytest.fixture
def new(made):
    """A name for a file to write, gone again afterwards."""
    path = made / "new.out"
    yield lambda ending: path.with_suffix(ending)
    for each in made.glob("new.*"):
        each.unlink()


def test_a_text_is_scored_by_the_newest_run(chat, capsys):
    status, out, err = run(capsys, "score", TEXTS[0])
    assert status == 0
    assert err == f"Scored by {Path('runs') / 'new'}, the newest run.\n"
    row = score_texts(chat, of_chat(chat), TEXTS[:1]).rows[0]
    numbers = out.splitlines()[3].split()
    assert f"{row.score:+.2f}".replace("-", "\u2212") in numbers
    assert f"{row.surprisal:.2f}" in numbers
    assert str(row.n_tokens) in numbers
    assert "% plain" in out
    assert "% imaginative" in out
    assert "among 8 plain and 8 imaginative test responses (8 topics)" in " ".join(out.split())
    assert "[1] the unit has no interval" in out


def test_csv_and_json_hold_what_the_library_gives(chat, capsys):
    expected = score_texts(chat, of_chat(chat), TEXTS).frame
    status, out, err = run(capsys, "score", "--file", "t.jsonl", "-d", "runs/old", "--csv")
    assert (status, err) == (0, "")
    frame = pd.read_csv(io.StringIO(out), keep_default_na=False, dtype={"id": str})
    assert frame["id"].tolist() == ["t0", "t1", "t2"]
    assert frame["text"].tolist() == TEXTS
    assert pd.to_numeric(frame["score"]).tolist() == pytest.approx(expected["score"].tolist(), abs=1e-4)
    status, out, err = run(capsys, "score", "--file", "t.jsonl", "-d", "runs/old", "--json")
    found = json.loads(out)
    assert {key: found[key] for key in ("directions", "model", "layer", "sides", "unit")} == {
        "directions": "runs/old", "model": "pocket-chat", "layer": 4, "sides": ["imaginative", "plain"], "unit": "gaps"
    }  # fmt: skip
    assert found["references"] == {"pairs": 8, "topics": 8}
    assert [row["text"] for row in found["texts"]] == TEXTS
    for name in ("score", "percentile_plain", "percentile_imaginative", "surprisal", "repetition", "tokens"):
        assert [row[name] for row in found["texts"]] == pytest.approx(expected[name].tolist(), abs=1e-4)


def test_a_table_of_texts_cannot_drive_a_terminal(capsys):
    status, out, _ = run(capsys, "score", "--file", "t.jsonl", "-d", "runs/old")
    assert status == 0
    assert "\x1b" not in out
    assert "[red]rained[/red]" in out
    assert "t2" in out


def test_files_are_written_and_empty_lines_named(capsys, new):
    status, out, err = run(capsys, "score", "--file", "t.txt", "-d", "runs/old", "--out", new(".csv"))
    assert (status, out) == (0, "")
    assert err == f"t.txt: 1 empty, passed over (line 2).\n2 texts: {new('.csv')}\n"
    assert pd.read_csv(new(".csv"), dtype={"id": str})["id"].tolist() == ["1", "3"]
    kept = everything(Path.cwd())
    assert f"--out {new('.csv')}: exists" in refused(capsys, "score", "a", "--out", new(".csv"))
    assert everything(Path.cwd()) == kept
    arguments = ("score", "--file", "t.csv", "--column", "answer", "-d", "runs/old", "--force")
    assert run(capsys, *arguments, "--out", new(".csv"))[0] == 0
    assert pd.read_csv(new(".csv"))["text"].tolist() == ["here"]
    assert run(capsys, *arguments, "--out", new(".json"))[0] == 0
    assert json.loads(new(".json").read_text())["texts"][0]["text"] == "here"


def test_coloured_words_are_written(capsys, new):
    status, out, err = run(capsys, "score", "--file", "t.jsonl", "-d", "runs/old", "--tokens", new(".html"))
    assert status == 0
    assert err == f"Words: {new('.html')}\n"
    source = new(".html").read_text("utf-8")
    assert source.count("<article") == 3
    assert "Scores by runs/old" in source
    assert "% plain" in out, "the table is printed too"
    assert "exists; choose" in refused(capsys, "score", "a", "-d", "runs/old", "--tokens", new(".html"))


def test_a_text_from_standard_input(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Two\nlines.\n")))
    status, out, _ = run(capsys, "score", "-", "-d", "runs/old", "--json")
    assert status == 0
    assert json.loads(out)["texts"][0]["text"] == "Two\nlines."
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\xff")))
    assert "standard input: not UTF-8" in refused(capsys, "score", "-", "-d", "runs/old")


def test_directions_of_a_file_are_measured_on_pairs(capsys):
    arguments = ("score", TEXTS[0], "-d", "d.safetensors", "--pairs", "pairs.jsonl", "--sides", "imaginative,plain")
    status, out, err = run(capsys, *arguments, "--json")
    assert status == 0, err
    assert err.startswith("Layer ")
    assert json.loads(out)["sides"] == ["imaginative", "plain"]
    status, out, err = run(capsys, *arguments, "--json", "--layer", 3)
    assert (status, err) == (0, "")
    assert json.loads(out)["layer"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "text: expected one such as"),
        (["a", "--file", "t.txt"], "got both; leave one away"),
        ([" \n"], "text: expected one, got an empty one"),
        (["--file", "none.txt"], "none.txt: no such file"),
        (["--file", "runs"], "runs: expected a file of texts"),
        (["--file", "t.csv"], "t.csv:1: no column 'text'; it has 'answer': set --column"),
        (["--file", "t.csv", "--column", "answr"], "Did you mean 'answer'?"),
        (["--file", "t.txt", "--column", "text"], "--column: t.txt has none"),
        (["a", "-d", "runs/bare"], "runs/bare: has no scorer.safetensors"),
        (["a", "-d", "runs"], "runs: expected a run folder with run.json"),
        (["a", "-d", "nowhere"], "nowhere: no such file"),
        (["a", "-d", "runs/old", "--layer", "3"], "--layer: runs/old is a run, which brings its own"),
        (["a", "-d", "runs/old", "--pairs", "pairs.jsonl"], "--pairs: runs/old is a run"),
        (["a", "-d", "d.safetensors"], "points to imaginative, the pairs to creative"),
        (["a", "-d", "d.safetensors", "--sides", "imaginative,plain", "--layer", "7"], "layer 7: expected one of 3-4"),
        (["a", "-d", "t.txt"], "t.txt: damaged or not a safetensors file"),
        (["a", "--out", "x.txt"], "--out x.txt: expected a name that ends in .csv or .json"),
        (["a", "--out", "x.csv", "--json"], "its ending says how it is written"),
        (["a", "--csv", "--json"], "--csv and --json: expected one of them"),
        (["a", "--tokens", "x.txt"], "--tokens x.txt: expected a name that ends in .html"),
        (["a", "--tokens", "nowhere/x.html"], "nowhere/x.html: cannot be written"),
        (["a", "--devices", "many"], "--devices: expected 'auto' or a whole number"),
        (["a", "-d", "runs/old", "--model", "pocket-base"], "scores of pocket-chat ("),
        (["a", "-d", "runs/old", "--model", "poket-chat"], "Did you mean"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, said):
    assert said in refused(capsys, "score", *arguments)


def test_without_any_run_it_says_what_to_do(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "none under runs/ can score; run `clens sweep`" in refused(capsys, "score", "a")


def test_a_damaged_scorer_is_refused(capsys, made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "x"
    folder.mkdir(parents=True)
    write_json(folder / "run.json", {"created": "2026"})
    data = (made / "runs" / "old" / "scorer.safetensors").read_bytes()
    (folder / "scorer.safetensors").write_bytes(data[:-40])
    assert "scorer.safetensors: damaged" in refused(capsys, "score", "a")
