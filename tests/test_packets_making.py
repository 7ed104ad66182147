"""Packets as they are made: blind, balanced over raters, written whole; and texts drawn from files and runs."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from fake_run import fake_run
from scipy import stats

from creativity_lens.errors import InputError
from creativity_lens.packets import Item, Packet, items_of_file, items_of_run, make_packet
from creativity_lens.packets.folder import new_folder, told
from creativity_lens.packets.items import LONGEST_TEXT, MOST_TEXTS
from creativity_lens.packets.ordering import clashes, orders, spread_checks
from creativity_lens.packets.page import minutes
from creativity_lens.packets.power import pairs_power, texts_power
from creativity_lens.packets.questions import ask, make_checks, parse_scale, usual_checks
from creativity_lens.packets.sealed import digest_of
from creativity_lens.page_safety import embedded_json

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)> <!-- & \u2028 \u0634 \U0001f9ff"


def texts(groups: int = 6, conditions: tuple[str, ...] = ("unsteered", "steered")) -> list[Item]:
    return [
        Item("", f"ID-XYZZY-{g}-{c}", f"A text about {g}, told in way {n}.", f"GROUP-{g}", f"Write about {g}.", c)
        for g in range(groups)
        for n, c in enumerate(conditions)
    ]


def refusal(call, *args, **options) -> str:
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    said = str(caught.value)
    assert said.isprintable()
    return said


def positions(found: np.ndarray) -> np.ndarray:
    return np.argsort(found, axis=1)


# ---- order ----


@pytest.mark.parametrize("raters", [2, 3, 4, 5, 6, 7, 9, 10])
@pytest.mark.parametrize("n", [30, 37, 60])
def test_every_text_is_in_the_middle_on_average(n: int, raters: int) -> None:
    found = orders([f"p{i // 3}" for i in range(n)], raters, np.random.default_rng(0))
    assert (np.sort(found, axis=1) == np.arange(n)).all()
    assert np.abs(positions(found).mean(axis=0) - (n - 1) / 2).max() <= 1.0
    # the control: orders drawn at random are far from it
    drawn = np.argsort([np.random.default_rng(r).permutation(n) for r in range(raters)], axis=1)
    assert np.abs(drawn.mean(axis=0) - (n - 1) / 2).max() > 5


@pytest.mark.parametrize("raters", [2, 3, 5, 6])
def test_every_text_stands_once_in_every_part_of_the_page(raters: int) -> None:
    n = 6 * raters
    parts = positions(orders([None] * n, raters, np.random.default_rng(1))) // 6
    assert (np.sort(parts, axis=0) == np.arange(raters)[:, None]).all()


def test_texts_of_one_group_are_kept_apart() -> None:
    for raters in (1, 2, 3, 5, 8):
        groups = [f"p{i // 3}" for i in range(60)]
        found = orders(groups, raters, np.random.default_rng(2))
        assert [clashes(order.tolist(), groups) for order in found] == [0] * raters
        assert sum(clashes(np.random.default_rng(k).permutation(60).tolist(), groups) for k in range(20)) > 10


def test_where_neighbours_of_one_group_cannot_be_avoided_there_are_as_few_as_possible() -> None:
    groups = ["a"] * 30 + ["b"] * 10  # ten b's part the a's into eleven runs at most: nineteen clashes
    found = orders(groups, 1, np.random.default_rng(0))
    assert clashes(found[0].tolist(), groups) == 19


def test_neighbours_are_not_the_same_for_everyone() -> None:
    found = orders([f"p{i // 3}" for i in range(60)], 6, np.random.default_rng(3))
    beside = [{frozenset(two) for two in pairwise(order.tolist())} for order in found]
    shared = [len(one & other) / 59 for one, other in combinations(beside[::2], 2)]
    assert max(shared) < 0.35


def test_an_order_follows_from_the_seed() -> None:
    groups = [f"p{i // 2}" for i in range(20)]
    one, same, other = (orders(groups, 4, np.random.default_rng(seed)).tolist() for seed in (0, 0, 1))
    assert one == same != other


@pytest.mark.parametrize(("n", "raters"), [(1, 1), (1, 5), (2, 3), (3, 7)])
def test_fewer_texts_than_raters(n: int, raters: int) -> None:
    found = orders([None] * n, raters, np.random.default_rng(0))
    assert found.shape == (raters, n)
    assert (np.sort(found, axis=1) == np.arange(n)).all()


def test_checks_are_spread_and_never_first() -> None:
    for seed in range(20):
        places = spread_checks(60, 4, np.random.default_rng(seed))
        assert [place // 15 for place in places] == [0, 1, 2, 3]
        assert places[0] >= 1
    assert spread_checks(10, 0, np.random.default_rng(0)) == []


# ---- the key ----


def test_a_packet_is_what_it_says(tmp_path: Path) -> None:
    packet = make_packet(texts(), raters=4, out=tmp_path / "p", panel="expert", source={"file": "texts.jsonl"})
    assert Packet.load(tmp_path / "p") == packet
    assert {path.name for path in (tmp_path / "p").iterdir()} == {
        "packet.json", "README.txt", *(f"rater-{n}.html" for n in range(1, 5)),
    }  # fmt: skip
    assert packet.conditions == ("unsteered", "steered")
    assert packet.criteria == ("creativity", "surprise", "quality")
    assert packet.scale == (1, 7)
    assert [item.key for item in packet.items] == [f"i{n:03d}" for n in range(1, 13)]
    assert [replace(item, key="") for item in packet.items] == texts()
    for rater in packet.raters:
        assert rater.panel == "expert"
        assert sorted(entry.key for entry in rater.entries if entry.kind == "item") == [i.key for i in packet.items]
        assert [entry.key for entry in rater.entries if entry.kind == "check"] == ["c01"]
        assert rater.entries[0].kind == "item"
    codes = [entry.code for rater in packet.raters for entry in rater.entries]
    assert len(set(codes)) == len(codes) == 4 * 13


def test_the_same_texts_and_seed_give_the_same_pages_and_another_seed_others(tmp_path: Path) -> None:
    make_packet(texts(), raters=3, out=tmp_path / "a")
    make_packet(texts(), raters=3, out=tmp_path / "b")
    make_packet(texts(), raters=3, seed=1, out=tmp_path / "c")
    for name in ("rater-1.html", "rater-2.html", "rater-3.html"):
        one, same, other = ((tmp_path / folder / name).read_bytes() for folder in "abc")
        assert one == same != other


def test_order_and_codes_cannot_be_had_from_a_page_alone(tmp_path: Path) -> None:
    """They depend on ids and conditions too: another labelling of the same texts is another draw."""
    one = make_packet(texts(), raters=2, out=tmp_path / "a")
    relabelled = [replace(item, id=item.id + "b") for item in texts()]
    other = make_packet(relabelled, raters=2, out=tmp_path / "b")
    assert one.id != other.id
    assert not {e.code for e in one.raters[0].entries} & {e.code for e in other.raters[0].entries}


@pytest.mark.parametrize("raters", [2, 4, 5])
def test_sides_are_counterbalanced_over_raters_and_pairs(tmp_path: Path, raters: int) -> None:
    packet = make_packet(texts(10), pairs=True, raters=raters, out=tmp_path / "p")
    assert packet.mode == "pairs"
    assert packet.scale is None
    assert len(packet.pairs) == 10
    swapped = {
        (rater.name, entry.key): entry.swapped for rater in packet.raters for entry in rater.entries
        if entry.kind == "pair"
    }  # fmt: skip
    for rater in packet.raters:
        assert sum(swapped[rater.name, pair.key] for pair in packet.pairs) == 5
    for pair in packet.pairs:
        assert sum(swapped[rater.name, pair.key] for rater in packet.raters) in (raters // 2, (raters + 1) // 2)
    sides = {item.key: item.text for item in packet.items}
    for rater in packet.raters:
        page = data_of(tmp_path / "p" / rater.file)
        by_code = {entry["code"]: entry for entry in page["entries"]}
        for entry in rater.entries:
            if entry.kind == "pair":
                pair = packet.pair(entry.key)
                shown = [sides[pair.first], sides[pair.second]]
                assert [by_code[entry.code]["a"], by_code[entry.code]["b"]] == shown[:: -1 if entry.swapped else 1]


def test_pairs_are_of_one_group_and_of_different_conditions(tmp_path: Path) -> None:
    packet = make_packet(texts(3, ("a", "b", "c")), pairs=True, raters=1, out=tmp_path / "p")
    assert len(packet.pairs) == 9
    items = {item.key: item for item in packet.items}
    for pair in packet.pairs:
        one, other = items[pair.first], items[pair.second]
        assert one.group == other.group
        assert one.condition != other.condition


def test_large_groups_give_every_text_as_many_pairs(tmp_path: Path) -> None:
    many = [Item("", f"t{n}", f"Text {n}", "one") for n in range(9)]  # 36 pairs
    packet = make_packet(many, pairs=True, raters=1, checks=0, out=tmp_path / "p")
    met = [sum(item.key in (pair.first, pair.second) for pair in packet.pairs) for item in packet.items]
    assert len(packet.pairs) == 15
    assert max(met) - min(met) <= 2
    assert len({frozenset((pair.first, pair.second)) for pair in packet.pairs}) == 15


def test_known_pairs_are_taken_by_id_and_texts_without_one_are_left_out(tmp_path: Path) -> None:
    given = texts(2)
    packet = make_packet(given, pairs=[(given[0].id, given[1].id)], raters=1, out=tmp_path / "p")
    assert [item.id for item in packet.items] == [given[0].id, given[1].id]
    assert "no text 'nobody'" in refusal(
        make_packet, given, pairs=[(given[0].id, "nobody")], raters=1, out=tmp_path / "q"
    )


# ---- the page ----


class Parsed(HTMLParser):
    """What a browser's parser makes of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.blocks: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.blocks.append((tag, dict(attrs), ""))

    def handle_data(self, data):
        if self.cdata_elem:
            tag, attributes, source = self.blocks[-1]
            self.blocks[-1] = (tag, attributes, source + data)


def data_of(path: Path) -> dict:
    return json.loads(next(source for _, attributes, source in Parsed(path).blocks if attributes.get("id")))


def test_a_page_tells_no_id_condition_source_or_other_code(tmp_path: Path) -> None:
    packet = make_packet(
        texts(conditions=("COND-PLAIN", "COND-PUSHED")), raters=2, out=tmp_path / "p", source={"file": "SOURCE-FILE"}
    )
    page = (tmp_path / "p" / "rater-1.html").read_text()
    assert all(entry.code in page for entry in packet.raters[0].entries), "the control: it is this rater's page"
    for secret in ("XYZZY", "COND-", "SOURCE-FILE", "GROUP-", '"i001"', '"c01"', "rater-2", "seed"):
        assert secret not in page
    assert not [entry.code for entry in packet.raters[1].entries if entry.code in page]
    assert "expected" not in json.dumps(data_of(tmp_path / "p" / "rater-1.html"))


def test_the_digest_of_a_page_is_that_of_its_data(tmp_path: Path) -> None:
    packet = make_packet(texts(), raters=2, out=tmp_path / "p", note="\ud800 caf\u00e9")
    for rater in packet.raters:
        data = data_of(tmp_path / "p" / rater.file)
        assert data["digest"] == rater.page_digest == digest_of(data)
        assert [entry["code"] for entry in data["entries"]] == [entry.code for entry in rater.entries]
    assert packet.raters[0].page_digest != packet.raters[1].page_digest


def test_texts_are_data_and_only_the_page_s_own_script_may_run(tmp_path: Path) -> None:
    items = [Item("", "a", HOSTILE, "g", HOSTILE, None), Item("", "b", "plain", "h", None, None)]
    make_packet(items, raters=1, out=tmp_path / "p", note=HOSTILE, questions={"quality": HOSTILE})
    page = Parsed(tmp_path / "p" / "rater-1.html")
    assert {entry.get("text") for entry in data_of(tmp_path / "p" / "rater-1.html")["entries"]} == {HOSTILE, "plain"}
    assert "img" not in {tag for tag, _ in page.tags}
    assert [tag for tag, _, _ in page.blocks] == ["style", "script", "script"]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on") or name == "src"]
    policy = next(str(a["content"]) for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    hashes = {
        f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
        for tag, attributes, source in page.blocks
        if "type" not in attributes
    }
    assert hashes < set(policy.split("; "))
    assert {part for part in policy.split("; ") if part not in hashes} == {
        "default-src 'none'", "img-src data:", "base-uri 'none'", "form-action 'none'",
    }  # fmt: skip
    assert not re.search(r"https?://", (tmp_path / "p" / "rater-1.html").read_text())


def test_embedded_json_cannot_end_its_script() -> None:
    written = embedded_json({"a": HOSTILE + "\ud800"})
    assert json.loads(written) == {"a": HOSTILE + "\ud800"}
    assert written.isascii()
    assert not re.search("[<>&]", written)


def test_prompts_can_be_hidden(tmp_path: Path) -> None:
    make_packet(texts(), raters=1, out=tmp_path / "a")
    make_packet(texts(), raters=1, out=tmp_path / "b", show_prompts=False)
    assert "Write about 3." in (tmp_path / "a" / "rater-1.html").read_text()
    assert "Write about 3." not in (tmp_path / "b" / "rater-1.html").read_text()


# ---- questions and checks ----


def test_shipped_and_own_and_neutral_questions() -> None:
    assert [each.question for each in ask(["creativity", "surprise", "quality"], pairs=False)] == [
        "How creative is this text?", "How surprising is this text?", "How well written is this text?",
    ]  # fmt: skip
    assert [each.question for each in ask(["creativity", "warmth"], pairs=True)] == [
        "Which text is more creative?", "Which text has more “warmth”?",
    ]  # fmt: skip
    neutral, own = ask(["warmth", "été-2"], pairs=False, own={"été-2": "  How summery?  "})
    assert neutral.question == "How do you rate this text on “warmth”?"
    assert own.question == "How summery?"


@pytest.mark.parametrize(
    ("criteria", "said"),
    [
        ([""], "expected names such as creativity"),
        (["a", ""], "''"),
        (["a", "A"], "'A' stands twice"),
        (["a<b>"], "a name of letters, digits, spaces and hyphens"),
        (["__proto__"], "a name of letters"),
        (["a  b"], "a name of letters"),
        (["\U0001d4b3"], "a name of letters"),
        (["x" * 41], "at most 40"),
        ([f"c{n}" for n in range(21)], "21 of them; expected at most 20"),
    ],
)
def test_bad_criteria(criteria: list[str], said: str) -> None:
    assert said in refusal(ask, criteria, pairs=False)


def test_a_question_of_a_criterion_that_is_not_asked() -> None:
    assert "Did you mean 'surprise'?" in refusal(ask, ["surprise"], pairs=False, own={"suprise": "x"})
    assert "got none" in refusal(ask, ["surprise"], pairs=False, own={"surprise": " "})


def test_scales() -> None:
    assert parse_scale("1-7") == (1, 7)
    assert parse_scale(" 0 - 10 ") == (0, 10)
    for bad in ("7-1", "1-100", "1-1", "1", "", "1-7-9", "a-b", "-3-3", "1.5-7", "9999999-1", "5-12"):
        assert "--scale: expected two rising whole numbers" in refusal(parse_scale, bad)


def test_checks_say_what_they_expect_and_never_the_middle() -> None:
    for seed in range(30):
        for check in make_checks(3, ["creativity", "quality"], (1, 7), np.random.default_rng(seed)):
            assert set(check.expected) == {"creativity", "quality"}
            (value,) = set(check.expected.values())
            assert value != 4
            assert 1 <= value <= 7
            assert f"choose {value} for every question" in check.text
    pairs = make_checks(4, ["creativity"], None, np.random.default_rng(0))
    assert sorted(str(check.expected) for check in pairs) == ["a", "a", "b", "b"]
    assert all(f"choose {str(check.expected).upper()} below" in check.text for check in pairs)
    assert [usual_checks(n) for n in (1, 4, 5, 15, 40, 120)] == [0, 0, 1, 1, 3, 8]


def test_the_time_is_of_reading_and_answering(tmp_path: Path) -> None:
    items = [Item("", str(n), "word " * 100, None) for n in range(20)]
    packet = make_packet(items, criteria=["creativity"], checks=0, raters=1, out=tmp_path / "p")
    assert minutes(packet) == 10  # 2000 words take 10 minutes, 20 answers 1.3: 11.3, in fives
    page = data_of(tmp_path / "p" / "rater-1.html")
    assert page["minutes"] == 10


# ---- the smallest difference ----


def test_the_smallest_difference_has_80_percent_power() -> None:
    found = texts_power(texts(32), ("unsteered", "steered"), (1, 7), raters=5)
    assert found is not None
    assert found.prompts == 32
    shift = found.spread * np.sqrt(32)
    critical = stats.t.ppf(0.975, 31)
    assert stats.nct.sf(critical, 31, shift) == pytest.approx(0.8, abs=1e-9)
    # by hand: texts scatter by 0.75 points, ratings by 1.5, five raters, one text a prompt
    assert found.size == pytest.approx(found.spread * np.sqrt(2 * (0.75**2 + 1.5**2 / 5)))
    for word in ("32 prompts", "5 raters", "assumed", "unsteered and steered", f"{found.size:.2f} points of 1-7"):
        assert word in found.sentence


def test_it_shrinks_with_prompts_texts_and_raters() -> None:
    def size(groups: int, raters: int, each: int = 1) -> float:
        many = [replace(item, id=f"{item.id}{n}") for item in texts(groups) for n in range(each)]
        found = texts_power(many, ("unsteered", "steered"), (1, 7), raters)
        assert found is not None
        return found.size

    assert size(8, 5) > size(16, 5) > size(32, 5)
    assert size(16, 2) > size(16, 5)
    assert size(16, 5) == pytest.approx(np.sqrt(4) * size(16, 5, each=4))


def test_below_eight_prompts_no_interval_is_promised() -> None:
    found = texts_power(texts(7), ("unsteered", "steered"), (1, 7), raters=5)
    assert found is not None
    assert "7 prompts" in found.sentence
    assert "without" in found.sentence
    assert "nan" not in found.sentence
    assert texts_power([replace(item, group=None) for item in texts(9)], ("unsteered", "steered"), (1, 7), 5) is None
    assert texts_power(texts(9, ("unsteered",)), ("unsteered",), (1, 7), 5) is None


def test_of_pairs_it_is_a_share_of_preferences() -> None:
    items = texts(16)
    twos = list(zip(items[::2], items[1::2], strict=True))
    found = pairs_power(twos, ("unsteered", "steered"), raters=5)
    assert found is not None
    assert found.prompts == 16
    assert found.size == pytest.approx(found.spread * np.sqrt(0.2**2 + 0.25 / 5))
    assert f"{50 + 100 * found.size:.0f} % of preferences" in found.sentence


# ---- the folder ----


def test_only_a_new_or_an_empty_folder_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    make_packet(texts(), raters=1, out=tmp_path / "empty")
    assert "holds another packet" in refusal(make_packet, texts(), raters=1, out=tmp_path / "empty")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    assert "holds other files" in refusal(make_packet, texts(), raters=1, out=tmp_path / "other")
    (tmp_path / "file").write_text("mine")
    assert "got a file" in refusal(make_packet, texts(), raters=1, out=tmp_path / "file")
    assert "cannot be written" in refusal(make_packet, texts(), raters=1, out=tmp_path / "file" / "below")
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "other", "file"}
    make_packet(texts(), raters=1, out=tmp_path / "new" / "below")
    assert Packet.load(tmp_path / "new" / "below")


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(out: Path, error: BaseException) -> None:
        with new_folder(out) as folder:
            (folder / "half").write_text("x")
            raise error

    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "a" / "b", KeyboardInterrupt())
    assert "No space left" in refusal(fail, tmp_path / "c", OSError(28, "No space left on device"))
    assert list(tmp_path.iterdir()) == []


def test_the_note_for_the_organiser(tmp_path: Path) -> None:
    out = tmp_path / "my packet"
    packet = make_packet(texts(10), raters=5, out=out)
    note = (out / "README.txt").read_text()
    for word in ("rater-1.html to rater-5.html", "packet.json", "must not be sent to raters", "clens rate collect '"):
        assert word in note
    said = " ".join(told(packet, out))
    for word in ("5 pages", "20 texts", "1 attention check ", "10 unsteered, 10 steered; 10 prompts", "80 % power"):
        assert word in said


# ---- bad input ----


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"items": []}, "expected at least one, got none"),
        ({"items": [Item("", "a", "x"), Item("", "a", "y")]}, "'a' stands twice"),
        ({"items": [Item("", "a", " \n")]}, "text 'a': is empty"),
        ({"items": [Item("", "a", "x" * (LONGEST_TEXT + 1))]}, "at most 50,000 expected"),
        ({"items": [Item("", str(n), "x" * 41_000) for n in range(100)]}, "4,100,000 characters; a page holds at most"),
        ({"items": [Item("", str(n), "x") for n in range(MOST_TEXTS + 1)]}, "at most 2,000"),
        ({"raters": 0}, "--raters: expected 1 to 200, got 0"),
        ({"raters": 201}, "--raters: expected 1 to 200"),
        ({"scale": (7, 1)}, "--scale: expected two rising"),
        ({"scale": (1, 100)}, "--scale: expected two rising"),
        ({"checks": -1}, "--checks: expected 0 or more"),
        ({"checks": 13}, "--checks: 13 for 12 texts"),
        ({"criteria": ()}, "--criteria"),
        ({"note": "x" * 5000}, "--note: 5,000 characters"),
        ({"panel": ""}, "--panel"),
        ({"items": texts(2, ("steered",)), "pairs": True}, "'GROUP-0' has one text"),
        ({"items": [replace(item, condition="same") for item in texts(2)], "pairs": True}, "of one condition only"),
        ({"items": [Item("", "a", "x"), Item("", "b", "y")], "pairs": True}, "expected texts in groups"),
    ],
)
def test_bad_options_make_nothing(tmp_path: Path, options: dict, said: str) -> None:
    given = {"items": texts(), "raters": 2, "out": tmp_path / "p", **options}
    assert said in refusal(make_packet, given.pop("items"), **given)
    assert list(tmp_path.iterdir()) == []


# ---- texts from a file ----


def written(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_texts_from_files(tmp_path: Path) -> None:
    rows = [
        {"id": 7, "text": "One.", "prompt": "Write.", "condition": "a", "score": 3},
        {"id": "x", "text": "Two\nlines, <b>", "prompt": "Write.", "condition": "b"},
    ]
    lines = written(tmp_path / "a.jsonl", "\n".join(json.dumps(row) for row in rows))
    found = items_of_file(lines)
    assert found.items == (
        Item("", "7", "One.", "Write.", "Write.", "a"),
        Item("", "x", "Two\nlines, <b>", "Write.", "Write.", "b"),
    )
    assert found.notes == ("Columns not used: 'score'.",)
    assert found.source == {"file": str(lines)}
    table = written(tmp_path / "a.csv", 'body,topic,text\n"One, two",t,x\nThree,,y\n')
    assert items_of_file(table, {"text": "body", "group": "topic"}).items == (
        Item("", "2", "One, two", "t"),
        Item("", "3", "Three"),
    )
    assert items_of_file(written(tmp_path / "a.txt", "One\n\nThree\n")).items == (
        Item("", "1", "One"), Item("", "3", "Three"),
    )  # fmt: skip


def test_long_prompts_give_short_groups_that_differ(tmp_path: Path) -> None:
    rows = [{"text": "x", "prompt": "word " * 100 + end} for end in ("a", "b", "a")]
    one, two, three = items_of_file(written(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))).items
    assert one.group == three.group != two.group
    assert len(str(one.group)) <= 100


@pytest.mark.parametrize(
    ("name", "data", "columns", "said"),
    [
        ("a.jsonl", "", {}, "the file is empty"),
        ("a.csv", "id,text\n", {}, "no texts"),
        ("a.json", "[]", {}, "got the ending '.json'"),
        ("a.jsonl", '{"txt": "x"}', {}, "no column 'text'; it has 'txt': set --text. Did you mean 'txt'?"),
        ("a.jsonl", '{"text": "x"}', {"group": "topic"}, "no column 'topic'; it has 'text': set --group."),
        ("a.jsonl", '{"text": " "}', {}, "expected a text, got an empty one"),
        ("a.jsonl", '{"text": "x"}\n{"id": 1}', {}, "a.jsonl:2: field 'text': expected a text, got an empty one"),
        ("a.jsonl", '{"text": 3}', {}, "expected a string"),
        ("a.jsonl", '{"text": "a\\ud800"}', {}, "a lone surrogate"),
        ("a.jsonl", '{"text": "x", "id": "a"}\n{"text": "y", "id": "a"}', {}, "'a' stands twice, on lines 1 and 2"),
        ("a.jsonl", '{"text": "x", "id": true}', {}, "field 'id': expected a string"),
        ("a.jsonl", '{"text": "x", "condition": "c"}\n{"text": "y"}', {}, "none here, but one on line 1"),
        ("a.jsonl", json.dumps({"text": "x" * 50_001}), {}, "50,001 characters; at most 50,000"),
        ("a.jsonl", json.dumps({"text": "x", "prompt": "x" * 50_001}), {}, "a prompt of 50,001"),
        ("a.csv", "text,text\nx,y\n", {}, "'text' stands twice"),
        ("a.csv", "id,text\n1,Hello, you\n", {}, "expected 2 cells"),
        ("a.csv", 'text\n"open\n', {}, "not CSV"),
        ("a.jsonl", b"\xff\xfe", {}, "not UTF-8"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, data: str | bytes, columns: dict[str, str], said: str) -> None:
    assert said in refusal(items_of_file, written(tmp_path / name, data), columns)


def test_too_many_texts(tmp_path: Path) -> None:
    data = "\n".join("x" for _ in range(MOST_TEXTS + 1))
    assert "2,001 texts; a packet holds at most 2,000" in refusal(items_of_file, written(tmp_path / "a.txt", data))


def test_a_misspelt_column_is_pointed_at(tmp_path: Path) -> None:
    found = items_of_file(written(tmp_path / "a.jsonl", '{"text": "x", "conditon": "a"}'))
    assert found.notes == ("Columns not used: 'conditon'. Did you mean 'condition'?",)


# ---- texts from a run ----


def test_a_run_gives_the_same_prompts_and_seeds_in_all_conditions(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "run", prompts=10, seeds=2)
    found = items_of_run(run, 14, seed=3)
    by_condition = {
        name: sorted(item.text.split(" ", 1)[1] for item in found.items if item.condition == name)
        for name in ("unsteered", "steered", "prompted")
    }
    assert len(found.items) == 42
    assert by_condition["unsteered"] == by_condition["steered"] == by_condition["prompted"]
    told_apart = {"unsteered": "plain", "steered": "pushed", "prompted": "asked"}
    assert all(item.text.startswith(told_apart[str(item.condition)]) for item in found.items)
    prompts = [text.split(" of ")[1] for text in by_condition["steered"]]
    assert sorted(prompts.count(name) for name in set(prompts)) == [1] * 6 + [2] * 4, "one of each before a second"
    assert {item.prompt for item in found.items} <= {f"Write about thing {n}." for n in range(10)}
    assert found.notes == ()
    assert items_of_run(run, 14, seed=3) == found != items_of_run(run, 14, seed=4)


def test_a_run_with_too_few_texts_gives_what_it_has_and_says_so(tmp_path: Path) -> None:
    found = items_of_run(fake_run(tmp_path / "run", prompts=3, seeds=1), 40)
    assert len(found.items) == 9
    assert "Asked for 40 texts of each condition; the run has 3" in found.notes[0]


def test_a_run_in_pairs_sets_each_steered_text_against_its_twin(tmp_path: Path) -> None:
    found = items_of_run(fake_run(tmp_path / "run"), 12, pairs=True)
    texts_by_id = {item.id: item for item in found.items}
    assert len(found.pairs) == 12
    for one, other in found.pairs:
        assert texts_by_id[one].text == texts_by_id[other].text.replace("pushed", "plain")
    packet = make_packet(found.items, pairs=found.pairs, raters=2, out=tmp_path / "p")
    assert len(packet.pairs) == 12


def test_a_run_without_a_prompt_baseline_says_so(tmp_path: Path) -> None:
    found = items_of_run(fake_run(tmp_path / "run", conditions=("unsteered", "chosen")), 10)
    assert {item.condition for item in found.items} == {"unsteered", "steered"}
    assert "no texts that were asked for in words" in found.notes[0]


def test_runs_that_cannot_be_drawn_from(tmp_path: Path) -> None:
    assert "no texts of the test stage" in refusal(items_of_run, fake_run(tmp_path / "dev", stage="dev"))
    assert "no steered texts" in refusal(items_of_run, fake_run(tmp_path / "base", conditions=("unsteered",)))
    assert "--per-condition: expected 1 or more" in refusal(items_of_run, tmp_path, 0)
    assert "expected a run folder" in refusal(items_of_run, tmp_path, 1)
