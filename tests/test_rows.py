import random

import pytest
from fake_pairs import refusal, write_rows

from creativity_lens import rows
from creativity_lens.errors import InputError
from creativity_lens.prompts import load_control, load_pairs

BAD_ROWS = {
    "lacks a field": ({5: {"boring": ...}}, [":5:", "'boring'", "missing"]),
    "lacks split": ({5: {"split": ...}}, [":5:", "'split'", "missing"]),
    "unknown field": (
        {2: {"creative_respons": "x"}},
        [":2:", "'creative_respons'", "Did you mean 'creative_response'?"],
    ),
    "unlike any field": ({2: {"zzz\n\x1b": "x"}}, [":2:", r"'zzz\n\x1b'", "Known: id, topic"]),
    "number": ({9: {"neutral": 3}}, [":9:", "'neutral'", "expected a string, got a number"]),
    "float": ({9: {"neutral": float("nan")}}, [":9:", "'neutral'", "got a number"]),
    "null": ({1: {"topic": None}}, [":1:", "'topic'", "got null"]),
    "list": ({1: {"boring_response": ["x"]}}, [":1:", "'boring_response'", "got a list"]),
    "bool": ({1: {"id": True}}, [":1:", "'id'", "got true or false"]),
    "object as split": ({1: {"split": {}}}, [":1:", "'split'", "got an object"]),
    "empty": ({3: {"creative": ""}}, [":3:", "'creative'", "empty"]),
    "blank": ({3: {"creative": " \n\t"}}, [":3:", "'creative'", "empty"]),
    "lone surrogate": (
        {4: {"creative_response": "ab\ud800c"}},
        [":4:", "'creative_response'", "surrogate (U+D800 at char"],
    ),
    "low surrogate": ({4: {"id": "\udfff"}}, [":4:", "'id'", "surrogate (U+DFFF"]),
    "escape sequence": ({4: {"neutral": "\x1b[2J"}}, [":4:", "'neutral'", "control character (U+001B"]),
    "space at the end": ({4: {"topic": "t0-2 "}}, [":4:", "'topic'", "'t0-2 '"]),
    "long name": ({4: {"domain": "d" * 101}}, [":4:", "'domain'", "101 characters"]),
    "same id": ({7: {"id": "t0-1-0"}}, [":7:", "'id'", "'t0-1-0'", "lines 2 and 7"]),
    "both sides equal": (
        {6: {"creative": "a", "boring": "a", "creative_response": "b", "boring_response": "b"}},
        [":6:", "'creative'", "'boring_response'", "identical"],
    ),
    "kind": ({6: {"kind": "premis"}}, [":6:", "'kind'", "premise, manner, response", "Did you mean 'premise'?"]),
    "split": ({n: {"split": "tets"} for n in range(1, 10)}, [":1:", "'split'", "Did you mean 'test'?"]),
    "split on some": ({n: {"split": "dev"} for n in range(4, 10)}, [":4:", "'split'", "line 1", "every row"]),
    "no split on one": ({n: {"split": "dev"} for n in range(1, 9)}, [":9:", "'split'", "line 1"]),
    "topic in two splits": (
        {n: {"split": "dev" if n < 8 else "test", "topic": "fox" if n in (3, 8) else f"t{n}"} for n in range(1, 10)},
        [":8:", "'split'", "'fox'", "'dev' on line 3", "'test' on line 8"],
    ),
    "topic in two spellings": ({8: {"topic": "T0-0"}}, [":8:", "'topic'", "'t0-0' on line 1", "'T0-0' on line 8"]),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_refused_with_file_line_and_field(case, tmp_path):
    changed, expected = BAD_ROWS[case]
    file = write_rows(tmp_path / "pairs.jsonl", changed)
    message = refusal(load_pairs, file)
    assert message.startswith(str(file))
    for fragment in expected:
        assert fragment in message
    assert len(load_pairs(write_rows(file, {}))) == 9, "the same file without the change is sound"


BAD_LINES = {
    "not JSON": (b"{'id': 1}", "not JSON"),
    "cut": (b'{"id": "x", ', "not JSON"),
    "plain text": (b"Write a story.", "not JSON"),
    "a list": (b'["id"]', "expected a JSON object {...}, got a list"),
    "a string": (b'"id"', "got a string"),
    "a field twice": (b'{"id": "a", "id": "b"}', "field 'id': stands 2 times"),
    "too long a number": (b'{"id": 1' + b"0" * 5000 + b"}", "a number too long"),
    "too deep": (b"[" * 200_000, "nested too deep"),
    "not UTF-8": (b'{"id": "caf\xe9"}', "not UTF-8"),
    "a line without end": (b" " * 1_000_001 + b"{}", "1,000,003 characters"),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_line_that_is_no_row_is_refused_with_its_number(case, tmp_path):
    line, expected = BAD_LINES[case]
    file = write_rows(tmp_path / "pairs.jsonl", {})
    file.write_bytes(file.read_bytes() + b"\n" + line + b"\n")
    message = refusal(load_pairs, file)
    assert message.startswith(f"{file}:11: ")
    assert expected in message


def test_a_file_that_holds_no_pairs_is_refused(tmp_path, monkeypatch):
    assert "no such file" in refusal(load_pairs, tmp_path / "missing.jsonl")
    assert "folder" in refusal(load_pairs, tmp_path)
    assert "cannot be read" in refusal(load_pairs, tmp_path / ("x" * 300))
    for content in (b"", b"\n \r\n\n"):
        (tmp_path / "empty.jsonl").write_bytes(content)
        assert "empty" in refusal(load_pairs, tmp_path / "empty.jsonl")
    (tmp_path / "binary.jsonl").write_bytes(bytes(range(256)) * 20)
    assert "binary" in refusal(load_pairs, tmp_path / "binary.jsonl")
    assert "at least 8 pairs, got 7" in refusal(load_pairs, write_rows(tmp_path / "few.jsonl", {}, count=7))
    assert len(load_pairs(write_rows(tmp_path / "enough.jsonl", {}, count=8))) == 8
    monkeypatch.setattr(rows, "_LARGEST_FILE", 1000)
    assert "larger than" in refusal(load_pairs, tmp_path / "enough.jsonl")
    assert "'sentiment'" in refusal(load_control, "sentimet")


def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path):
    draw = random.Random(0)
    file = write_rows(tmp_path / "pairs.jsonl", {})
    sound = file.read_bytes()
    refusals = []
    for _ in range(150):
        damaged = bytearray(sound)
        for _ in range(draw.randint(1, 3)):
            start = draw.randrange(len(damaged))
            damaged[start : start + draw.randint(0, 4)] = draw.randbytes(draw.randint(0, 3))
        file.write_bytes(damaged)
        try:
            load_pairs(file)
        except InputError as error:
            refusals.append(str(error))
    assert len(refusals) > 100
    assert [message for message in refusals if not message.isprintable()] == []
