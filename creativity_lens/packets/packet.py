"""A packet: texts to be rated blind, one page for each rater, and the key that says which text is which.

The key, `packet.json`, stays with the organiser. It guarantees on reading that nothing in it was changed since it was
written, that every code of every page leads to a text, and that every rater has every text (or pair) once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError
from creativity_lens.files import write_json
from creativity_lens.packets.fields import (
    check_format,
    check_unique,
    hex_digits,
    objects,
    short_text,
    shown,
    whole_number,
)
from creativity_lens.packets.parts import Check, Item, Pair, RaterPage, read_check, read_item, read_pair, read_rater
from creativity_lens.packets.sealed import SEAL, check_seal, digest_of, read_object
from creativity_lens.rows import check_fields, checked_choice, checked_name

FORMAT = "packet 1"
KEY = "packet.json"
MODES = ("scale", "pairs")
LARGEST_KEY = 64 * 2**20  # bytes
MOST_CRITERIA = 20
FURTHEST = 1000  # an end of a scale
_WHAT = "the key of a packet, its packet.json"
_REMEDY = "restore the packet from a copy"


@dataclass(frozen=True)
class Packet:
    """The key of a packet. Everything in it is checked when it is saved and when it is loaded.

    >>> packet = Packet.load("packet/")                      # doctest: +SKIP
    >>> packet.raters[0].entries[0].code                     # doctest: +SKIP
    '9f3a01c2'
    """

    id: str  # 12 hex digits
    created: str  # ISO time
    mode: str  # one of MODES
    criteria: tuple[str, ...]  # the first is the primary one
    scale: tuple[int, int] | None  # both ends; None in pairs mode
    seed: int
    source: Mapping[str, str]  # {"file": ..} or {"run": ..}
    conditions: tuple[str, ...]  # in the order in which they are compared; empty where there are none
    items: tuple[Item, ...]
    pairs: tuple[Pair, ...]
    checks: tuple[Check, ...]
    raters: tuple[RaterPage, ...]

    def to_dict(self) -> dict[str, Any]:
        """The object that packet.json holds, sealed with its digest."""
        value: dict[str, Any] = {"format": FORMAT} | _listed(asdict(self))
        return value | {SEAL: digest_of(value)}

    @classmethod
    def of(cls, value: dict[str, Any], where: str = KEY) -> "Packet":
        """The packet that an object describes; `where` names it in errors. Raises `InputError` for anything amiss."""
        return _packet(where, value)

    def save(self, folder: str | Path) -> Path:
        """Write packet.json into a folder that exists, and return its path.

        Raises `InputError` for a packet that could not be loaded again, before anything is written.
        """
        path = Path(folder) / KEY
        value = self.to_dict()
        _packet(str(path), value)
        write_json(path, value)
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Packet":
        """The packet in a folder, or of a packet.json.

        Raises `InputError` of one line for a key that is missing, damaged, edited since it was written, or none.
        """
        file = _key_file(Path(path))
        value = read_object(file, _WHAT, largest=LARGEST_KEY, remedy=_REMEDY)
        check_format(str(file), value, FORMAT, _WHAT)
        check_seal(file, value, _REMEDY)
        return _packet(str(file), value)

    def with_raters(self, raters: Sequence[RaterPage]) -> "Packet":
        """The same packet with other pages."""
        return replace(self, raters=tuple(raters))

    def item(self, key: str) -> Item:
        """The item of a key."""
        return self._items[key]

    def pair(self, key: str) -> Pair:
        """The pair of a key."""
        return self._pairs[key]

    def check(self, key: str) -> Check:
        """The attention check of a key."""
        return self._checks[key]

    @cached_property
    def _items(self) -> dict[str, Item]:
        return {item.key: item for item in self.items}

    @cached_property
    def _pairs(self) -> dict[str, Pair]:
        return {pair.key: pair for pair in self.pairs}

    @cached_property
    def _checks(self) -> dict[str, Check]:
        return {check.key: check for check in self.checks}


def _key_file(path: Path) -> Path:
    try:
        return path / KEY if path.is_dir() else path
    except (OSError, ValueError):  # an over-long name
        return path


def _listed(value: Any) -> Any:
    """Tuples as lists, as JSON reads them back."""
    if isinstance(value, Mapping):
        return {key: _listed(each) for key, each in value.items()}
    return [_listed(each) for each in value] if isinstance(value, list | tuple) else value


_PACKET_FIELDS = (
    "format", "id", "created", "mode", "criteria", "scale", "seed", "source", "conditions", "items", "pairs", "checks",
    "raters",
)  # fmt: skip


def _packet(where: str, value: dict[str, Any]) -> Packet:
    check_format(where, value, FORMAT, _WHAT)
    check_fields(where, value, required=_PACKET_FIELDS, optional=[SEAL])
    mode = checked_choice(where, "mode", value["mode"], MODES)
    criteria = _names(where, "criteria", value["criteria"])
    if not 1 <= len(criteria) <= MOST_CRITERIA:
        raise InputError(f"{where}: 'criteria': expected 1 to {MOST_CRITERIA}, got {len(criteria)}.")
    scale = _scale(where, mode, value["scale"])
    conditions = _names(where, "conditions", value["conditions"])
    items = tuple(read_item(where, each, conditions) for each in objects(where, "items", value["items"]))
    pairs = tuple(read_pair(where, each) for each in objects(where, "pairs", value["pairs"]))
    checks = tuple(read_check(where, each, criteria, scale) for each in objects(where, "checks", value["checks"]))
    raters = tuple(read_rater(where, each) for each in objects(where, "raters", value["raters"]))
    packet = Packet(
        hex_digits(where, "id", value["id"], 12),
        short_text(where, "created", value["created"]),
        mode,
        criteria,
        scale,
        whole_number(where, "seed", value["seed"], -(2**63), 2**63),
        _source(where, value["source"]),
        conditions,
        items,
        pairs,
        checks,
        raters,
    )
    _check_whole(where, packet)
    return packet


def _names(where: str, field: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise InputError(f"{where}: '{field}': expected a list of names, got {shown(value)}.")
    names = tuple(checked_name(where, field, each) for each in value)
    check_unique(where, field, names)
    return names


def _scale(where: str, mode: str, value: Any) -> tuple[int, int] | None:
    if mode == "pairs":
        if value is not None:
            raise InputError(f"{where}: 'scale': expected null, since pairs have no scale, got {shown(value)}.")
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"{where}: 'scale': expected two whole numbers, got {shown(value)}.")
    low, high = (whole_number(where, "scale", end, -FURTHEST, FURTHEST) for end in value)
    if low >= high:
        raise InputError(f"{where}: 'scale': expected two rising numbers, got {low} and {high}.")
    return low, high


def _source(where: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: 'source': expected an object, got {shown(value)}.")
    return {short_text(where, "source", key): short_text(where, "source", each) for key, each in value.items()}


def _check_whole(where: str, packet: Packet) -> None:
    """What the parts promise each other."""
    for field, names in (
        ("items: key", [item.key for item in packet.items]),
        ("items: id", [item.id for item in packet.items]),
        ("pairs: key", [pair.key for pair in packet.pairs]),
        ("checks: key", [check.key for check in packet.checks]),
        ("raters: name", [rater.name for rater in packet.raters]),
        ("raters: file", [rater.file for rater in packet.raters]),
    ):
        check_unique(where, field, names)
    keys = {"item": {item.key for item in packet.items}, "pair": {pair.key for pair in packet.pairs}}
    keys["check"] = {check.key for check in packet.checks}
    for pair in packet.pairs:
        _check_keys(f"{where}: pair {pair.key}", [pair.first, pair.second], keys["item"])
        if pair.first == pair.second:
            raise InputError(f"{where}: pair {pair.key}: compares item {pair.first} with itself; expected two items.")
    asked = "item" if packet.mode == "scale" else "pair"
    if not keys[asked] or not packet.raters:
        raise InputError(f"{where}: expected at least one {asked} and one rater; make the packet again.")
    for rater in packet.raters:
        at = f"{where}: rater {rater.name}"
        check_unique(at, "entries: code", [entry.code for entry in rater.entries])
        check_unique(at, "entries: key", [f"{entry.kind} {entry.key}" for entry in rater.entries])
        for entry in rater.entries:
            if entry.kind not in (asked, "check"):
                raise InputError(
                    f"{at}: entry {entry.code}: a packet of mode '{packet.mode}' asks for no {entry.kind}."
                )
            _check_keys(f"{at}: entry {entry.code}", [entry.key], keys[entry.kind])
        lacking = keys[asked] - {entry.key for entry in rater.entries if entry.kind == asked}
        if lacking:
            raise InputError(
                f"{at}: {len(lacking)} of {len(keys[asked])} {asked}s have no entry ({min(lacking)} for one); "
                "expected all."
            )


def _check_keys(at: str, keys: Sequence[str], known: set[str]) -> None:
    for key in keys:
        if key not in known:
            raise InputError(f"{at}: the key {key!r} leads nowhere; {_REMEDY}.")
