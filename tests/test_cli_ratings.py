"""`clens ratings`: the list, a fetch, and ratings of one's own brought in; what is wrong is one line."""

import csv
import json
from dataclasses import replace

import pytest
from commands import refused, run
from rated_files import lamp as lamp_files
from test_ratings_columns import as_csv, changed

from creativity_lens.ratings import SETS, load_ratings, sets
from creativity_lens.ratings.sets import RemoteFile

IMPORT = ("--text", "story", "--rating", "creativity", "--rater", "worker", "--group", "prompt")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "140")
    return folder


# list


def test_the_list_names_every_set(capsys):
    status, out, err = run(capsys, "ratings", "list")
    assert (status, err) == (0, "")
    for known in SETS.values():
        (line,) = (line for line in out.splitlines() if line.split()[:1] == [known.name])
        assert f"{known.items:,}" in line
        assert known.licence in line
        assert known.source.split(" @ ")[0] in line
        assert line.rstrip().endswith("no" if known.can_be_fetched else "by hand")


def test_the_list_as_json(capsys):
    lamp_files(SETS["lamp"].folder)
    found = {each["name"]: each for each in json.loads(run(capsys, "ratings", "list", "--json")[1])}
    assert set(found) == {"ttcw", "hanna", "ocsai", "lamp", "dat"}
    assert [name for name, each in found.items() if each["fetched"]] == ["lamp"]
    assert [name for name, each in found.items() if not each["can_be_fetched"]] == ["lamp", "dat"]
    for each in found.values():
        assert {"items", "raters", "criteria", "licence", "source", "note", "folder", "files"} <= set(each)
    assert len(found["ttcw"]["criteria"]) == 15
    assert "do not redistribute" in found["ocsai"]["note"]


# fetch


def test_a_fetched_set_says_what_it_holds_and_how_to_use_it(capsys, monkeypatch, here):
    folder = lamp_files(SETS["lamp"].folder)
    monkeypatch.setitem(sets.SETS, "lamp", replace(SETS["lamp"], items=6))
    status, out, err = run(capsys, "ratings", "fetch", "lamp")
    assert status == 0
    assert "there already, put there by hand" in err
    assert f"note: {SETS['lamp'].note}" in err
    first, second = out.splitlines()
    assert first == (
        f"{folder}: 6 texts; 6 ratings by 1 rater; criterion quality; panel writer; 3 groups by paragraph; scale 1-10."
    )
    assert second == "Use it: clens ratings validate RUN --ratings lamp"


def test_a_fetch_that_fails_is_one_line(capsys, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    gone = RemoteFile("a.json", "http://127.0.0.1:9/a.json", "0" * 64, 10)
    monkeypatch.setitem(sets.SETS, "ttcw", replace(SETS["ttcw"], files=(gone,)))
    said = refused(capsys, "ratings", "fetch", "ttcw")
    assert "a.json could not be fetched: no connection; get http://127.0.0.1:9/a.json by hand, into" in said
    assert "--ratings ttcw=FOLDER" in said
    assert "cannot be fetched" in refused(capsys, "ratings", "fetch", "dat")
    assert "Did you mean 'ocsai'?" in refused(capsys, "ratings", "fetch", "ocasi")


# import


def test_an_import_writes_the_long_format_and_says_what_was_read(capsys, here):
    as_csv(here / "mine.csv")
    status, out, err = run(capsys, "ratings", "import", "mine.csv", *IMPORT, "--panel", "expert", "--scale", "1-7")
    assert status == 0
    assert err == "note: mine.csv: no column 'expert'; it is taken as the panel of all ratings.\n"
    assert out.splitlines() == [
        "mine.ratings.csv: 3 texts; 4 ratings by 2 raters; criterion creativity; panel expert; 2 groups by prompt; "
        "scale 1-7.",
        "Use it: clens ratings validate RUN --ratings mine.ratings.csv",
    ]
    ratings, known = load_ratings("mine.ratings.csv")
    assert known is None
    assert ratings.name == "mine"
    assert ratings.means("creativity", "expert").to_dict() == {"1": 6, "2": 1.5, "3": 4}
    with (here / "mine.ratings.csv").open(newline="") as handle:
        assert next(csv.reader(handle))[0] == "item"


def test_an_import_of_everything(capsys, here):
    rows = [row | {"id": n, "by": "Ada", "asked": "Write."} for n, row in enumerate(changed((1, "story", "")))]
    as_csv(here / "mine.csv", rows)
    options = (
        "--rating",
        "creativity, surprise",
        "--panel",
        "kind",
        "--item",
        "id",
        "--author",
        "by",
        "--prompt",
        "asked",
    )
    status, out, err = run(capsys, "ratings", "import", "mine.csv", *IMPORT, *options, "--out", "b.csv", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out) == {
        "out": "b.csv", "ratings": 8, "items": 4, "texts": 3, "raters": 2, "criteria": ["creativity", "surprise"],
        "panels": ["expert", "lay"],
    }  # fmt: skip
    frame = load_ratings("b.csv")[0].frame
    assert set(frame["author"]) == {"Ada"}
    assert set(frame["prompt"]) == {"Write."}


def test_mixed_panels_and_missing_texts_are_said(capsys, here):
    as_csv(here / "mine.csv", changed((3, "story", "")))
    _, out, err = run(capsys, "ratings", "import", "mine.csv", *IMPORT, "--panel", "kind")
    assert "3 texts (1 of them missing: kept, but not scored)" in out
    assert "panels, kept apart: expert, lay" in out
    assert "1 rating has neither text nor item" in err


def test_means_without_raters(capsys, here):
    as_csv(here / "mine.csv", [{"text": "x", "score": 3.5}, {"text": "y", "score": 2}])
    out = run(capsys, "ratings", "import", "mine.csv", "--rating", "score")[1]
    assert out.startswith("mine.ratings.csv: 2 texts; 2 means; criterion score; panel raters.\n")


def test_an_import_does_not_overwrite(capsys, here):
    as_csv(here / "mine.csv")
    (here / "mine.ratings.csv").write_text("kept")
    said = refused(capsys, "ratings", "import", "mine.csv", *IMPORT)
    assert said == "--out mine.ratings.csv: exists; choose another name or add --force."
    assert run(capsys, "ratings", "import", "mine.csv", *IMPORT, "--force")[0] == 0
    assert "this is the file that is read" in refused(
        capsys, "ratings", "import", "mine.csv", *IMPORT, "--out", here / "mine.csv", "--force"
    )


BAD = {
    "wrong column": (("--author", "workr"), "mine.csv:1: no column 'workr'"),
    "the nearest": (("--author", "workr"), "Did you mean 'worker'?"),
    "off the scale": (("--scale", "1-5", "--panel", "expert"), "mine.csv:3: 'creativity': 7 is off the scale 1-5"),
    "no scale": (("--scale", "5"), "scale: expected two rising numbers such as 1-7, got '5'"),
    "another ending": (("--out", "a.json"), "--out a.json: expected a name that ends in .csv"),
    "no folder": (("--out", "none/a.csv"), "none/a.csv: cannot be written"),
    "no rating": (("--rating", ","), "expected different columns"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_options_are_one_line(capsys, here, case):
    options, said = BAD[case]
    as_csv(here / "mine.csv")
    assert said in refused(capsys, "ratings", "import", "mine.csv", *IMPORT, *options)


def test_bad_files_are_one_line(capsys, here):
    assert "mine.csv: no such file" in refused(capsys, "ratings", "import", "mine.csv", *IMPORT)
    as_csv(here / "mine.csv", changed((0, "creativity", "[red]high\x1b[2J")))
    said = refused(capsys, "ratings", "import", "mine.csv", *IMPORT)
    assert "expected a number, got '[red]high" in said
    as_csv(here / "mine.csv", changed((1, "worker", "w1")))
    assert "rater 'w1' rated 'The tide, in.' on 'creativity' twice" in refused(
        capsys, "ratings", "import", "mine.csv", *IMPORT
    )


def test_every_command_has_an_example(capsys):
    for command in ("list", "fetch", "import"):
        assert f"Example: clens ratings {command}" in run(capsys, "ratings", command, "--help")[1]
