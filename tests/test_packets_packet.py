"""The key of a packet comes back as it was saved, or is refused with one line."""

import contextlib
import copy
import json
from dataclasses import replace

import pytest
from answered import packet_of
from fake_pairs import refusal
from hypothesis import given
from hypothesis import strategies as some

from creativity_lens.errors import InputError
from creativity_lens.packets.packet import Packet
from creativity_lens.packets.parts import Item
from creativity_lens.packets.sealed import canonical, digest_of, read_object

SCALE, PAIRS = packet_of(3, 2), packet_of(3, 2, pairs=True)


@pytest.mark.parametrize("packet", [SCALE, PAIRS])
def test_a_packet_comes_back_as_it_was(tmp_path, packet):
    odd = Item("i999", "odd", "two\nlines \u2028 \U0001f408 </script>", None, None, None)
    extra = [replace(page, entries=(*page.entries, replace(page.entries[0], code="0" * 8, kind="item", key="i999")))
             for page in packet.raters]  # fmt: skip
    if packet.mode == "scale":
        packet = replace(packet, items=(*packet.items, odd)).with_raters(extra)
    file = packet.save(tmp_path)
    assert file == tmp_path / "packet.json"
    assert Packet.load(tmp_path) == Packet.load(file) == packet
    assert Packet.load(tmp_path).to_dict() == json.loads(file.read_text(encoding="utf-8"))
    assert packet.item(packet.items[1].key) is packet.items[1]


def test_canonical_json_is_what_a_browser_writes():
    """Written by hand: keys by UTF-16 units, where U+1F408 (D83D DC08) comes before U+FF01."""
    value = {"\uff01": 1, "\U0001f408": [True, None, "\u00e9\x7f\n\u2028/"], "a": {"c": -2, "b": "<&>"}}
    expected = (
        '{"a":{"b":"<&>","c":-2},"\\ud83d\\udc08":[true,null,"\\u00e9\\u007f\\n\\u2028/"],"\\uff01":1}'
    )  # fmt: skip
    assert canonical(value) == expected
    assert sorted(value) != list(json.loads(expected)), "the control: Python would sort otherwise"
    # sha256sum of {"a":1}
    assert digest_of({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    assert digest_of({"a": 1, "digest": "x"}) == digest_of({"a": 1})


def changed(packet, change):
    """packet.json's object after a change, sealed again: an error that no digest shows."""
    value = copy.deepcopy(packet.to_dict())
    change(value)
    return value | {"digest": digest_of(value)}


def put(place, value):
    *path, last = place

    def change(whole):
        for step in path:
            whole = whole[step]
        if value is Ellipsis:
            del whole[last]
        else:
            whole[last] = value

    return change


ENTRY = ("raters", 0, "entries", 0)


@pytest.mark.parametrize(
    ("packet", "place", "value", "said"),
    [
        (SCALE, ("format",), "packet 2", "its packet.json (format 'packet 1'), got format 'packet 2'"),
        (SCALE, ("format",), ..., "got no format"),
        (SCALE, ("id",), "xyz", "'id': expected 12 hexadecimal digits, got 'xyz'"),
        (SCALE, ("mode",), "scales", "expected one of scale, pairs; got 'scales'. Did you mean 'scale'?"),
        (SCALE, ("mood",), 1, "field 'mood': unknown; rename or remove it. Did you mean 'mode'?"),
        (SCALE, ("items",), ..., "field 'items': missing"),
        (SCALE, ("criteria",), [], "'criteria': expected 1 to 20, got 0"),
        (SCALE, ("criteria",), ["a", "a"], "'criteria': 'a' stands twice"),
        (SCALE, ("criteria",), "a", "'criteria': expected a list of names, got 'a'"),
        (SCALE, ("scale",), [7, 1], "expected two rising numbers, got 7 and 1"),
        (SCALE, ("scale",), [True, 7], "'scale': expected a whole number from -1000 to 1000, got True"),
        (SCALE, ("scale",), None, "expected two whole numbers, got None"),
        (PAIRS, ("scale",), [1, 7], "pairs have no scale"),
        (SCALE, ("seed",), 0.5, "'seed': expected a whole number"),
        (SCALE, ("source",), [], "'source': expected an object"),
        (SCALE, ("items",), [], "expected at least one item and one rater"),
        (SCALE, ("raters",), [], "expected at least one item and one rater"),
        (PAIRS, ("pairs",), [], "expected at least one pair and one rater"),
        (SCALE, ("items", 0), "text", "'items': expected a list of objects"),
        (SCALE, ("items", 0, "text"), " ", "item i000: 'text': expected a text, got ' '"),
        (SCALE, ("items", 0, "text"), "a\ud800", "item i000: 'text': holds a lone surrogate"),
        (SCALE, ("items", 0, "text"), "x" * 1_000_001, "1,000,001 characters; at most 1,000,000 expected"),
        (SCALE, ("items", 0, "key"), "a:b", "'key': expected a key such as i001, got 'a:b'"),
        (SCALE, ("items", 0, "key"), "i001", "'items: key': 'i001' stands twice"),
        (SCALE, ("items", 0, "id"), "0:steered:0", "'items: id': '0:steered:0' stands twice"),
        (SCALE, ("items", 0, "condition"), "steerd", "got 'steerd'. Did you mean 'steered'?"),
        (PAIRS, ("pairs", 0, "second"), "i900", "pair p000: the key 'i900' leads nowhere"),
        (PAIRS, ("pairs", 0, "second"), "i001", "pair p000: compares item i001 with itself"),
        (SCALE, ("checks", 0, "expected"), {"creativity": 8}, "check c00: 'expected': expected a whole number"),
        (SCALE, ("checks", 0, "expected"), {"creativty": 7}, "Did you mean 'creativity'?"),
        (SCALE, ("checks", 0, "expected"), "a", "expected a value by criterion"),
        (PAIRS, ("checks", 0, "expected"), "c", "expected one of a, b; got 'c'"),
        (SCALE, ("raters", 0, "name"), "rater-2", "'raters: name': 'rater-2' stands twice"),
        (SCALE, ("raters", 0, "file"), "../rater-1.html", "expected the plain name of a file"),
        (SCALE, ("raters", 0, "page_digest"), "ab", "'page_digest': expected 64 hexadecimal digits"),
        (SCALE, (*ENTRY, "code"), "../../aa", "'code': expected 8 hexadecimal digits"),
        (SCALE, (*ENTRY, "kind"), "text", "expected one of item, pair, check"),
        (SCALE, (*ENTRY, "kind"), "pair", "a packet of mode 'scale' asks for no pair"),
        (SCALE, (*ENTRY, "key"), "i900", "the key 'i900' leads nowhere; restore the packet from a copy"),
        (SCALE, (*ENTRY, "swapped"), True, "'swapped': expected true or false, and true for a pair only"),
        (PAIRS, (*ENTRY, "swapped"), 1, "'swapped': expected true or false"),
        (SCALE, ENTRY, ..., "of 6 items have no entry"),
    ],
)  # fmt: skip
def test_a_packet_that_does_not_fit_together_is_refused(tmp_path, packet, place, value, said):
    found = changed(packet, put(place, value))
    if place == ENTRY:  # the entry that is taken out must be an item's
        first = next(n for n, entry in enumerate(packet.raters[0].entries) if entry.kind == "item")
        found = changed(packet, put(("raters", 0, "entries", first), ...))
    (tmp_path / "packet.json").write_text(json.dumps(found), encoding="utf-8")
    message = refusal(Packet.load, tmp_path)
    assert said in message
    assert "packet.json" in message


def test_codes_and_keys_stand_once_on_a_page():
    entries = SCALE.raters[0].entries
    twice = changed(SCALE, put((*ENTRY, "code"), entries[1].code))
    assert "rater rater-1: 'entries: code'" in refusal(Packet.of, twice)
    again = changed(
        SCALE, put((*ENTRY,), copy.deepcopy(SCALE.to_dict()["raters"][0]["entries"][1]) | {"code": "0" * 8})
    )
    assert "'entries: key'" in refusal(Packet.of, again)
    assert Packet.of(SCALE.to_dict()) == SCALE


def test_an_edited_cut_or_foreign_key_is_refused(tmp_path):
    file = SCALE.save(tmp_path)
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole.replace('"condition": "steered"', '"condition": "unsteered"', 1), encoding="utf-8")
    assert "its digest does not fit its content: the file was cut or edited; restore" in refusal(Packet.load, tmp_path)
    file.write_text(json.dumps(json.loads(whole)), encoding="utf-8")
    assert Packet.load(tmp_path) == SCALE, "the control: what means the same is the same"
    for end in (0, 1, 300, len(whole) // 2, len(whole) - 3):
        file.write_text(whole[:end], encoding="utf-8")
        assert "packet.json: not JSON" in refusal(Packet.load, tmp_path)
    for text, said in [
        ('{"format": "answers 1"}', "got format 'answers 1'"), ("[1]", "got something else"), ("{}", "got no format"),
        ('{"format": "packet 1"}', "its digest does not fit"), ('{"a": 1, "a": 2}', "'a' stands 2 times"),
        ('{"a": NaN}', "NaN is no number"), ("[" * 100_000, "nested too deep"),
        ('{"a": ' + "1" * 5000 + "}", "not JSON that can be read"),
    ]:  # fmt: skip
        file.write_text(text, encoding="utf-8")
        assert said in refusal(Packet.load, tmp_path)


def test_missing_binary_and_huge_keys_are_refused(tmp_path):
    assert "no such file; expected the key of a packet" in refusal(Packet.load, tmp_path)
    assert "no such file" in refusal(Packet.load, tmp_path / "nowhere")
    assert "embedded null byte" in refusal(Packet.load, "a\0b")
    file = tmp_path / "packet.json"
    file.mkdir()
    assert "got a folder" in refusal(Packet.load, tmp_path)
    file.rmdir()
    file.write_bytes(b"\0\1")
    assert "got a binary file" in refusal(Packet.load, tmp_path)
    file.write_bytes(b'{"a": "\xff"}')
    assert "not UTF-8" in refusal(Packet.load, tmp_path)
    with file.open("wb") as handle:
        handle.truncate(65 * 2**20)
    assert "larger than 64 MiB" in refusal(Packet.load, tmp_path)


def test_what_could_not_be_loaded_is_not_saved(tmp_path):
    wrong = replace(SCALE, items=SCALE.items[1:])
    assert "leads nowhere" in refusal(wrong.save, tmp_path)
    assert list(tmp_path.iterdir()) == []


SPOILT = [None, True, -1, 0.5, "", "a", "x" * 200, [], {}, [[]], {"a": 1}, 10**30, "i001", "\ud800", "a\nb"]


@given(data=some.data())
def test_no_spoilt_key_gives_a_traceback(data):
    value = copy.deepcopy(data.draw(some.sampled_from([SCALE, PAIRS])).to_dict())
    for _ in range(data.draw(some.integers(1, 3))):
        at = value
        while True:
            step = data.draw(some.sampled_from(list(at) if isinstance(at, dict) else list(range(len(at)))))
            if isinstance(at[step], dict | list) and at[step] and data.draw(some.booleans()):
                at = at[step]
                continue
            at[step] = copy.deepcopy(data.draw(some.sampled_from(SPOILT)))  # a later step may spoil it again
            break
    try:
        packet = Packet.of(value)
    except InputError:
        pass
    else:
        assert Packet.of(packet.to_dict()) == packet


@given(some.binary(max_size=60))
def test_no_bytes_give_a_traceback(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("keys") / "packet.json"
    file.write_bytes(b'{"format": "packet 1", ' + data)
    with pytest.raises(InputError):
        Packet.load(file)
    file.write_bytes(data)
    with contextlib.suppress(InputError):
        assert isinstance(read_object(file, "a file", largest=40, remedy="save it again"), dict)
