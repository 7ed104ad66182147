"""Files of answers are read as the page saved them, or refused with one line that names the file."""

import contextlib
import copy
import json

import pytest
from answered import answers_of, packet_of, planted, preferring, saved, sealed
from fake_pairs import refusal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from creativity_lens.errors import InputError
from creativity_lens.packets.answers import read_answers
from creativity_lens.packets.sealed import canonical

SCALE, PAIRS = packet_of(4, 3), packet_of(4, 3, pairs=True)
GOOD = answers_of(SCALE, 0, planted(SCALE, {}))
GOOD_PAIRS = answers_of(PAIRS, 0, preferring(PAIRS, "steered", 0.5))
FIRST = next(n for n, entry in enumerate(SCALE.raters[0].entries) if entry.kind == "item")
FIRST_PAIR = next(n for n, entry in enumerate(PAIRS.raters[0].entries) if entry.kind == "pair")


def test_answers_come_back_in_the_order_of_the_page(tmp_path):
    found = read_answers(saved(tmp_path, GOOD), SCALE)
    assert found.page is SCALE.raters[0]
    assert tuple(answer.entry for answer in found.answers) == SCALE.raters[0].entries
    assert [answer.values for answer in found.answers] == [row["values"] for row in GOOD["answers"]]
    assert (found.missing, found.asked, found.checks, found.failed, found.is_attentive) == (0, 10, 2, (), True)
    mixed = sealed(GOOD | {"answers": GOOD["answers"][::-1]})
    assert read_answers(saved(tmp_path, mixed), SCALE).answers == found.answers


@pytest.mark.parametrize(
    ("checks", "wrong", "attentive"),
    [(0, 0, True), (1, 1, False), (2, 1, False), (3, 1, True), (3, 2, False), (5, 2, False), (6, 2, True)],
)
@pytest.mark.parametrize("pairs", [False, True])
def test_checks(tmp_path, checks, wrong, attentive, pairs):
    packet = packet_of(4, 2, pairs=pairs, checks=checks)
    say = preferring(packet, "steered", 0.5) if pairs else planted(packet, {})
    found = read_answers(saved(tmp_path, answers_of(packet, 1, say, wrong_checks=wrong)), packet)
    assert len(found.failed) == wrong
    assert found.is_attentive == attentive


def test_a_check_asks_only_for_its_criteria(tmp_path):
    """What a check does not name may be answered or not."""
    rows = copy.deepcopy(GOOD["answers"])
    check = next(n for n, entry in enumerate(SCALE.raters[0].entries) if entry.kind == "check")
    assert set(rows[check]["values"]) == {"creativity"}
    rows[check]["values"]["surprise"] = 3
    assert read_answers(saved(tmp_path, sealed(GOOD | {"answers": rows})), SCALE).failed == ()
    del rows[check]["values"]["creativity"]
    without = saved(tmp_path, sealed(GOOD | {"answers": rows}))
    assert "1 of 10 answers of rater-1 are missing" in refusal(read_answers, without, SCALE)
    assert read_answers(without, SCALE, partial=True).failed == (), "missing is not failed"


def test_incomplete_files(tmp_path):
    short = saved(tmp_path, answers_of(SCALE, 0, planted(SCALE, {}), leave_out=4))
    message = refusal(read_answers, short, SCALE)
    assert "incomplete: 4 of 10 answers of rater-1 are missing; ask the rater to finish" in message
    found = read_answers(short, SCALE, partial=True)
    assert (found.missing, len(found.answers)) == (4, 6)
    rows = copy.deepcopy(GOOD["answers"])
    del rows[FIRST]["values"]["surprise"]
    half = saved(tmp_path, sealed(GOOD | {"answers": rows}))
    assert "incomplete: 1 of 10" in refusal(read_answers, half, SCALE)
    assert read_answers(half, SCALE, partial=True).missing == 1
    checks = [row for row, entry in zip(rows, SCALE.raters[0].entries, strict=True) if entry.kind == "check"]
    for nothing in ([], checks, [{"code": rows[FIRST]["code"], "values": {}, "seconds": 0}]):
        empty = saved(tmp_path, sealed(GOOD | {"answers": nothing}))
        for partial in (False, True):
            with pytest.raises(InputError, match="no answer of rater-1 in it; leave the file out"):
                read_answers(empty, SCALE, partial=partial)


def with_value(value, place=FIRST):
    rows = copy.deepcopy(GOOD["answers"])
    rows[place]["values"]["creativity"] = value
    return {"answers": rows}


def with_row(place=FIRST, **fields):
    rows = copy.deepcopy(GOOD["answers"])
    rows[place] |= fields
    return {"answers": rows}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"packet": "0" * 12}, f"answers to packet '000000000000', not to '{SCALE.id}'; collect each packet by itself"),
        ({"packet": [["x"]]}, "answers to packet a list, not to"),
        (
            {"rater": "rater-9"},
            f"rater 'rater-9' has no page in packet '{SCALE.id}'; give the right file. Did you mean",
        ),
        ({"rater": 1}, "rater 1 has no page"),
        ({"page": SCALE.raters[1].page_digest}, "answers to another page than the packet's rater-1.html"),
        ({"rater": "rater-2"}, "answers to another page than the packet's rater-2.html"),
        ({"answers": {}}, "'answers': expected a list of objects, got an object"),
        ({"answers": [1]}, "'answers': expected a list of objects"),
        ({"answers": GOOD["answers"] + GOOD["answers"][:1]}, "stands twice; ask the rater to open the page"),
        ({"complete": 1}, "'complete': expected true or false, got 1"),
        ({"saved": None}, "'saved': expected a short string, got None"),
        ({"format": "answers 2"}, "(format 'answers 1'), got format 'answers 2'"),
        ({"more": 1}, "field 'more': unknown"),
        (with_row(code="0" * 8), "answer 00000000: the page of rater-1 has no such code"),
        (with_row(code="../x"), "'code': expected 8 hexadecimal digits, got '../x'"),
        (with_row(code=None), "'code': expected 8 hexadecimal digits, got None"),
        (with_row(seconds=-1), "'seconds': expected a whole number from 0 to 1000000000, got -1"),
        (with_row(seconds=True), "'seconds': expected a whole number"),
        (with_row(values=[5]), "'values': expected a value by criterion, got a list"),
        (with_row(values={"creativty": 5}), "expected one of creativity, surprise; got 'creativty'. Did you mean"),
        (with_row(note="x"), "field 'note': unknown"),
        (with_value(0), "'creativity': expected a whole number from 1 to 7, got 0"),
        (with_value(8), "expected a whole number from 1 to 7, got 8"),
        (with_value(True), "expected a whole number from 1 to 7, got True"),
        (with_value(None), "expected a whole number from 1 to 7, got None"),
        (with_value("5"), "expected a whole number from 1 to 7, got '5'"),
        (with_value(4.5), "expected a whole number from 1 to 7, got 4.5"),
        (with_value(5.0), "expected a whole number from 1 to 7, got 5.0"),
        (with_value(10**50), "expected a whole number from 1 to 7, got a number"),
        (with_value([[5]]), "expected a whole number from 1 to 7, got a list"),
    ],
)
def test_what_the_page_could_not_have_saved_is_refused(tmp_path, change, said):
    file = saved(tmp_path, sealed(GOOD | change), "answers.json")
    message = refusal(read_answers, file, SCALE)
    assert said in message
    assert message.startswith(f"{file}: ")


def test_pairs_know_three_answers(tmp_path):
    found = read_answers(saved(tmp_path, GOOD_PAIRS), PAIRS)
    assert {value for answer in found.answers for value in answer.values.values()} <= {"a", "b", "tie"}
    for value, shown in [("c", "'c'"), (1, "1"), (None, "None"), (["a"], "a list"), ("A", "'A'")]:
        rows = copy.deepcopy(GOOD_PAIRS["answers"])
        rows[FIRST_PAIR]["values"]["surprise"] = value
        message = refusal(read_answers, saved(tmp_path, sealed(GOOD_PAIRS | {"answers": rows})), PAIRS)
        assert f"'surprise': expected one of a, b, tie; got {shown}" in message


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_numbers_that_are_none(tmp_path, number):
    text = json.dumps(with_value("HERE") and sealed(GOOD | with_value("HERE"))).replace('"HERE"', number)
    file = tmp_path / "answers.json"
    file.write_text(text, encoding="utf-8")
    said = "its digest does not fit" if number == "1e400" else f"{number} is no number"
    assert said in refusal(read_answers, file, SCALE)


def test_cut_and_edited_files(tmp_path):
    file = saved(tmp_path, GOOD)
    whole = file.read_text(encoding="utf-8")
    for end in range(0, len(whole), 97):
        file.write_text(whole[:end], encoding="utf-8")
        assert f"{file}: not JSON" in refusal(read_answers, file, SCALE)
    value = GOOD["answers"][FIRST]["values"]["creativity"]
    edited = with_value(value % 7 + 1)
    for change in (edited, {"answers": GOOD["answers"][:-1]}, {"rater": "rater-2"}, {"saved": ""}, {"digest": None}):
        message = refusal(read_answers, saved(tmp_path, GOOD | change), SCALE)
        assert "its digest does not fit its content: the file was cut or edited; ask the rater" in message
    file.write_text(canonical(GOOD), encoding="utf-8")
    assert read_answers(file, SCALE).missing == 0, "the control: how it is laid out does not matter"


def test_what_is_no_file_of_answers(tmp_path):
    file = tmp_path / "a.json"
    assert "no such file; expected an answers file" in refusal(read_answers, file, SCALE)
    assert "got a folder" in refusal(read_answers, tmp_path, SCALE)
    assert "embedded null byte" in refusal(read_answers, "a\0b", SCALE)
    deep = '{"format": "answers 1", "digest": "x", "a": ' + "[" * 900 + "]" * 900 + "}"
    for text, said in [
        ("", "not JSON"), ("[]", "a JSON object {...}; got something else"), ("null", "got something else"),
        ("[" * 100_000, "nested too deep"), ('{"a":' * 100_000, "nested too deep"), (deep, "digest does not fit"),
        ("{}", "(format 'answers 1'), got no format"), (json.dumps(SCALE.to_dict()), "got format 'packet 1'"),
        ('{"format": "answers 1", "format": "answers 1"}', "'format' stands 2 times"),
        ("<!doctype html>", "not JSON (Expecting value, line 1, column 1)"),
    ]:  # fmt: skip
        file.write_text(text, encoding="utf-8")
        message = refusal(read_answers, file, SCALE)
        assert said in message
        assert str(file) in message
    file.write_bytes(b"\0" * 100)
    assert "got a binary file" in refusal(read_answers, file, SCALE)
    file.write_bytes(json.dumps(GOOD).encode("utf-16"))
    assert str(file) in refusal(read_answers, file, SCALE)
    with file.open("wb") as handle:
        handle.truncate(9 * 2**20)
    assert "larger than 8 MiB" in refusal(read_answers, file, SCALE)


SPOILT = [None, True, -1, 0.5, 1e300, "", "a", "tie", "x" * 3000, [], {}, [[]], {"a": 1}, 10**30, "\ud800", "a\nb\x1b"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=some.data(), seal=some.booleans())
def test_no_spoilt_file_gives_a_traceback(tmp_path, data, seal):
    packet, good = data.draw(some.sampled_from([(SCALE, GOOD), (PAIRS, GOOD_PAIRS)]))
    value = copy.deepcopy(good)
    for _ in range(data.draw(some.integers(1, 3))):
        at = value
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            step = data.draw(some.sampled_from(keys))
            if isinstance(at[step], dict | list) and at[step] and data.draw(some.booleans()):
                at = at[step]
                continue
            at[step] = copy.deepcopy(data.draw(some.sampled_from(SPOILT)))  # a later step may spoil it again
            break
    file = saved(tmp_path, sealed(value) if seal else value, "a.json")
    with contextlib.suppress(InputError):
        found = read_answers(file, packet, partial=True)
        assert found.answers
        assert seal or value == good


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=some.integers(0, 5000), data=some.binary(max_size=5))
def test_no_overwritten_bytes_give_a_traceback(tmp_path, at, data):
    whole = bytearray(canonical(GOOD).encode("ascii"))
    at %= len(whole)
    whole[at : at + len(data)] = data
    file = tmp_path / "a.json"
    file.write_bytes(whole)
    with contextlib.suppress(InputError):
        read_answers(file, SCALE)
        assert json.loads(bytes(whole)) == GOOD, "only what says the same is read"
