"""Files of answers, as a packet's pages save them: checked against the key before anything in them is believed.

It guarantees that answers come from the page that the packet gave to this rater, whole and unchanged since they were
saved; that every answer is one that the page could give; and that whatever is wrong is one `InputError` of one line
that names the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError, check_choice, nearest
from creativity_lens.packets.fields import check_format, hex_digits, objects, short_text, shown, whole_number
from creativity_lens.packets.packet import Packet
from creativity_lens.packets.parts import SIDES, Entry, RaterPage
from creativity_lens.packets.sealed import SEAL, check_seal, read_object
from creativity_lens.rows import check_fields

FORMAT = "answers 1"
TIE = "tie"
CHOICES = (*SIDES, TIE)
LARGEST_ANSWERS = 8 * 2**20  # bytes; 100 texts on 3 criteria take 10 KiB
_LONGEST = 10**9  # seconds
_WHAT = "an answers file, as a packet's page saves it"
_REMEDY = "ask the rater to open the page and save again"
_FIELDS = ("format", "packet", "rater", "page", "started", "saved", "answers", "complete", SEAL)


@dataclass(frozen=True)
class Answer:
    """What a rater answered to one entry: by criterion a number on the scale, or "a", "b" or "tie"."""

    entry: Entry
    values: Mapping[str, int | str]
    seconds: int


@dataclass(frozen=True)
class Answers:
    """One rater's answers, in the order of the page."""

    path: Path
    page: RaterPage
    answers: tuple[Answer, ...]  # partial files lack some
    missing: int  # entries of the page that lack an answer
    failed: tuple[str, ...]  # keys of the attention checks that were answered otherwise than asked
    saved: str
    digest: str

    @property
    def asked(self) -> int:
        """Entries of the page, checks among them."""
        return len(self.page.entries)

    @property
    def checks(self) -> int:
        """Attention checks on the page."""
        return sum(entry.kind == "check" for entry in self.page.entries)

    @property
    def is_attentive(self) -> bool:
        """At most one check in three failed: none of one or two, one of three to five."""
        return len(self.failed) <= self.checks // 3


def read_answers(path: str | Path, packet: Packet, *, partial: bool = False) -> Answers:
    """The answers in a file, checked against the packet's key; `partial` lets some be missing.

    Raises `InputError` for a file that is no answers file, too large, cut or edited, of another packet, of an unknown
    rater, of another page, with a code that is unknown or stands twice, with a value that the page could not give, and
    (unless `partial`) for one that is incomplete.

    >>> read_answers("answers-0a1b2c3d4e5f-rater-1.json", packet).missing        # doctest: +SKIP
    0
    """
    path = Path(path)
    where = str(path)
    value = read_object(path, _WHAT, largest=LARGEST_ANSWERS, remedy=_REMEDY)
    check_format(where, value, FORMAT, _WHAT)
    check_seal(path, value, _REMEDY)
    check_fields(where, value, required=_FIELDS)
    page = _page(where, value, packet)
    given = _given(where, objects(where, "answers", value["answers"]), packet, page)
    for field in ("started", "saved"):
        short_text(where, field, value[field])
    if not isinstance(value["complete"], bool):
        raise InputError(f"{where}: 'complete': expected true or false, got {shown(value['complete'])}; {_REMEDY}.")
    needed = {entry.code: _needed(entry, packet) for entry in page.entries}
    whole = {code for code, answer in given.items() if needed[code] <= set(answer.values)}
    missing = len(page.entries) - len(whole)
    if not any(answer.values and answer.entry.kind != "check" for answer in given.values()):
        raise InputError(f"{where}: no answer of {page.name} in it; leave the file out.")
    answers = tuple(given[entry.code] for entry in page.entries if entry.code in given)
    failed = tuple(answer.entry.key for answer in answers if _is_failed(answer, packet))
    found = Answers(path, page, answers, missing, failed, value["saved"], value[SEAL])
    if not partial:
        check_complete(found)
    return found


def check_complete(found: Answers) -> None:
    """Nothing is missing; else an `InputError` says how much."""
    if found.missing:
        raise InputError(
            f"{found.path}: incomplete: {found.missing} of {found.asked} answers of {found.page.name} are missing; ask "
            "the rater to finish, or take what is there as partial."
        )


def _page(where: str, value: dict[str, Any], packet: Packet) -> RaterPage:
    if value["packet"] != packet.id:
        raise InputError(
            f"{where}: answers to packet {shown(value['packet'])}, not to '{packet.id}'; collect each packet by itself."
        )
    pages = {page.name: page for page in packet.raters}
    name = value["rater"]
    if not isinstance(name, str) or name not in pages:
        hint = nearest(name[:100], pages) if isinstance(name, str) else ""
        raise InputError(
            f"{where}: rater {shown(name)} has no page in packet '{packet.id}'; give the right file.{hint}"
        )
    if value["page"] != pages[name].page_digest:
        raise InputError(
            f"{where}: answers to another page than the packet's {pages[name].file}, which was changed or made again; "
            "collect them with the packet that they belong to."
        )
    return pages[name]


def _given(where: str, rows: list[dict[str, Any]], packet: Packet, page: RaterPage) -> dict[str, Answer]:
    entries = {entry.code: entry for entry in page.entries}
    given: dict[str, Answer] = {}
    for row in rows:
        check_fields(f"{where}: answers", row, required=["code", "values", "seconds"])
        code = hex_digits(f"{where}: answers", "code", row["code"], 8)
        at = f"{where}: answer {code}"
        if code not in entries:
            raise InputError(f"{at}: the page of {page.name} has no such code; {_REMEDY}.")
        if code in given:
            raise InputError(f"{at}: stands twice; {_REMEDY}.")
        if not isinstance(row["values"], dict):
            raise InputError(f"{at}: 'values': expected a value by criterion, got {shown(row['values'])}; {_REMEDY}.")
        values = {
            check_choice(f"{at}: criterion", name[:100], packet.criteria): _value(at, name, each, packet)
            for name, each in row["values"].items()
        }
        given[code] = Answer(entries[code], values, whole_number(at, "seconds", row["seconds"], 0, _LONGEST))
    return given


def _value(at: str, name: str, value: Any, packet: Packet) -> int | str:
    if packet.scale is not None:
        return whole_number(at, name, value, *packet.scale)
    if not isinstance(value, str) or value not in CHOICES:
        raise InputError(f"{at}: '{name}': expected one of {', '.join(CHOICES)}; got {shown(value)}; {_REMEDY}.")
    return value


def _needed(entry: Entry, packet: Packet) -> set[str]:
    """The criteria on which an entry must be answered: a check on those that it names."""
    expected = packet.check(entry.key).expected if entry.kind == "check" else ""
    return set(packet.criteria) if isinstance(expected, str) else set(expected)


def _is_failed(answer: Answer, packet: Packet) -> bool:
    """Whether a check was answered otherwise than it asks; what was not answered is missing, and not failed."""
    if answer.entry.kind != "check":
        return False
    expected = packet.check(answer.entry.key).expected
    wanted = {name: expected if isinstance(expected, str) else expected.get(name) for name in packet.criteria}
    return any(wanted[name] is not None and value != wanted[name] for name, value in answer.values.items())
