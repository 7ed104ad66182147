"""The parts of a packet: texts, pairs of them, attention checks, and what each rater gets; and how each is read.

Each `read_` function takes the object that packet.json holds for a part, and raises `InputError` of one line for a
field that is missing, unknown, or not what it should be.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from creativity_lens.errors import InputError
from creativity_lens.packets.fields import hex_digits, objects, plain_text, short_key, shown, whole_number
from creativity_lens.rows import check_fields, checked_choice, checked_name

KINDS = ("item", "pair", "check")
SIDES = ("a", "b")  # as they stand on the screen: the left or upper text is "a"
_LONGEST_TEXT = 1_000_000  # characters
_FILE = re.compile(r"[\w.-]{1,100}")


@dataclass(frozen=True)
class Item:
    """A text to be rated, and what its rater must not know."""

    key: str  # within the packet: i001
    id: str  # the organiser's name for it, unique in the packet
    text: str
    group: str | None = None  # texts are compared within it: the prompt's id
    prompt: str | None = None  # the prompt's text, shown above the text
    condition: str | None = None  # steered, unsteered, prompted, ..; None where none is known


@dataclass(frozen=True)
class Pair:
    """Two texts to be compared with each other."""

    key: str  # p001
    first: str  # key of an item
    second: str


@dataclass(frozen=True)
class Check:
    """An attention check: an entry that says itself what to answer."""

    key: str  # c01
    expected: Mapping[str, int] | str  # criterion -> value; or "a" or "b", as it stands on the screen, for all criteria
    text: str = ""  # what the page shows


@dataclass(frozen=True)
class Entry:
    """One thing that a rater answers, under a code that tells nothing."""

    code: str  # 8 hex digits, unique on its page
    kind: str  # one of KINDS
    key: str  # of the item, pair or check
    swapped: bool = False  # pairs only: the second text stands on side "a"


@dataclass(frozen=True)
class RaterPage:
    """What one rater gets: entries in the order of the page."""

    name: str  # rater-1
    file: str  # rater-1.html
    panel: str
    entries: tuple[Entry, ...]
    page_digest: str  # hex SHA-256 of the page's data, which the answers file repeats


def read_item(where: str, value: dict[str, Any], conditions: Sequence[str]) -> Item:
    """A text to be rated."""
    check_fields(f"{where}: items", value, required=["key", "id", "text"], optional=["group", "prompt", "condition"])
    key = short_key(f"{where}: items", "key", value["key"])
    at = f"{where}: item {key}"
    condition = value.get("condition")
    if condition is not None:
        checked_choice(at, "condition", condition, conditions)
    group = value.get("group")
    prompt = value.get("prompt")
    return Item(
        key,
        plain_text(at, "id", value["id"], 1000),
        plain_text(at, "text", value["text"], _LONGEST_TEXT),
        None if group is None else plain_text(at, "group", group, 1000),
        None if prompt is None else plain_text(at, "prompt", prompt, _LONGEST_TEXT),
        condition,
    )


def read_pair(where: str, value: dict[str, Any]) -> Pair:
    """Two texts to be compared."""
    check_fields(f"{where}: pairs", value, required=["key", "first", "second"])
    return Pair(*(short_key(f"{where}: pairs", field, value[field]) for field in ("key", "first", "second")))


def read_check(where: str, value: dict[str, Any], criteria: Sequence[str], scale: tuple[int, int] | None) -> Check:
    """An attention check."""
    check_fields(f"{where}: checks", value, required=["key", "expected"], optional=["text"])
    key = short_key(f"{where}: checks", "key", value["key"])
    at, expected = f"{where}: check {key}", value["expected"]
    text = value.get("text", "")
    if text != "":
        plain_text(at, "text", text, _LONGEST_TEXT)
    if scale is None:
        return Check(key, checked_choice(at, "expected", expected, SIDES), text)
    if not isinstance(expected, dict) or not expected:
        raise InputError(f"{at}: 'expected': expected a value by criterion, got {shown(expected)}.")
    values = {
        checked_choice(at, "expected", name, criteria): whole_number(at, "expected", each, *scale)
        for name, each in expected.items()
    }
    return Check(key, values, text)


def read_rater(where: str, value: dict[str, Any]) -> RaterPage:
    """A rater's page, with its entries."""
    check_fields(f"{where}: raters", value, required=["name", "file", "panel", "entries", "page_digest"])
    name = checked_name(f"{where}: raters", "name", value["name"])
    at = f"{where}: rater {name}"
    file = checked_name(at, "file", value["file"])
    if not _FILE.fullmatch(file) or file.startswith("."):
        raise InputError(f"{at}: 'file': expected the plain name of a file, got {shown(file)}.")
    return RaterPage(
        name,
        file,
        checked_name(at, "panel", value["panel"]),
        tuple(_entry(at, each) for each in objects(at, "entries", value["entries"])),
        hex_digits(at, "page_digest", value["page_digest"], 64),
    )


def _entry(at: str, value: dict[str, Any]) -> Entry:
    check_fields(f"{at}: entries", value, required=["code", "kind", "key"], optional=["swapped"])
    kind = checked_choice(f"{at}: entries", "kind", value["kind"], KINDS)
    swapped = value.get("swapped", False)
    if not isinstance(swapped, bool) or (swapped and kind != "pair"):
        raise InputError(f"{at}: entries: 'swapped': expected true or false, and true for a pair only.")
    code = hex_digits(f"{at}: entries", "code", value["code"], 8)
    return Entry(code, kind, short_key(f"{at}: entries", "key", value["key"]), swapped)
