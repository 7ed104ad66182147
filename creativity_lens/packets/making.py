"""Make a packet: one page for each rater, the key that stays with the organiser, and what to do with both.

It guarantees that every rater gets every text once, in an order and on sides that are balanced over the raters; that no
page tells more than it must; that everything follows from the texts, the options and the seed; and that the folder is
written whole, into a new place.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from creativity_lens.errors import InputError
from creativity_lens.files import sha256_text, write_text
from creativity_lens.packets.folder import README, new_folder, readme
from creativity_lens.packets.items import LONGEST_TEXT, MOST_CHARACTERS, MOST_TEXTS, PAIRS_PER_GROUP
from creativity_lens.packets.ordering import orders, spread_checks
from creativity_lens.packets.packet import Packet
from creativity_lens.packets.page import page_data, render
from creativity_lens.packets.parts import Entry, Item, Pair, RaterPage
from creativity_lens.packets.questions import LONGEST_NOTE, Question, ask, check_scale, make_checks, usual_checks
from creativity_lens.packets.sealed import canonical
from creativity_lens.ratings import PANEL
from creativity_lens.rows import checked_name

MOST_RATERS = 200


def make_packet(
    items: Sequence[Item],
    *,
    criteria: Sequence[str] = ("creativity", "surprise", "quality"),
    scale: tuple[int, int] = (1, 7),
    raters: int = 5,
    pairs: bool | Sequence[tuple[str, str]] = False,
    seed: int = 0,
    out: str | Path,
    checks: int | None = None,
    show_prompts: bool = True,
    panel: str = PANEL,
    questions: Mapping[str, str] | None = None,
    note: str = "",
    source: Mapping[str, str] | None = None,
) -> Packet:
    """Write the folder `out`, which must be new or empty, and return the packet's key.

    `items` get keys of their own. With `pairs`, the texts of each group are compared with each other (where conditions
    are known: those of different ones), or the pairs of ids given. `checks` is the number of attention checks on every
    page (None: one for 15 texts), `questions` the wording by criterion, `note` a text for the first screen.

    Raises `InputError` for no texts, two of one id, too many or too long ones, criteria or a scale that cannot be
    asked, no or too many raters, a group without a pair, and a place that holds something or cannot be written.

    >>> make_packet(items_of_file("texts.jsonl").items, raters=5, out="packet")       # doctest: +SKIP
    Packet(id='5c0e...', ...)
    """
    asked = ask(criteria, pairs=pairs is not False, own=questions)
    ends = check_scale(scale)
    keyed = _keyed(items)
    _check_options(raters, checks, note)
    checked_name("--panel", "name", panel)
    mode = "scale" if pairs is False else "pairs"
    settings = canonical([
        [[item.id, item.text, item.group, item.prompt, item.condition] for item in keyed], [vars(q) for q in asked],
        mode, list(ends), raters, seed, checks, show_prompts, panel, note,
        [] if isinstance(pairs, bool) else list(pairs),
    ])  # fmt: skip
    digest = sha256_text("packet", settings)
    # nobody who has a page alone can draw the same numbers: they depend on ids and conditions too
    rng = np.random.default_rng([seed, int(digest[:32], 16)])
    twos = [] if pairs is False else _paired(keyed, pairs, rng)
    if pairs is not False and len(twos) > MOST_TEXTS:
        raise InputError(f"--pairs: {len(twos):,} pairs; a packet holds at most {MOST_TEXTS:,}: give fewer texts.")
    if pairs is not False:  # texts that are in no pair are no part of the packet
        used = {item.key for two in twos for item in two}
        keyed = [item for item in keyed if item.key in used]
    units = len(keyed) if pairs is False else len(twos)
    count = usual_checks(units) if checks is None else checks
    if count > units:
        raise InputError(f"--checks: {count} for {units} texts; expected at most one for each.")
    packet = Packet(
        id=digest[:12],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        mode=mode,
        criteria=tuple(question.name for question in asked),
        scale=ends if pairs is False else None,
        seed=seed,
        source=dict(source or {}),
        conditions=tuple(dict.fromkeys(item.condition for item in keyed if item.condition is not None)),
        items=tuple(keyed),
        pairs=tuple(Pair(f"p{n:03d}", one.key, other.key) for n, (one, other) in enumerate(twos, start=1)),
        checks=make_checks(count, [question.name for question in asked], ends if pairs is False else None, rng),
        raters=(),
    )
    groups = [item.group for item in keyed] if pairs is False else [one.group for one, _ in twos]
    return _write(packet, _entries(packet, groups, raters, rng), asked, Path(out), panel, show_prompts, note)


def _keyed(items: Sequence[Item]) -> list[Item]:
    if not items:
        raise InputError("texts: expected at least one, got none.")
    if len(items) > MOST_TEXTS:
        raise InputError(f"texts: {len(items):,}; a packet holds at most {MOST_TEXTS:,}: give a part of them.")
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise InputError(f"texts: the id '{item.id[:60]}' stands twice; expected one of its own for each text.")
        seen.add(item.id)
        if not item.text.strip():
            raise InputError(f"text '{item.id[:60]}': is empty; write it or leave it away.")
        if len(item.text) > LONGEST_TEXT:
            raise InputError(
                f"text '{item.id[:60]}': {len(item.text):,} characters; at most {LONGEST_TEXT:,} expected: cut it."
            )
    if (total := sum(len(item.text) + len(item.prompt or "") for item in items)) > MOST_CHARACTERS:
        raise InputError(f"texts: {total:,} characters; a page holds at most {MOST_CHARACTERS:,}: give fewer texts.")
    return [replace(item, key=f"i{number:03d}") for number, item in enumerate(items, start=1)]


def _check_options(raters: int, checks: int | None, note: str) -> None:
    if not 1 <= raters <= MOST_RATERS:
        raise InputError(f"--raters: expected 1 to {MOST_RATERS}, got {raters}.")
    if checks is not None and checks < 0:
        raise InputError(f"--checks: expected 0 or more, got {checks}.")
    if len(note) > LONGEST_NOTE:
        raise InputError(f"--note: {len(note):,} characters; at most {LONGEST_NOTE:,} expected.")


def _paired(
    items: Sequence[Item], pairs: bool | Sequence[tuple[str, str]], rng: np.random.Generator
) -> list[tuple[Item, Item]]:
    """The pairs by id, or all of each group, up to 15 a group: then those that give every text as many."""
    if not isinstance(pairs, bool):
        by_id = {item.id: item for item in items}
        for name in (name for two in pairs for name in two):
            if name not in by_id:
                raise InputError(f"--pairs: no text '{name[:60]}'; expected ids of the texts given.")
        return [(by_id[one], by_id[other]) for one, other in pairs]
    if all(item.group is None for item in items):
        raise InputError(
            "--pairs: expected texts in groups, which are compared with each other; name a --group column."
        )
    groups: dict[str | None, list[Item]] = {}
    for number, item in enumerate(items):
        groups.setdefault(f" {number}" if item.group is None else item.group, []).append(item)
    found = []
    for members in groups.values():
        own = _pairs_of(members, rng)
        if not own:
            said = "one text" if len(members) == 1 else "texts of one condition only"
            raise InputError(
                f"--pairs: the group '{(members[0].group or members[0].id)[:60]}' has {said}; expected two to compare, "
                "in every group."
            )
        found += own
    return found


def _pairs_of(members: Sequence[Item], rng: np.random.Generator) -> list[tuple[Item, Item]]:
    n = len(members)
    around = rng.permutation(n)
    steps = [(step, at) for step in range(1, n // 2 + 1) for at in range(n) if 2 * step < n or at < step]
    couples = [sorted((int(around[at]), int(around[(at + step) % n]))) for step, at in steps]
    apart = [(members[i], members[j]) for i, j in couples if _differ(members[i], members[j])]
    return apart[: max(PAIRS_PER_GROUP, n)]


def _differ(one: Item, other: Item) -> bool:
    return one.condition is None or one.condition != other.condition


def _entries(
    packet: Packet, groups: Sequence[str | None], raters: int, rng: np.random.Generator
) -> list[tuple[Entry, ...]]:
    """Every rater's entries. A pair is swapped for every other rater, and for a rater every other pair is."""
    kind = "item" if packet.mode == "scale" else "pair"
    keys = [each.key for each in (packet.items if packet.mode == "scale" else packet.pairs)]
    turned = rng.permutation(np.arange(len(keys)) % 2)
    codes = _codes(raters * (len(keys) + len(packet.checks)), rng)
    found = []
    for rater, order in enumerate(orders(groups, raters, rng)):
        entries = [
            Entry(next(codes), kind, keys[i], bool((turned[i] + rater) % 2) and kind == "pair") for i in order.tolist()
        ]
        places = spread_checks(len(keys), len(packet.checks), rng)
        shuffled = [packet.checks[i] for i in rng.permutation(len(packet.checks))]
        for place, check in sorted(zip(places, shuffled, strict=True), key=lambda each: each[0], reverse=True):
            entries.insert(place, Entry(next(codes), "check", check.key))
        found.append(tuple(entries))
    return found


def _codes(count: int, rng: np.random.Generator) -> Iterator[str]:
    """So many different codes of 8 hex digits."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[f"{int(rng.integers(2**32)):08x}"] = None
    return iter(found)


def _write(
    packet: Packet, entries: Sequence[tuple[Entry, ...]], asked: Sequence[Question], out: Path, panel: str,
    show_prompts: bool, note: str,
) -> Packet:  # fmt: skip
    pages, raters = [], []
    for number, own in enumerate(entries, start=1):
        name = f"rater-{number}"
        data = page_data(packet, name, own, asked, show_prompts=show_prompts, note=note)
        raters.append(RaterPage(name, f"{name}.html", panel, own, data["digest"]))
        pages.append(render(data))
    packet = packet.with_raters(raters)
    with new_folder(out) as folder:
        packet.save(folder)
        for rater, page in zip(raters, pages, strict=True):
            write_text(folder / rater.file, page)
        write_text(folder / README, readme(packet, out))
    return packet
