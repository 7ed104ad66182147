"""A persona read from what a model wrote: a form, a list, a table, JSON, or several attributes on one line.

It guarantees an answer in bounded time for any text, and never an exception: what cannot be read is not there.
"""

import html
import json
import re
from typing import Any

from creativity_lens.personas.values import ATTRIBUTE_OF, normalised

LONGEST_TEXT = 10_000  # characters that are looked at: a form is short, and a first persona stands at the beginning
_DEEPEST = 3  # {"customer": {"persona": {"name": ...}}}

_BREAK = re.compile(r"<\s*(?:br|/p|/li|/tr|/div|/h\d|/ul|/table)\b[^<>]{0,40}>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_UNSEEN = re.compile("\x1b\\[[0-9;]{0,20}[A-Za-z]|[\u200b-\u200f\u202a-\u202e\ufeff]")
_BULLET = re.compile(r"^[^\w('\[<]*(?:\(?\d{1,2}[.)]\s+)?[^\w('\[<]*")  # dashes, dots, pictures, numbers
_LIST = re.compile(r"\[\s{0,9}(?=\{)|(?<=\})\s{0,9}\]")
_RUN = re.compile(r"[ \t]{3,}")  # also keeps the patterns below linear
_MARKS = str.maketrans({"*": "", "`": "", '"': "", "“": "", "”": "", "：": ":", "｜": "|", "{": "", "}": ""})
_LONGEST_KEY_FIRST = "|".join(re.escape(key).replace(r"\ ", r"[ _\-]") for key in sorted(ATTRIBUTE_OF, key=len)[::-1])
# A key at the beginning of a line or after a separator, perhaps with brackets, then a colon, a dash or a cell's edge.
_KEY = re.compile(
    rf"(?:^|[,;|.]|\s{{2}}|\t)\s*(?:and\s)?'?(?P<key>{_LONGEST_KEY_FIRST})'?\s?(?:\([^()\n]{{0,40}}\))?"
    r"\s?(?::|=|\||\s[-–—]{1,2}\s|[–—])",
    re.IGNORECASE,
)
_NEXT = re.compile(r"^\W*(?:persona|customer|person|example|profile)\s*#?\s*(?:[2-9]|two|b)\b", re.IGNORECASE)


def parse_persona(text: str) -> dict[str, str]:
    """The attributes of the first persona in a text, normalised (see `normalised`); {} where there is none.

    Read are lines `Name: Anna` with bullets, numbers, bold or quotes around, `Name - Anna`, a heading with its value on
    the line below, tables (down or across), JSON, and several attributes on one line with commas, semicolons or bars
    between. Keys are English, in any case. A second persona begins where the first attribute comes again, or at
    "Persona 2"; only the first 10,000 characters are looked at.

    >>> parse_persona("**Name:** Anna Schmidt\\n- Age: 34\\n- Job: Baker.")
    {'name': 'anna', 'age': '30-39', 'job': 'baker'}
    """
    plain = html.unescape(_TAG.sub(" ", _BREAK.sub("\n", text[:LONGEST_TEXT])))
    plain = _RUN.sub("  ", _CONTROL.sub(" ", _UNSEEN.sub("", plain.replace("\r", "\n"))))
    return _kept(_from_json(plain)) or _kept(_from_lines(plain))


def _kept(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """The first sound value of each attribute, up to where the first attribute comes again with another value."""
    found: dict[str, str] = {}
    for attribute, raw in pairs:
        value = normalised(attribute, raw)
        if not value:
            continue
        if attribute in found and attribute == next(iter(found)) and found[attribute] != value:
            break
        found.setdefault(attribute, value)
    return found


def _from_json(plain: str) -> list[tuple[str, str]]:
    """The first JSON object of a text, or of a list of objects."""
    start = plain.find("{")
    if start < 0:
        return []
    try:
        value, _ = json.JSONDecoder().raw_decode(plain, start)
    except (ValueError, RecursionError):  # cut off, or single quotes: the lines are read instead
        return []
    return _flat(value, _DEEPEST)


def _flat(value: Any, deepest: int) -> list[tuple[str, str]]:
    found = []
    for key, item in value.items() if isinstance(value, dict) else ():
        attribute = ATTRIBUTE_OF.get(" ".join(re.sub(r"[_\-]", " ", key).casefold().split()))
        first = item[0] if isinstance(item, list) and item else item
        if isinstance(first, dict):
            found += _flat(first, deepest - 1) if deepest else []
        elif attribute and isinstance(first, str | int | float) and not isinstance(first, bool):
            found.append((attribute, str(first)))
    return found


def _from_lines(plain: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    header: list[str | None] = []  # the attributes of a table's columns
    waiting = ""  # an attribute whose value stands on the next line
    for line in plain.split("\n"):
        if found and _NEXT.match(line):
            break
        cells = [_attribute(cell) for cell in line.strip().strip("|").split("|")]
        if sum(cell is not None for cell in cells) >= 2:
            header, waiting = cells, ""
            continue
        bare = _BULLET.sub("", _LIST.sub("", line).translate(_MARKS)).rstrip()
        if header and "|" in line and bare:
            values = bare.rstrip("|").split("|")
            found += [(name, value) for name, value in zip(header, values, strict=False) if name]
            break  # the next row is the next person
        if not bare.strip("|:- "):
            continue
        keys = list(_KEY.finditer(bare))
        if keys and keys[0].start() > 0 and _attribute(bare[: keys[0].start()]) is None and not found:
            keys = keys if len(keys) > 1 else []  # one key in the middle of prose is no form
        if not keys:
            if waiting:
                found.append((waiting, bare))
            waiting = _attribute(bare) or ""
            continue
        ends = [key.start() for key in keys[1:]] + [len(bare)]
        pairs = [(_attribute(key["key"]), bare[key.end() : end]) for key, end in zip(keys, ends, strict=True)]
        found += [(name, value) for name, value in pairs if name]
        last, value = pairs[-1]
        waiting = last or "" if not value.strip() else ""
    return found


def _attribute(cell: str) -> str | None:
    """The attribute that a heading or a cell names."""
    bare = _BULLET.sub("", cell.translate(_MARKS)).strip(" :'_").casefold()
    return ATTRIBUTE_OF.get(re.sub(r"[_\-]", " ", re.sub(r"\s*\([^()]{0,40}\)$", "", bare))) if len(bare) < 60 else None
