"""Each set as published: small made-up folders to the last value, the real files to the counts that were published."""

import json
import math
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rated_files as files
from fake_pairs import refusal

from creativity_lens import rows as rows_module
from creativity_lens.ratings import LEVELS, SETS, dat, hanna, lamp, load_ratings, ocsai, ttcw

REAL = Path(__file__).parent.parent.parent / "shared" / "ratings"
READERS = {"ttcw": ttcw.read, "hanna": hanna.read, "ocsai": ocsai.read, "lamp": lamp.read, "dat": dat.read}
real = pytest.mark.skipif(not REAL.is_dir(), reason="the published files are not beside this checkout")


def made(tmp_path, name):
    folder = files.FOLDERS[name](tmp_path / name)
    return folder, READERS[name](folder)


# HANNA


def test_hanna_by_its_lists(tmp_path):
    folder, ratings = made(tmp_path, "hanna")
    assert ratings.criteria == list(files.NAMES)
    assert len(ratings) == 3 * 4 * 3 * 6
    assert set(ratings.frame["panel"]) == {"crowd"}
    assert set(ratings.frame["scale"]) == {"1-5"}
    assert ratings.group_name == "prompt"
    items = ratings.items.set_index("item")
    assert items.index.tolist() == [str(n) for n in range(12)]
    assert items.loc["6"].drop("text").tolist()[:3] == [files.PROMPTS[2], "prompt 2", "Alpha"]
    assert items["text"].notna().sum() == 5
    assert items.loc["1", "text"] == files.human_story(1)
    assert items.loc["11", "text"] == "Beta on the last one."
    for c, criterion in enumerate(files.NAMES):
        matrix = ratings.matrix(criterion)
        assert matrix.columns.tolist() == ["Human 1", "Human 2", "Human 3"]
        wanted = [[files.hanna_rating(n // 4, n % 4, r, c) for r in range(3)] for n in range(12)]
        np.testing.assert_array_equal(matrix.to_numpy(), wanted)
    (folder / "hanna_with_text.csv").unlink()
    assert hanna.read(folder).items["text"].notna().sum() == 4


def test_hanna_by_its_main_file(tmp_path):
    ratings = hanna.read(files.hanna_main(tmp_path / "main"))
    lists = hanna.read(files.hanna(tmp_path / "lists"))
    assert ratings.items["text"].notna().all()
    assert set(ratings.items["group"]) == {"prompt 0", "prompt 1", "prompt 2", "prompt 3"}
    assert ratings.items.set_index("item").loc["7", "text"] == "Alpha on 3."
    for criterion in files.NAMES:
        pd.testing.assert_series_equal(ratings.means(criterion), lists.means(criterion))
    # the worker with two assignments on story 6 counts as two raters of it
    assert ratings.matrix("surprise").loc["6"].dropna().index.tolist() == ["W0", "W0 (2)", "W2"]
    assert ratings.matrix("surprise").loc["5"].dropna().index.tolist() == ["W0", "W1", "W2"]


def test_the_main_file_is_taken_where_both_are(tmp_path):
    folder = files.hanna(tmp_path / "both")
    shutil.copy(files.hanna_main(tmp_path / "main") / hanna.MAIN, folder)
    assert "W1" in hanna.read(folder).frame["rater"].tolist()


HANNA_SPOILED = {
    "a column is missing": (hanna.SCORES, lambda rows: [row.pop("Human 2 EM") for row in rows], "no column 'Human 2 E"),
    "a list is short": (
        hanna.SCORES,
        lambda rows: rows[1].update({"Human 2 EM": "[1, 2, 3]"}),
        "hanna_metric_scores_llm.csv:3: 'Human 2 EM': expected 4 values, one per prompt, got 3",
    ),
    "no list": (hanna.SCORES, lambda rows: rows[0].update({"Human 1 RE": "__import__('os')"}), "expected a list of"),
    "NaN in it": (hanna.SCORES, lambda rows: rows[0].update({"Human 1 RE": "[1, 2, NaN, 3]"}), "expected a list of"),
    "true in it": (hanna.SCORES, lambda rows: rows[0].update({"Human 1 RE": "[1, 2, true, 3]"}), "expected a list of"),
    "deep": (hanna.SCORES, lambda rows: rows[0].update({"Human 1 RE": "[" * 99_999}), "expected a list of numbers"),
    "off the scale": (hanna.SCORES, lambda rows: rows[1].update({"Human 3 SU": "[1, 2, 6, 3]"}), ": 6 is off the"),
    "a system twice": (hanna.SCORES, lambda rows: rows[1].update(Model="Human"), "'Human' stands twice"),
    "a prompt is missing": (hanna.STORIES, lambda rows: [rows.pop(3), rows.pop(6)], "expected 3 values"),
    "two human stories": (hanna.STORIES, lambda rows: rows[5].update(Human="Another."), "another human story th"),
    "another prompt": (hanna.WITH_TEXT, lambda rows: rows[1].update(prompt="x"), "has another system or prompt"),
    "another system": (hanna.WITH_TEXT, lambda rows: rows[1].update(system="Alpha"), "another system or prompt"),
    "no such story": (hanna.WITH_TEXT, lambda rows: rows[1].update(story_id="12"), "another system or prompt"),
    "half a story": (hanna.WITH_TEXT, lambda rows: rows[1].update(story_id="1.5"), "expected a whole number, got 1.5"),
    "another mean": (hanna.WITH_TEXT, lambda rows: rows[1].update(surprise_mean="1.111"), "this is not the text of"),
    "another human text": (hanna.WITH_TEXT, lambda rows: rows[0].update(text="x"), "story 1 has another text before"),
}  # fmt: skip


@pytest.mark.parametrize("case", HANNA_SPOILED)
def test_a_spoiled_hanna_is_refused(tmp_path, case):
    name, change, said = HANNA_SPOILED[case]
    folder = files.hanna(tmp_path / "hanna")
    files.change_csv(folder / name, change)
    assert said in refusal(hanna.read, folder)


MAIN_SPOILED = {
    "a column is missing": (lambda rows: [row.pop("Worker ID") for row in rows], ":1: no column 'Worker ID'"),
    "no number": (lambda rows: rows[0].update(Surprise="high"), ":4: 'Surprise': expected a number, got 'high'"),
    "off the scale": (lambda rows: rows[0].update(Surprise="0"), ":4: 'Surprise': 0 is off the scale 1-5"),
    "an assignment twice": (lambda rows: rows.append(dict(rows[0])), "assignment 'A200' stands twice for story 0"),
    "two texts": (lambda rows: rows[0].update(Story="Else."), "different values of 'text'"),
}


@pytest.mark.parametrize("case", MAIN_SPOILED)
def test_a_spoiled_main_file_is_refused(tmp_path, case):
    change, said = MAIN_SPOILED[case]
    folder = files.hanna_main(tmp_path / "hanna")
    files.change_csv(folder / hanna.MAIN, change)
    assert said in refusal(hanna.read, folder)


# TTCW


def test_ttcw(tmp_path):
    _, ratings = made(tmp_path, "ttcw")
    assert ratings.criteria == [*files.TESTS, "tests passed"]
    assert len(ratings) == 2 * 2 * 3 * (3 + 1)
    assert (ratings.group_name, set(ratings.frame["panel"])) == ("plot", {"expert"})
    items = ratings.items.set_index("item")
    assert items.index.tolist() == ["0_NewYorker", "0_Claude", "1_NewYorker", "1_Claude"]
    assert items["text"].isna().tolist() == [True, False, True, False], "an address is no text"
    assert items.loc["1_Claude", ["prompt", "group", "author"]].tolist() == ["A plot, number 1.", "1", "Claude"]
    for t, test in enumerate(files.TESTS, start=1):
        matrix = ratings.matrix(test)[["expert 9", "expert 1", "expert 7"]]
        wanted = [[files.ttcw_verdict(p, a, e, t) == "Yes" for e in range(3)] for p in range(2) for a in range(2)]
        np.testing.assert_array_equal(matrix.to_numpy(), wanted)
        assert set(ratings.rows(test)["scale"]) == {"0-1"}
    passed = ratings.matrix("tests passed")
    np.testing.assert_array_equal(passed, sum(ratings.matrix(test)[list(passed)] for test in files.TESTS))
    assert set(ratings.rows("tests passed")["scale"]) == {"0-3"}


TTCW_SPOILED = {
    "no verdict": (ttcw.VERDICTS, lambda all_: all_[4].pop("binary_verdict"), "entry 5: no 'binary_verdict'"),
    "perhaps": (ttcw.VERDICTS, lambda all_: all_[4].update(binary_verdict="Maybe"), "expected Yes or No, got 'Maybe'"),
    "a list": (ttcw.VERDICTS, lambda all_: all_[4].update(binary_verdict=[1]), "expected a string, got [1]"),
    "one is missing": (ttcw.VERDICTS, lambda all_: all_.pop(), "'1_Claude', expert 7: expected 3 verdicts, one"),
    "one is twice": (ttcw.VERDICTS, lambda all_: all_.append(all_[0]), "expected 3 verdicts, one per test, got 4"),
    "unknown story": (ttcw.VERDICTS, lambda all_: all_[0].update(story_id="7_X"), "story '7_X' is not in ttcw_short"),
    "a test of two names": (ttcw.VERDICTS, lambda all_: all_[0].update(category="End"), "differently before"),
    "no plot": (ttcw.STORIES, lambda all_: all_[1].pop("plot"), "entry 2: no 'plot'"),
    "an id of another form": (ttcw.STORIES, lambda all_: all_[1].update(story_id="7"), "such as 3_GPT4 (plot, author)"),
    "a story twice": (ttcw.STORIES, lambda all_: all_.append(all_[0]), "story '0_NewYorker' stands twice"),
    "a surrogate": (ttcw.STORIES, lambda all_: all_[1].update(content="\ud800"), "a lone surrogate"),
}  # fmt: skip


@pytest.mark.parametrize("case", TTCW_SPOILED)
def test_a_spoiled_ttcw_is_refused(tmp_path, case):
    name, change, said = TTCW_SPOILED[case]
    folder = files.ttcw(tmp_path / "ttcw")
    files.change_json(folder / name, change)
    assert said in refusal(ttcw.read, folder)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'[{"story_id": "0_A"', "not JSON (Expecting ',' delimiter); expected the verdicts of TTCW: was it cut?"),
        (b"", "the file is empty"),
        (b"{}", "a JSON list of objects"),
        (b"[]", "a JSON list of objects"),
        (b"[1]", "a JSON list of objects"),
        (b"\0" * 100, "got a binary file"),
        (b"\xff\xfe[", "not UTF-8"),
        (b"[" * 200_000, "nested too deep"),
        (b'[{"story_id": 1' + b"0" * 5000 + b"}]", "a number too long"),
    ],
)
def test_what_is_no_list_of_objects_is_refused(tmp_path, data, said):
    folder = files.ttcw(tmp_path / "ttcw")
    (folder / ttcw.VERDICTS).write_bytes(data)
    assert said in refusal(ttcw.read, folder)


# ocsai


def test_ocsai(tmp_path):
    _, ratings = made(tmp_path, "ocsai")
    assert ratings.items["item"].tolist() == ["test 1", "test 2", "validation 1", "validation 2", "validation 3"]
    assert ratings.means("originality").tolist() == [2.7, 4.1, 1.0, 1.5, 5.0]
    items = ratings.items
    assert items["text"][:3].tolist() == ["a very small step", "puppet\nfor two", "doorstop"]
    assert items["text"][3:].isna().all(), "a blank answer is none"
    assert items["group"].tolist() == items["prompt"].tolist() == ["brick", "sock", "brick", "brick", "sock"]
    assert items["source"].tolist() == ["test", "test", "validation", "validation", "validation"]
    assert ratings.frame["rater"].isna().all()
    assert ratings.matrix("originality").empty
    assert (set(ratings.frame["scale"]), ratings.group_name) == ({"1-5"}, "object")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "AUT Prompt:brick\\nResponse:x\\nScore:\\n", "completion": "51"}', "from 1 to 5, got 51"),
        ('{"prompt": "AUT Prompt:brick\\nResponse:x\\nScore:\\n", "completion": "2O"}', "expected a number, got '2O'"),
        ('{"prompt": "AUT Prompt:brick\\nResponse:x\\nScore:\\n"}', "no 'completion'"),
        ('{"prompt": "brick: x", "completion": "20"}', "expected 'AUT Prompt:...'"),
        ('{"prompt": 3, "completion": "20"}', "expected 'AUT Prompt:...'"),
        ('{"prompt": null, "completion": "20"}', "expected a string, got null"),
        ('{"prompt": "AUT Pro', "not JSON"),
    ],
)
def test_a_spoiled_answer_is_refused(tmp_path, line, said):
    folder = files.ocsai(tmp_path / "ocsai")
    path = folder / "finetune-gt_main2_prepared_val.jsonl"
    path.write_text(path.read_text("utf-8") + line + "\n", "utf-8")
    message = refusal(ocsai.read, folder)
    assert f"{path.name}:4: " in message
    assert said in message


# LAMP


@pytest.mark.parametrize("published", [None, "AI_Pred_AI_edited.json", "LAMP.json"])
def test_lamp(tmp_path, published):
    ratings = lamp.read(files.lamp(tmp_path / "lamp", published=published))
    items = ratings.items
    ids = ["ann_1:before", "ann_1:after", "bob_2:before", "bob_2:after", "ann_1#2:before", "ann_1#2:after"]
    assert items["item"].tolist() == ids, "two paragraphs of one id are kept apart"
    assert items["group"].tolist() == ["ann_1", "ann_1", "bob_2", "bob_2", "ann_1#2", "ann_1#2"]
    assert items["text"].tolist() == ["Before 0.", "After, 0.", "Before 1.", "After, 1.", "Before 2.", "After, 2."]
    assert items["prompt"].tolist()[::2] == ["What happened 0?", "What happened 1?", "What happened 2?"]
    assert items["author"].tolist()[::2] == ["one", "two", "two"]
    assert ratings.means("quality", "writer").tolist() == [3, 8, 5, 6, 4, 4]
    assert (set(ratings.frame["rater"]), set(ratings.frame["scale"])) == ({"editor"}, {"1-10"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: [row.pop("postedit") for row in rows], "no column 'postedit'; expected paragraphs of LAMP"),
        (lambda rows: rows[1].update(score_pre="11"), "lamp_edits.csv:3: 11 is off the scale 1-10"),
        (lambda rows: rows[1].update(score_pre=""), ":3: 'score_pre': expected a number, got ''"),
        (lambda rows: rows[1].update(score_post="nan"), "expected a number, got 'nan'"),
    ],
)
def test_a_spoiled_table_of_lamp_is_refused(tmp_path, change, said):
    folder = files.lamp(tmp_path / "lamp")
    files.change_csv(folder / lamp.TABLE, change)
    assert said in refusal(lamp.read, folder)


@pytest.mark.parametrize("scores", [["3"], "38", ["3", None], ["3", "8", "9"]])
def test_a_spoiled_list_of_lamp_is_refused(tmp_path, scores):
    folder = files.lamp(tmp_path / "lamp", published="LAMP.json")
    files.change_json(folder / "LAMP.json", lambda rows: rows[2].update(creativity_scores=scores))
    assert "LAMP.json: entry 3: 'creativity_scores': expected" in refusal(lamp.read, folder)


# DAT


def test_dat(tmp_path):
    _, ratings = made(tmp_path, "dat")
    assert ratings.criteria == [*dat.CRITERIA, "DAT"]
    items = ratings.items.set_index("item")
    assert set(items.index) == {"study 1a: 1", "study 1a: 2", "study 1b: 1", "study 1b: 2", "study 1b: 3"}
    assert items.loc["study 1a: 1", "text"] == ", ".join(['word01, "', *(f"word0{w}" for w in range(3, 11))])
    assert items.loc["study 1a: 2", "text"] == ", ".join(f"word1{w}" for w in range(1, 9)), "two words are missing"
    assert (set(items["group"]), ratings.group_name) == ({"study 1a", "study 1b"}, "study")
    assert ratings.means("originality of other uses", "raters").to_dict() == pytest.approx(
        {"study 1a: 1": 1.4, "study 1a: 2": 0.2, "study 1b: 2": 2.5}
    )
    assert ratings.matrix("originality of other uses").loc["study 1a: 1"].to_dict() == {"1": 1.2, "2": 1.6}
    assert sorted(ratings.means("appropriateness in another task").tolist()) == [1, 3, 5]
    scores = ratings.rows("DAT", "computed")
    assert sorted(scores["value"]) == [60, 70.125, 77.5, 88.25, 91]
    assert (set(scores["rater"]), set(scores["scale"])) == ({"GloVe"}, {"0-200"})
    assert ratings.rows("originality of other uses")["scale"].isna().all()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("word.3", "wrd.3", "no column 'word.3'; expected the people of DAT. Did you mean"),
        ("88.25", "high", ":3: 'dat': expected a number, got 'high'"),
        ("88.25", "-1", "expected a distance from 0 to 200, got -1"),
        ("1.6", "1,6", ":2: 'aut.originality.2': expected a number, got '1,6'; write 3.5, not 3,5"),
        ("\tword01 ", "", ":2: expected 30 cells, as in the header, got 29"),
    ],
)
def test_a_spoiled_dat_is_refused(tmp_path, old, new, said):
    folder = files.dat(tmp_path / "dat")
    text = (folder / "study1a.tsv").read_text("utf-8")
    header = len(text.split("\n")[0].split("\t"))
    (folder / "study1a.tsv").write_text(text.replace(old, new), "utf-8")
    message = refusal(dat.read, folder)
    assert said.replace("30 cells", f"{header} cells").replace("got 29", f"got {header - 1}") in message


# All of them


@pytest.mark.parametrize("name", SETS)
def test_a_folder_without_the_files_says_which(tmp_path, name):
    assert f"{tmp_path / 'none'}: expected a folder of" in refusal(READERS[name], tmp_path / "none")
    (tmp_path / "file").write_text("x")
    assert "got a file" in refusal(READERS[name], tmp_path / "file")
    folder, _ = made(tmp_path, name)
    needed = [path for path in folder.iterdir() if path.name != hanna.WITH_TEXT]
    assert needed
    for path in needed:
        path.rename(tmp_path / "aside")
        said = refusal(READERS[name], folder)
        assert said.startswith(f"{folder}: has no ")
        assert path.name in said
        (tmp_path / "aside").rename(path)


@pytest.mark.parametrize("name", SETS)
def test_a_file_too_large_is_refused(tmp_path, name, monkeypatch):
    folder, _ = made(tmp_path, name)
    monkeypatch.setattr(rows_module, "_LARGEST_FILE", 100)
    assert "larger than" in refusal(READERS[name], folder)


@pytest.mark.parametrize("name", SETS)
def test_what_is_known_of_a_set_fits_its_reader(tmp_path, name):
    _, ratings = made(tmp_path, name)
    known = SETS[name]
    assert known.name == name == ratings.name
    assert ratings.group_name == known.group_name
    assert known.primary.criterion in known.criteria
    assert known.primary.panel in ratings.panels(known.primary.criterion)
    assert known.primary.level in LEVELS
    if name != "ttcw":
        assert ratings.criteria == list(known.criteria)
    for file in known.files:
        assert file.address.endswith(f"/{file.name}")
        assert len(file.address.split("/")[5]) == 40, "pinned to a full commit"
        assert file.sha256 is None or len(file.sha256) == 64


def test_the_primaries_are_fixed():
    """Fixed before any rating was read: a change here is a change of what was asked."""
    assert {
        name: (known.primary.criterion, known.primary.panel, known.primary.level) for name, known in SETS.items()
    } == {
        "ttcw": ("tests passed", "expert", "author"),
        "hanna": ("surprise", "crowd", "group"),
        "ocsai": ("originality", "raters", "group"),
        "lamp": ("quality", "writer", "group"),
        "dat": ("originality of other uses", "raters", "group"),
    }
    assert [name for name, known in SETS.items() if not known.overall] == ["ocsai"]


# By a spec


def test_a_set_in_a_folder(tmp_path):
    folder, ratings = made(tmp_path, "lamp")
    with pytest.warns(UserWarning, match=r"6 items of lamp; 404 were published"):
        found, known = load_ratings(f"lamp={folder}")
    assert known is SETS["lamp"]
    pd.testing.assert_frame_equal(found.frame, ratings.frame)


def test_specs_that_are_wrong(tmp_path, monkeypatch):
    monkeypatch.setenv("CLENS_CACHE", str(tmp_path / "cache"))
    folder, _ = made(tmp_path, "lamp")
    assert "got 'ttcv'. Did you mean 'ttcw'?" in refusal(load_ratings, "ttcv")
    assert "Did you mean 'lamp'?" in refusal(load_ratings, f"lmp={folder}")
    assert "expected NAME=FOLDER or NAME=FILE.csv" in refusal(load_ratings, "ttcw=")
    assert "has no ttcw_annotations.json" in refusal(load_ratings, f"ttcw={folder}")
    assert "not in the cache; run `clens ratings fetch ttcw`" in refusal(load_ratings, "ttcw")
    assert "not in the cache; get it by hand" in refusal(load_ratings, "lamp")
    assert "no such file; expected ratings in long format" in refusal(load_ratings, "mine.csv")
    assert "no such file" in refusal(load_ratings, "mine=mine.csv")
    assert "expected ttcw" in refusal(load_ratings, "x" * 5000)
    assert "expected ttcw" in refusal(load_ratings, "")


def test_a_set_in_the_cache_is_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("CLENS_CACHE", str(tmp_path))
    files.ttcw(SETS["ttcw"].folder)
    assert SETS["ttcw"].is_fetched
    assert "its checksum differs" in refusal(load_ratings, "ttcw")
    files.lamp(SETS["lamp"].folder)
    with pytest.warns(UserWarning, match="404 were published"):  # put there by hand, no checksum is known
        assert len(load_ratings("lamp")[0]) == 6


@cache
def real_set(name):
    return load_ratings(f"{name}={REAL / name}")  # warns, and so fails, where not all items are there


# The real ones: their counts, and numbers of the publications that the reader cannot know


@real
@pytest.mark.parametrize(
    ("name", "items", "texts", "groups", "ratings"),
    [
        ("hanna", 1056, 119, 96, 19_008),
        ("ttcw", 48, 36, 12, 2_016 + 144),
        ("ocsai", 4040, 4040, 21, 4040),
        ("lamp", 404, 404, 202, 404),
        ("dat", 426, 426, 2, 3308),
    ],
)
def test_real_counts(name, items, texts, groups, ratings):
    found, known = real_set(name)
    assert known.items == len(found.items) == items
    assert found.items["text"].notna().sum() == texts
    assert found.items["group"].nunique() == groups
    assert len(found) == ratings
    assert sorted(found.criteria) == sorted(known.criteria)


@real
def test_real_files_are_the_pinned_ones():
    import hashlib

    pinned = [(name, file) for name, known in SETS.items() for file in known.files if file.sha256]
    assert len(pinned) == 6
    for name, file in pinned:
        data = (REAL / name / file.name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size, file.sha256)


@real
def test_real_hanna_means_are_those_published():
    ratings, _ = real_set("hanna")
    table = pd.read_csv(REAL / "hanna" / hanna.SCORES)
    assert ratings.frame["rater"].nunique() == 3
    for criterion in files.NAMES:
        published = np.concatenate([json.loads(cell) for cell in table[criterion.capitalize()]])
        np.testing.assert_allclose(ratings.means(criterion).to_numpy(), published, atol=1e-12)
    by_author = ratings.items.groupby("author").size()
    assert len(by_author) == 11
    assert set(by_author) == {96}


@real
def test_real_ttcw_pass_rates_are_those_published():
    ratings, _ = real_set("ttcw")
    verdicts = ratings.frame[ratings.frame["criterion"] != "tests passed"]
    assert len(verdicts) == 2016
    assert ratings.frame["rater"].nunique() == 11
    rates = verdicts.groupby("author")["value"].mean().round(2).to_dict()
    assert rates == {"NewYorker": 0.85, "Claude": 0.30, "GPT3.5": 0.09, "GPT4": 0.28}
    assert (ratings.matrix("tests passed").notna().sum(axis=1) == 3).all()


@real
def test_real_lamp_edits_are_scored_higher():
    ratings, _ = real_set("lamp")
    values = ratings.means("quality").to_numpy().reshape(-1, 2)
    assert values.mean(axis=0).round(1).tolist() == [4.0, 6.5]
    assert round((values[:, 1] > values[:, 0]).mean(), 2) == 0.98
    assert ratings.items["author"].nunique() == 3
    assert sum("#2" in group for group in set(ratings.items["group"])) == 2


@real
def test_real_dat_and_ocsai():
    people = real_set("dat")[0].items["group"].value_counts().to_dict()
    assert people == {"study 1a": 141, "study 1b": 285}
    answers, _ = real_set("ocsai")
    assert answers.items["source"].value_counts().to_dict() == {"test": 3030, "validation": 1010}
    assert answers.items["group"].value_counts().iloc[0] == 1050  # bricks
    assert not math.isnan(answers.means("originality").mean())
