"""Packets without pages, and answers to them as a page would save them, with effects that are known."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from creativity_lens.packets.packet import Packet
from creativity_lens.packets.parts import Check, Entry, Item, Pair, RaterPage
from creativity_lens.packets.sealed import digest_of

Rate = Callable[[Item, str, int], int]  # item, criterion, number of the rater -> a number on the scale
Prefer = Callable[[Pair, str, int], float]  # pair, criterion, rater -> 1 for its first text, 0 for its second, 0.5


def packet_of(
    prompts: int = 12,
    raters: int = 3,
    *,
    conditions: Sequence[str] = ("unsteered", "steered"),
    criteria: Sequence[str] = ("creativity", "surprise"),
    scale: tuple[int, int] = (1, 7),
    pairs: bool = False,
    per: int = 1,
    checks: int = 2,
    panels: Sequence[str] = (),
    seed: int = 0,
) -> Packet:
    """A packet of `per` texts for every prompt and condition (or pair of the first two), in an order for each rater."""
    draw = np.random.default_rng(seed)
    items = [
        Item(f"i{number:03d}", f"{prompt}:{condition}:{copy}", f"Text {number}, <b>bold</b>.", f"g{prompt}",
             f"Prompt {prompt}.", condition)
        for number, (prompt, condition, copy) in enumerate(
            (prompt, condition, copy) for prompt in range(prompts) for condition in conditions for copy in range(per)
        )
    ]  # fmt: skip
    couples: list[Pair] = []
    if pairs:
        by_name = {item.id: item.key for item in items}
        one, other = conditions[:2]
        for number, (prompt, copy) in enumerate((prompt, copy) for prompt in range(prompts) for copy in range(per)):
            keys = by_name[f"{prompt}:{one}:{copy}"], by_name[f"{prompt}:{other}:{copy}"]
            couples.append(Pair(f"p{number:03d}", *(keys if draw.random() < 0.5 else keys[::-1])))
    asked = [("pair", pair.key) for pair in couples] if pairs else [("item", item.key) for item in items]
    tests = [Check(f"c{n:02d}", "ab"[n % 2] if pairs else {criteria[0]: scale[n % 2]}) for n in range(checks)]
    pages = []
    for rater in range(raters):
        entries = asked + [("check", check.key) for check in tests]
        order = draw.permutation(len(entries))
        codes = draw.choice(2**32, size=len(entries), replace=False)
        swaps = draw.random(len(entries)) < 0.5
        pages.append(
            RaterPage(
                f"rater-{rater + 1}",
                f"rater-{rater + 1}.html",
                panels[rater] if panels else "lay",
                tuple(Entry(f"{codes[n]:08x}", *entries[n], bool(swaps[n]) and entries[n][0] == "pair") for n in order),
                digest_of({"rater": rater, "seed": seed}),
            )
        )
    return Packet(
        f"{int(draw.integers(2**48)):012x}", "2025-01-01T00:00:00+00:00", "pairs" if pairs else "scale",
        tuple(criteria), None if pairs else scale, seed, {"file": "texts.jsonl"}, tuple(conditions), tuple(items),
        tuple(couples), tuple(tests), tuple(pages),
    )  # fmt: skip


def answers_of(
    packet: Packet, rater: int, say: Rate | Prefer, *, wrong_checks: int = 0, leave_out: int = 0
) -> dict[str, object]:
    """What the page of a rater (from 0) saves. `wrong_checks` are failed, the last `leave_out` entries not answered."""
    page = packet.raters[rater]
    wrong = [check.key for check in packet.checks][:wrong_checks]
    rows = []
    for entry in page.entries[: len(page.entries) - leave_out]:
        if entry.kind == "check":
            values = _check(packet, entry, entry.key in wrong)
        elif entry.kind == "item":
            values = {name: int(say(packet.item(entry.key), name, rater)) for name in packet.criteria}
        else:
            values = {name: _side(say(packet.pair(entry.key), name, rater), entry.swapped) for name in packet.criteria}
        rows.append({"code": entry.code, "values": values, "seconds": 7})
    return sealed({
        "format": "answers 1", "packet": packet.id, "rater": page.name, "page": page.page_digest,
        "started": "2025-01-01T10:00:00Z", "saved": "2025-01-01T11:00:00Z", "answers": rows,
        "complete": not leave_out,
    })  # fmt: skip


def sealed(value: dict[str, object]) -> dict[str, object]:
    """The object with the digest that fits it."""
    return value | {"digest": digest_of(value)}


def saved(folder: Path, value: dict[str, object], name: str = "") -> Path:
    """An answers file in a folder."""
    file = folder / (name or f"answers-{value['packet']}-{value['rater']}.json")
    file.write_text(json.dumps(value), encoding="utf-8")
    return file


def answered(folder: Path, packet: Packet, say: Rate | Prefer) -> list[Path]:
    """Complete files of all raters."""
    return [saved(folder, answers_of(packet, rater, say)) for rater in range(len(packet.raters))]


def planted(
    packet: Packet, effect: dict[str, float], *, seed: int = 0, text: float = 0.8, noise: float = 0.8, step: float = 1.0
) -> Rate:
    """Ratings whose mean under each condition is known: the middle of the scale + the condition's effect.

    Prompts, texts, raters and single ratings scatter around it. What is off the scale is cut to it.
    """
    draw = np.random.default_rng([seed, 5])
    low, high = packet.scale or (0, 1)
    prompts = {item.group: step * draw.normal() for item in packet.items}
    texts = {(item.key, name): step * text * draw.normal() for item in packet.items for name in packet.criteria}
    strict = step * draw.normal(size=len(packet.raters))

    def rate(item: Item, criterion: str, rater: int) -> int:
        mean = (low + high) / 2 + effect.get(str(item.condition), 0.0) + prompts[item.group] + strict[rater]
        value = mean + texts[item.key, criterion] + step * noise * draw.normal()
        return int(np.clip(np.floor(value + draw.random()), low, high))  # rounded at random: the mean stays what it is

    return rate


def preferring(packet: Packet, condition: str, share: float, *, seed: int = 0, ties: float = 0.1) -> Prefer:
    """Preferences for a condition with a known share, ties half."""
    draw = np.random.default_rng([seed, 6])

    def prefer(pair: Pair, criterion: str, rater: int) -> float:
        if draw.random() < ties:
            return 0.5
        likes = draw.random() < (share - ties / 2) / (1 - ties)
        return float(likes == (packet.item(pair.first).condition == condition))

    return prefer


def _check(packet: Packet, entry: Entry, wrong: bool) -> dict[str, int | str]:
    expected = packet.check(entry.key).expected
    if isinstance(expected, str):
        return dict.fromkeys(packet.criteria, "tie" if wrong else expected)
    low, high = packet.scale or (0, 1)
    return {name: (low + high - value if wrong else value) for name, value in expected.items()}


def _side(first: float, swapped: bool) -> str:
    """The button for a preference for the pair's first text."""
    if first == 0.5:
        return "tie"
    return "a" if (first == 1.0) != swapped else "b"
