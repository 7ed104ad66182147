"""Texts are read as they stand in the file; whatever is wrong with it is one line."""

import csv

import pytest
from fake_pairs import refusal
from hypothesis import given
from hypothesis import strategies as some

from creativity_lens.errors import InputError
from creativity_lens.text_files import load_texts

ODD = [
    "plain",
    'a "quoted" word, and a comma',
    "two\nlines",
    "\u05e9\u05dc\u05d5\u05dd",
    "\U0001f408\u200d\u2b1b",
    "a\u2028b",
    "  led",
]


def written(path, data):
    path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
    return path


def test_lines(tmp_path):
    found = load_texts(written(tmp_path / "a.txt", "first\n\n  \nsecond, with \u2028 inside\r\nlast"))
    assert found.texts == ("first", "second, with \u2028 inside", "last")
    assert found.ids == ("1", "4", "5")
    assert found.empty == (2, 3)
    assert load_texts(written(tmp_path / "b.txt", "\ufeffone\n")).texts == ("one",)
    assert load_texts(written(tmp_path / "c.TXT", "one\n\n\n")).empty == (), "line ends at the end are no texts"


def test_objects(tmp_path):
    rows = '{"text": "one", "id": "a"}\n\n{"text": "two", "more": [1]}\n{"text": " "}\n{"text": "\\u2028", "id": 7}\n'
    rows += '{"id": null, "text": "three"}\n'
    found = load_texts(written(tmp_path / "a.jsonl", rows))
    assert found.texts == ("one", "two", "three")
    assert found.ids == ("a", "3", "6")
    assert found.empty == (4, 5)
    assert load_texts(written(tmp_path / "b.jsonl", '{"answer": "x"}'), "answer").texts == ("x",)


def test_cells(tmp_path):
    file = tmp_path / "a.csv"
    with file.open("w", newline="", encoding="utf-8-sig") as handle:
        writer = csv.writer(handle)
        writer.writerows([["id", "text", "n"], *([n, text, 1] for n, text in enumerate(ODD)), ["e", "", 1]])
    found = load_texts(file)
    assert list(found.texts) == ODD
    assert found.ids == tuple(str(n) for n in range(len(ODD)))
    assert len(found.empty) == 1
    assert load_texts(file, "n").texts == ("1",) * (len(ODD) + 1)
    assert load_texts(written(tmp_path / "b.csv", "text\none\n\ntwo\n")).ids == ("2", "4")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.txt", "", "a.txt: the file is empty"),
        ("a.txt", "\n \n", "the file is empty"),
        ("a.txt", b"one\n\xff\xfe", "a.txt:2: not UTF-8"),
        ("a.txt", b"\0\1", "got a binary file"),
        ("a.json", "[]", "expected a file of texts: .txt, one a line; .jsonl, one object a line; or .csv"),
        ("none", "x", "got the ending ''"),
        ("a.jsonl", '{"txt": "x"}', "a.jsonl:1: no column 'text'; it has 'txt': set --column. Did you mean 'txt'?"),
        ("a.jsonl", '{"text": "x"}\n{}', "a.jsonl:2: no column 'text'; it has none"),
        ("a.jsonl", '{"text": 3}', "a.jsonl:1: 'text': expected a string, got 3"),
        ("a.jsonl", '{"text": NaN}', "expected a string, got nan"),
        ("a.jsonl", '{"text": null}', "expected a string, got None"),
        ("a.jsonl", '{"text": "a\\ud800"}', "holds a lone surrogate"),
        ("a.jsonl", '{"text": "x"}\n[1]', "a.jsonl:2: expected a JSON object"),
        ("a.jsonl", "{", "a.jsonl:1: not JSON"),
        ("a.jsonl", '{"text": " "}', "every 'text' is empty"),
        ("a.csv", "id,body\n1,x\n", "a.csv:1: no column 'text'; it has 'id', 'body'"),
        ("a.csv", "id,text\n", "every 'text' is empty"),
        ("a.csv", "text,text\n1,x\n", "a.csv:1: the column 'text' stands twice"),
        ("a.csv", "id,text\n1,Hello, you\n", "a.csv:2: expected 2 cells, as in the header, got 3"),
        ("a.csv", 'text\n"open\n', "not CSV (unexpected end of data)"),
        ("a.csv", 'text\n"a" b\n', "a.csv:2: not CSV"),
    ],
)
def test_bad_files_are_refused(tmp_path, name, data, said):
    assert said in refusal(load_texts, written(tmp_path / name, data))


def test_folders_and_missing_and_huge_files_are_refused(tmp_path):
    assert "got a folder" in refusal(load_texts, tmp_path)
    (tmp_path / "folder.csv").mkdir()
    assert "got a folder" in refusal(load_texts, tmp_path / "folder.csv")
    assert "no such file" in refusal(load_texts, tmp_path / "a.txt")
    assert "at most 1,000,000 expected" in refusal(load_texts, written(tmp_path / "l.txt", "x" * 1_000_001))
    cell = '"' + "x\n" * 500_001 + '"'
    assert "field larger than field limit" in refusal(load_texts, written(tmp_path / "c.csv", f"text\n{cell}\n"))
    with (tmp_path / "big.csv").open("wb") as handle:
        handle.truncate(65 * 2**20)
    assert "larger than 64 MiB" in refusal(load_texts, tmp_path / "big.csv")


@given(data=some.binary(max_size=200), ending=some.sampled_from([".txt", ".jsonl", ".csv"]))
def test_no_file_gives_a_traceback(tmp_path_factory, data, ending):
    file = tmp_path_factory.mktemp("files") / f"a{ending}"
    file.write_bytes(b'text\n{"text": "a"}\n' + data)
    try:
        found = load_texts(file)
    except InputError as error:
        said, texts = str(error), ()
    else:
        said, texts = "", found.texts
        assert len(found.ids) == len(texts)
    assert bool(said) != bool(texts)
    assert said.isprintable()
    assert all(text.strip() for text in texts)
