"""Anybody's CSV or JSONL by its columns: read as it stands, nothing left out silently, every fault one line."""

import csv
import json
import random

import pandas as pd
import pytest
from fake_pairs import refusal
from hypothesis import given, settings
from hypothesis import strategies as some

from creativity_lens import rows as rows_module
from creativity_lens.errors import InputError
from creativity_lens.ratings import Ratings, load_ratings, read_columns, read_long, write_long

ROWS = [
    {"story": "The tide, in.", "creativity": 5, "surprise": 2, "worker": "w1", "prompt": "sea", "kind": "expert"},
    {"story": "The tide, in.", "creativity": 7, "surprise": 3, "worker": "w2", "prompt": "sea", "kind": "lay"},
    {"story": 'A "door"\nopened.', "creativity": 1.5, "surprise": 4, "worker": "w1", "prompt": "sea", "kind": "expert"},
    {"story": "The tide, in.", "creativity": 4, "surprise": 1, "worker": "w1", "prompt": "land", "kind": "expert"},
]
NAMED = {"text": "story", "rating": "creativity", "rater": "worker", "group": "prompt"}


def as_csv(path, rows=ROWS):
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_jsonl(path, rows=ROWS):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def changed(*changes):
    """The rows, each of (place, field, value) changed."""
    rows = [dict(row) for row in ROWS]
    for place, field, value in changes:
        rows[place][field] = value
    return rows


def read(path, **options):
    """Read quietly; what is said is returned too."""
    said: list[str] = []
    return read_columns(path, **(NAMED | options), say=said.append), said


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_equal_texts_of_a_group_are_one_item(tmp_path, ending):
    path = {"csv": as_csv, "jsonl": as_jsonl}[ending](tmp_path / f"mine.{ending}")
    ratings, said = read(path, scale="1-7")
    assert said == []
    assert (ratings.name, ratings.group_name, ratings.criteria) == ("mine", "prompt", ["creativity"])
    assert ratings.frame["item"].tolist() == ["1", "1", "2", "3"]
    assert ratings.items["text"].tolist() == ["The tide, in.", 'A "door"\nopened.', "The tide, in."]
    assert ratings.items["group"].tolist() == ["sea", "sea", "land"]
    assert ratings.means("creativity").to_dict() == {"1": 6, "2": 1.5, "3": 4}
    assert set(ratings.frame["scale"]) == {"1-7"}
    assert ratings.panels("creativity") == ["raters"]


def test_several_columns_are_several_criteria(tmp_path):
    ratings, _ = read(as_csv(tmp_path / "a.csv"), rating=["creativity", "surprise"])
    assert ratings.criteria == ["creativity", "surprise"]
    assert ratings.means("surprise").to_dict() == {"1": 2.5, "2": 4, "3": 1}
    assert len(ratings) == 8


def test_a_panel_is_a_column_or_a_name_for_all(tmp_path):
    path = as_csv(tmp_path / "a.csv")
    ratings, said = read(path, panel="kind")
    assert (ratings.panels("creativity"), said) == (["expert", "lay"], [])
    assert "which are not averaged" in refusal(ratings.means, "creativity")
    ratings, said = read(path, panel="expert")
    assert ratings.panels("creativity") == ["expert"]
    assert said == [f"{path}: no column 'expert'; it is taken as the panel of all ratings."]
    _, said = read(path, panel="kin")
    assert said[0].endswith("Did you mean 'kind'?")
    with pytest.warns(UserWarning, match="taken as the panel"):
        read_columns(path, **NAMED, panel="expert")


def test_a_criterion_is_a_column_or_a_name_for_all(tmp_path):
    long = [{"story": "x", "score": n, "what": what} for n, what in enumerate(("surprise", "beauty"))]
    path = as_csv(tmp_path / "a.csv", long)
    ratings = read_columns(path, text="story", rating="score", criterion="what")
    assert ratings.criteria == ["surprise", "beauty"]
    ratings, said = read(as_csv(tmp_path / "b.csv"), criterion="novelty")
    assert ratings.criteria == ["novelty"]
    assert "taken as the criterion" in said[0]
    assert "2 columns of ratings are criteria already" in refusal(
        lambda: read(path, rating=["score", "what"], rater=None, group=None, criterion="x")
    )


def test_named_items_authors_and_prompts(tmp_path):
    rows = [row | {"id": n, "by": f" Ada{n} ", "asked": " Write of the sea. "} for n, row in enumerate(ROWS)]
    ratings, _ = read(as_csv(tmp_path / "a.csv", rows), item="id", author="by", prompt="asked")
    assert ratings.items["item"].tolist() == ["0", "1", "2", "3"]
    assert ratings.items["author"].tolist() == ["Ada0", "Ada1", "Ada2", "Ada3"], "names lose their blanks"
    assert set(ratings.items["prompt"]) == {" Write of the sea. "}, "texts do not"


def test_one_text_by_two_authors_is_two_items(tmp_path):
    rows = [{"text": "doorstop", "score": 3, "by": "Ada"}, {"text": "doorstop", "score": 2, "by": "Bob"}]
    ratings = read_columns(as_csv(tmp_path / "a.csv", rows), rating="score", author="by")
    assert ratings.items["author"].tolist() == ["Ada", "Bob"]


def test_missing_texts_are_kept_and_said(tmp_path):
    path = as_csv(tmp_path / "a.csv", changed((1, "story", " "), (3, "story", "")))
    ratings, said = read(path)
    assert len(ratings) == 4
    assert ratings.items["text"].isna().sum() == 2
    assert said == [f"{path}: 2 ratings have neither text nor item: each is taken as of an item of its own."]
    rows = [row | {"id": n // 2} for n, row in enumerate(changed((0, "story", ""), (1, "story", "")))]
    ratings, said = read(as_csv(path, rows[:2]), item="id")
    assert (said, len(ratings.items), ratings.means("creativity").tolist()) == ([], 1, [6])


def test_empty_ratings_are_passed_over_and_said(tmp_path):
    path = as_jsonl(tmp_path / "a.jsonl", changed((0, "creativity", None), (2, "creativity", " ")))
    ratings, said = read(path)
    assert len(ratings) == 2
    assert said == [f"{path}: 2 empty ratings passed over (lines 1, 3)."]
    assert "no ratings; expected numbers in 'creativity'" in refusal(
        read, as_jsonl(path, [row | {"creativity": None} for row in ROWS])
    )


def test_a_field_may_be_left_out_of_a_jsonl_row(tmp_path):
    rows = changed()
    del rows[1]["prompt"]
    assert read(as_jsonl(tmp_path / "a.jsonl", rows))[0].items["group"].isna().tolist() == [False, True, False, False]


def test_constant_ratings_are_fine(tmp_path):
    rows = [row | {"creativity": 4} for row in ROWS]
    assert set(read(as_csv(tmp_path / "a.csv", rows))[0].frame["value"]) == {4}


@pytest.mark.parametrize("written", ["5", " 5 ", "5.0", "+5", "5e0", ".5e1"])
def test_numbers_as_they_are_written(tmp_path, written):
    assert read(as_csv(tmp_path / "a.csv", changed((0, "creativity", written))))[0].frame["value"][0] == 5


BAD = {
    "wrong text column": ({"text": "stroy"}, [], "no column 'stroy'; it has 'story', 'creativity'"),
    "the nearest": ({"text": "stroy"}, [], "Did you mean 'story'?"),
    "wrong rating column": ({"rating": "creative"}, [], "no column 'creative'"),
    "wrong rater column": ({"rater": "workr"}, [], "Did you mean 'worker'?"),
    "wrong group column": ({"group": "promt"}, [], "Did you mean 'prompt'?"),
    "one rating column twice": ({"rating": ["creativity", "creativity"]}, [], "expected different columns"),
    "no rating column": ({"rating": []}, [], "expected different columns"),
    "off the scale": ({"scale": "1-7"}, [(2, "creativity", 8)], "'creativity': 8 is off the scale 1-7"),
    "no scale": ({"scale": "seven"}, [], "expected two rising numbers such as 1-7, got 'seven'"),
    "a word": ({}, [(2, "creativity", "high")], "'creativity': expected a number, got 'high'"),
    "NA": ({}, [(2, "creativity", "NA")], "expected a number, got 'NA'; mend it, or leave it empty"),
    "nan": ({}, [(2, "creativity", "nan")], "expected a number, got 'nan'"),
    "infinite": ({}, [(2, "creativity", "1e999")], "expected a number"),
    "underscores": ({}, [(2, "creativity", "1_0")], "expected a number, got '1_0'"),
    "other digits": ({}, [(2, "creativity", "\u0663")], "expected a number"),
    "a comma": ({}, [(2, "creativity", "3,5")], "write 3.5, not 3,5"),
    "the same rater twice": ({}, [(1, "worker", "w1")], "rater 'w1' rated 'The tide, in.' on 'creativity' twice"),
    "no rater": ({"rater": None}, [], "a second rating of 'The tide, in.' on 'creativity' (before on line"),
    "an empty rater": ({}, [(0, "worker", ""), (1, "worker", "")], "and no rater; fill 'worker', or keep one row"),
    "an empty panel": ({"panel": "kind"}, [(1, "kind", " ")], "no panel ('kind' is empty)"),
    "an item of two texts": ({"item": "prompt"}, [(1, "story", "x")], "item 'sea' has another text than on line"),
    "an item of two groups": ({"item": "story"}, [], "item 'The tide, in.' has another group than on line"),
}  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("case", BAD)
def test_bad_columns_are_refused(tmp_path, case, ending):
    options, changes, said = BAD[case]
    write = {"csv": as_csv, "jsonl": as_jsonl}[ending]
    message = refusal(lambda: read(write(tmp_path / f"mine.{ending}", changed(*changes)), **options))
    assert said in message
    assert message.startswith("scale: " if case == "no scale" else str(tmp_path / "mine"))


def test_the_line_is_named(tmp_path):
    path = as_jsonl(tmp_path / "a.jsonl", changed((2, "creativity", "x")))
    assert refusal(read, path).startswith(f"{path}:3: ")
    path = as_csv(tmp_path / "a.csv", changed((3, "creativity", "x")))
    assert refusal(read, path).startswith(f"{path}:6: "), "a text of two lines comes before"
    path = as_csv(tmp_path / "a.csv", changed((1, "worker", "w1")))
    assert "(before on line 2)" in refusal(read, path)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"story,creativity,worker,prompt\n", "a header and no rows"),
        ("a.csv", b"story,story\nx,1\n", "the column 'story' stands twice"),
        (
            "a.csv",
            b"story,creativity,worker,prompt\nx,5,w,p,more\n",
            "a.csv:2: expected 4 cells, as in the header, got 5",
        ),
        ("a.csv", b'story,creativity,worker,prompt\n"open,5,w,p\n', "not CSV (unexpected end of data)"),
        ("a.csv", b"PK\x03\x04\0\0\0", "got a binary file"),
        ("a.csv", b"story\n\xff\xfe\n", "not UTF-8"),
        ("a.jsonl", b'{"story": "x", "creativ', "a.jsonl:1: not JSON"),
        ("a.jsonl", b"[1]", "expected a JSON object"),
        (
            "a.jsonl",
            b'{"story": 1.5, "creativity": 5, "worker": 1, "prompt": "p"}',
            "'story': expected a string, got 1.5",
        ),
        ("a.jsonl", b'{"story": "\\ud800", "creativity": 5, "worker": 1, "prompt": "p"}', "holds a lone surrogate"),
        ("a.jsonl", b'{"story": "\\u0000", "creativity": 5, "worker": 1, "prompt": "p"}', "holds a NUL"),
        ("a.jsonl", b'{"story": "x", "creativity": true, "worker": 1, "prompt": "p"}', "expected a number, got 'true'"),
        ("a.jsonl", b'{"story": "x", "creativity": [5], "worker": 1, "prompt": "p"}', "expected a number, got '[5]'"),
        ("a.jsonl", b'{"story": "x", "creativity": NaN, "worker": 1, "prompt": "p"}', "expected a number, got 'NaN'"),
        (
            "a.xlsx",
            b"PK",
            "expected a file of ratings: .csv with a header, or .jsonl, one object a line; got the ending",
        ),
    ],
)
def test_bad_files_are_refused(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    assert said in refusal(read, tmp_path / name)


def test_folders_missing_and_huge_files_are_refused(tmp_path, monkeypatch):
    assert "got a folder" in refusal(read, tmp_path)
    assert "no such file" in refusal(read, tmp_path / "a.csv")
    monkeypatch.setattr(rows_module, "_LARGEST_FILE", 50)
    assert "larger than" in refusal(read, as_csv(tmp_path / "a.csv"))


def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path):
    draw = random.Random(0)
    sounds = [as_csv(tmp_path / "a.csv").read_bytes(), as_jsonl(tmp_path / "a.jsonl").read_bytes()]
    refusals = []
    for n in range(200):
        path = tmp_path / ("a.csv", "a.jsonl")[n % 2]
        damaged = bytearray(sounds[n % 2])
        for _ in range(draw.randint(1, 3)):
            start = draw.randrange(len(damaged))
            damaged[start : start + draw.randint(0, 4)] = draw.randbytes(draw.randint(0, 3))
        path.write_bytes(damaged)
        try:
            read(path, scale="1-7")
        except InputError as error:
            refusals.append(str(error))
    assert len(refusals) > 50
    assert [message for message in refusals if not message.isprintable()] == []


# The long format as a file


def test_the_long_format_comes_back_as_it_was(tmp_path):
    ratings, _ = read(as_csv(tmp_path / "a.csv", changed((3, "story", ""))), panel="kind", scale="1-7")
    write_long(ratings, tmp_path / "mine.ratings.csv")
    back = read_long(tmp_path / "mine.ratings.csv")
    assert back.name == "mine"
    pd.testing.assert_frame_equal(back.frame, ratings.frame)
    assert read_long(tmp_path / "mine.ratings.csv", name="else").name == "else"


TEXTS = some.text(
    some.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=20
).filter(str.strip)
NAMES = TEXTS.map(str.strip)


@settings(max_examples=25, deadline=None)
@given(
    cells=some.lists(
        some.tuples(NAMES, TEXTS | some.none(), NAMES | some.none(), some.floats(-1e9, 1e9)), min_size=1, max_size=5
    )
)
def test_any_text_comes_back(tmp_path_factory, cells):
    path = tmp_path_factory.mktemp("long") / "a.csv"
    rows = [
        {"item": f"{n}{item}", "text": text, "group": group, "rater": item, "criterion": item, "value": value}
        for n, (item, text, group, value) in enumerate(cells)
    ]
    ratings = Ratings.of(pd.DataFrame(rows), "a")
    write_long(ratings, path)
    pd.testing.assert_frame_equal(read_long(path).frame, ratings.frame)


def test_specs_of_files(tmp_path, monkeypatch):
    ratings, _ = read(as_csv(tmp_path / "a.csv"))
    monkeypatch.chdir(tmp_path)
    write_long(ratings, tmp_path / "b.csv")
    for spec, name in {"b.csv": "b", "mine=b.csv": "mine", f"x={tmp_path / 'b.csv'}": "x"}.items():
        found, known = load_ratings(spec)
        assert (found.name, known) == (name, None)
        pd.testing.assert_frame_equal(found.frame, ratings.frame)
    (tmp_path / "b=c.csv").write_bytes((tmp_path / "b.csv").read_bytes())
    assert load_ratings("b=c.csv")[0].name == "b=c", "a file is a file, whatever its name"
    assert "b.csv: expected a folder of TTCW" in refusal(load_ratings, "ttcw=b.csv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "story,creativity\nx,5\n",
            "no column 'item'; expected ratings in long format, as `clens ratings import` writes",
        ),
        ("item,text,criterion,value,ratr\n1,x,c,5,w\n", "unknown column 'ratr'"),
        ("item,text,criterion,value,ratr\n1,x,c,5,w\n", "Did you mean 'rater'?"),
        ("item,text,criterion,value\n1,x,c,\n", "a.csv:2: no value"),
        ("item,text,criterion,value\n,x,c,5\n", "a.csv:2: no item"),
        ("item,text,criterion,value\n1,x,c,five\n", "a.csv:2: 'value': expected a number"),
        ("item,text,criterion,value,scale\n1,x,c,9,1-7\n", "a.csv:2: 'value': 9 is off the scale 1-7"),
        ("item,text,criterion,value,scale\n1,x,c,9,7\n", "expected two rising numbers"),
        (
            "item,text,criterion,value\n1,x,c,5\n1,x,c,6\n",
            "a.csv:3: a second rating of item '1' on 'c' (before on line 2)",
        ),
        ("item,text,criterion,value,rater\n1,x,c,5,w\n1,x,c,6,w\n", "rater 'w' rated item '1' on 'c' twice"),
        (
            "item,text,criterion,value,rater\n1,x,c,5,w\n1,y,c,6,v\n",
            "a.csv:3: item '1' has another text than on line 2",
        ),
        ("item,text,criterion,value\n", "a header and no rows"),
    ],
)
def test_what_is_not_in_long_format_is_refused(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text, "utf-8")
    assert said in refusal(read_long, tmp_path / "a.csv")


def test_another_file_is_shown_the_way(tmp_path):
    as_jsonl(tmp_path / "a.jsonl")
    said = refusal(read_long, tmp_path / "a.jsonl")
    assert f"`clens ratings import {tmp_path / 'a.jsonl'} --text COLUMN --rating COLUMN`" in said
    assert "got a folder" in refusal(read_long, tmp_path)
