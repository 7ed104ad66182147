"""`clens pairs`: lint with its exit status, a new file, other names for the sides in every table."""

import json
from dataclasses import replace

import pytest
from commands import run
from pairs_files import exchangeable_pairs

from creativity_lens import lint as lint_module
from creativity_lens.lint import Finding
from creativity_lens.prompts import load_pairs, write_pairs
from creativity_lens.sides import Sides, write_sides
from creativity_lens.statistics import Estimate

GOOD = Finding(
    "adjectives", {"all": Estimate(0.5, 0.47, 0.53, 120), "train": Estimate(0.51, 0.46, 0.56, 72)}, (0.38, 0.62)
)
BAD = replace(GOOD, check="near-duplicates between pairs", limit=(0.0, 0.0), failing=("all",), details=tuple("abcdefg"))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


@pytest.fixture
def file(here):
    write_pairs(here / "pairs.jsonl", [replace(pair, split=None) for pair in load_pairs()[:12]])
    return here / "pairs.jsonl"


def found_by(monkeypatch, *findings):
    monkeypatch.setattr(lint_module, "lint_pairs", lambda pairs: list(findings))


def test_lint_passes(capsys, monkeypatch, file):
    found_by(monkeypatch, GOOD)
    status, out, err = run(capsys, "pairs", "lint", file)
    assert (status, err) == (0, "")
    assert "0.50 (0.47 to 0.53)" in out
    assert "0.38 to 0.62" in out


def test_lint_fails_with_status_1_and_says_where(capsys, monkeypatch, file):
    found_by(monkeypatch, GOOD, BAD)
    status, out, err = run(capsys, "pairs", "lint", file)
    assert status == 1
    assert err == "clens: 1 check beyond the limit.\n"
    assert "FAIL: all" in out
    assert out.rstrip().endswith("and 2 more (--json shows all)")


def test_lint_as_json(capsys, monkeypatch, file):
    found_by(monkeypatch, GOOD, BAD)
    status, out, _ = run(capsys, "pairs", "lint", file, "--json")
    good, bad = json.loads(out)[str(file)]
    assert status == 1
    assert (good["passed"], bad["passed"], bad["details"]) == (True, False, list("abcdefg"))
    assert good["values"]["all"] == {"value": 0.5, "low": 0.47, "high": 0.53, "n": 120}


@pytest.mark.slow
def test_lint_of_the_shipped_files(capsys):
    status, out, err = run(capsys, "pairs", "lint")
    assert (status, err) == (0, "")
    assert {"pairs", "adversarial", "control_register"} <= {line.strip() for line in out.splitlines()}
    assert "FAIL" not in out


@pytest.mark.slow
def test_lint_of_a_real_file_that_breaks_a_limit(capsys, here):
    pairs = [
        replace(pair, creative_response=pair.creative_response.replace(" the ", " the small old "))
        for pair in exchangeable_pairs(400, topics=120)
    ]
    write_pairs(here / "ornate.jsonl", pairs)
    status, out, _ = run(capsys, "pairs", "lint", "ornate.jsonl")
    assert status == 1
    (line,) = (line for line in out.splitlines() if line.strip().startswith("adjectives"))
    assert "FAIL: all" in line


def test_lint_of_a_file_that_is_not_sound_is_bad_input(capsys, here):
    (here / "pairs.jsonl").write_text('{"id": "a"}\n')
    status, out, err = run(capsys, "pairs", "lint", "pairs.jsonl")
    assert (status, out) == (2, "")
    assert err.startswith("clens: error: pairs.jsonl:1: field 'topic': missing")


def test_other_sides_are_named_in_the_tables(capsys, monkeypatch, file):
    write_sides(file, Sides("formal", "casual"))
    found_by(monkeypatch, GOOD)
    assert "AUC of formal against casual texts" in " ".join(run(capsys, "pairs", "lint", file)[1].split())
    one = load_pairs(file)[0].id
    out = run(capsys, "pairs", "show", one, "--file", file)[1]
    assert "formal response" in out
    assert "casual response" in out
    assert "creative" not in out.splitlines()[4:8]
    assert "terse response" in run(capsys, "pairs", "show", one, "--file", file, "--sides", "terse,wordy")[1]


def test_a_new_file_is_a_template_that_check_leads_through(capsys, here):
    status, out, _ = run(capsys, "pairs", "new", "mine.jsonl")
    assert status == 0
    assert "clens pairs check mine.jsonl" in out
    rows = [json.loads(line) for line in (here / "mine.jsonl").read_text().splitlines()]
    assert [row["kind"] for row in rows] == ["premise", "manner", "response"]
    assert run(capsys, "pairs", "check", "mine.jsonl")[2].startswith(
        "clens: error: mine.jsonl:1: field 'id': expected a text"
    )
    assert not (here / "mine.jsonl.meta.json").exists()


def test_a_new_file_with_other_sides_has_a_sidecar(capsys, here):
    out = run(capsys, "pairs", "new", "mine.jsonl", "--sides", "formal,casual")[1]
    assert "its sides are formal and casual" in out
    assert json.loads((here / "mine.jsonl.meta.json").read_text()) == {"sides": ["formal", "casual"]}


def test_a_new_file_does_not_overwrite(capsys, here):
    (here / "mine.jsonl").write_text("kept")
    status, _, err = run(capsys, "pairs", "new", "mine.jsonl")
    assert status == 2
    assert err.startswith("clens: error: mine.jsonl: exists already; expected a new file")
    assert (here / "mine.jsonl").read_text() == "kept"
