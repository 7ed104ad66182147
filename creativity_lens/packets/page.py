"""A rater's page: one HTML file that opens offline, sends nothing, and trusts nothing that a model or a user wrote.

What must hold: texts stand in a JSON block that cannot end its own `<script>`, and the page's script shows them with
`textContent`; the content security policy names the hashes of the one script and the one style, so that nothing else
runs and nothing is fetched; nothing in the page tells a text's id, condition or source.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from creativity_lens.packets.packet import Packet
from creativity_lens.packets.parts import Entry
from creativity_lens.packets.questions import PRACTICE, Question
from creativity_lens.packets.sealed import SEAL, digest_of
from creativity_lens.page_safety import embedded_json, source_hash

FOLDER = Path(__file__).parent
FORMAT = "page 1"
SCRIPTS = ("page_answers.js", "page_digest.js", "page_screens.js", "page.js")
WORDS_PER_MINUTE = 200
SECONDS_PER_ANSWER = 4


def page_data(
    packet: Packet,
    rater: str,
    entries: Sequence[Entry],
    questions: Sequence[Question],
    *,
    show_prompts: bool = True,
    note: str = "",
) -> dict[str, Any]:
    """What a page knows, sealed with its digest: nothing but texts, questions and codes."""

    def shown(entry: Entry) -> dict[str, Any]:
        if entry.kind == "check":
            return {"code": entry.code, "notice": packet.check(entry.key).text}
        if entry.kind == "item":
            item = packet.item(entry.key)
            return {"code": entry.code, "prompt": item.prompt if show_prompts else None, "text": item.text}
        pair = packet.pair(entry.key)
        sides = [packet.item(pair.first), packet.item(pair.second)]
        if entry.swapped:
            sides.reverse()
        shared = sides[0].prompt if sides[0].prompt == sides[1].prompt else None
        return {
            "code": entry.code,
            "prompt": shared if show_prompts else None,
            "a": sides[0].text,
            "b": sides[1].text,
        }

    value = {
        "format": FORMAT,
        "packet": packet.id,
        "rater": rater,
        "mode": packet.mode,
        "scale": None if packet.scale is None else list(packet.scale),
        "criteria": [vars(question) for question in questions],
        "entries": [shown(entry) for entry in entries],
        "practice": {"code": "practice", "prompt": None, **PRACTICE[packet.mode]},
        "minutes": minutes(packet, show_prompts=show_prompts),
        "note": note,
    }
    return value | {SEAL: digest_of(value)}


def minutes(packet: Packet, *, show_prompts: bool = True) -> int:
    """How long a page takes: reading 200 words a minute, and four seconds an answer; in fives above ten."""
    pairs = [[packet.item(key) for key in (pair.first, pair.second)] for pair in packet.pairs]
    units = pairs or [[item] for item in packet.items]
    words = math.fsum(_words(check.text) for check in packet.checks)
    for unit in units:
        words += math.fsum(_words(item.text) for item in unit) + _words((unit[0].prompt if show_prompts else "") or "")
    answers = (len(units) + len(packet.checks)) * len(packet.criteria)
    found = words / WORDS_PER_MINUTE + answers * SECONDS_PER_ANSWER / 60
    return max(1, round(found)) if found < 10 else 5 * round(found / 5)


def _words(text: str) -> float:
    return max(float(len(text.split())), len(text) / 10)  # not all scripts put spaces between words


def render(data: Mapping[str, Any]) -> str:
    """The page of some data as HTML."""
    style, script = _style(), _script()
    pairs = data["mode"] == "pairs"
    page = _template().render(
        policy=_policy(script, style), style=style, script=script, data=embedded_json(data),
        title="Comparing texts" if pairs else "Rating texts",
    )  # fmt: skip
    return page if page.endswith("\n") else page + "\n"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html.j2")


@cache
def _script() -> str:
    """The page's script, as the browser's parser will see it, since its hash is taken over that: one scope for all."""
    parts = "\n".join(_source(name) for name in SCRIPTS)
    return f'\n"use strict";\n(function () {{\n{parts}}})();\n'


@cache
def _style() -> str:
    return "\n" + _source("page.css")


def _source(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _policy(script: str, style: str) -> str:
    return (
        f"default-src 'none'; script-src {source_hash(script)}; style-src {source_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
