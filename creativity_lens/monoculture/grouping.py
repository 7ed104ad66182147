"""Which texts are compared with which: the items that both sides have, each with at least two texts on each side."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from creativity_lens.errors import InputError, nearest
from creativity_lens.monoculture.reading import Filter, Side
from creativity_lens.rows import shown

FEWEST = 2  # texts of an item on a side: one text has no dispersion


@dataclass(frozen=True, eq=False)
class Paired:
    """The two sides after filters, item by item; `generated[i]` and `source[i]` are the rows of `items[i]`."""

    sides: tuple[Side, Side]  # generated, source
    items: tuple[str, ...]  # in the order of their names
    rows: tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]  # [side][item]: row numbers
    kept: tuple[tuple[int, int], tuple[int, int]]  # [side]: rows that met the filters, of how many
    filters: tuple[Filter, ...]
    notes: tuple[str, ...]  # what was left out


def pair_items(
    generated: Side,
    source: Side,
    *,
    group: str = "item",
    text: str | None = "text",
    keep: Sequence[Filter] = (),
    skip_missing: bool = False,
) -> Paired:
    """Match the items of both sides.

    With `text` given, rows whose text is empty are left out and counted, and a text that is no string is refused.
    Filters apply to both sides; items that they leave with fewer than two texts on a side are left out and counted.
    Rows of an item are put in an order of their own contents, so that nothing depends on the order of the file.

    Raises `InputError` for an item on one side only (unless `skip_missing`, which leaves it out and says so), an item
    with one text on a side, a missing field, and sides without an item in common.
    """
    sides = (generated, source)
    notes: list[str] = []
    found: list[dict[str, list[int]]] = []
    kept = []
    for side in sides:
        empty, before = 0, 0
        everyone: dict[str, list[int]] = {}
        after: dict[str, list[int]] = {}
        met = [all(each) for each in zip(*(one.keeps(side) for one in keep), strict=True)] if keep else None
        for row in range(len(side)):
            item = _item(side, row, group)
            if text is not None and not _text(side, row, text).strip():
                empty += 1
                continue
            before += 1
            everyone.setdefault(item, []).append(row)
            if met is None or met[row]:
                after.setdefault(item, []).append(row)
        if empty:
            notes.append(f"{side.name}: {empty} empty text{'s' * (empty > 1)} left out")
        kept.append((sum(map(len, after.values())), before))
        _refuse_single(side, everyone, group)
        found.append({item: after.get(item, []) for item in everyone})
    shared = _shared(sides, found, group, skip_missing, notes)
    items = [item for item in shared if min(len(each[item]) for each in found) >= FEWEST]
    if len(items) < len(shared):
        few = len(shared) - len(items)
        said = f"{few} of {len(shared)} item{'s' * (len(shared) > 1)}"
        notes.append(f"{said} left out: the filter leaves fewer than {FEWEST} texts on a side")
    if not items:
        what = ", ".join(map(str, keep))
        raise InputError(f"--keep {what}: leaves no item with at least {FEWEST} texts on both sides; widen it.")
    rows = tuple(
        tuple(tuple(sorted(each[item], key=partial(_content, side))) for item in items)
        for side, each in zip(sides, found, strict=True)
    )
    return Paired(sides, tuple(items), (rows[0], rows[1]), (kept[0], kept[1]), tuple(keep), tuple(notes))


def _item(side: Side, row: int, group: str) -> str:
    item = side.field(row, group, option="--group")
    if isinstance(item, bool) or not isinstance(item, str | int) or not str(item).strip():
        raise InputError(
            f"{side.where(row)}: field {shown(group)}: expected the item's name, got {item!r:.40}; name it in quotes."
        )
    return str(item)


def _text(side: Side, row: int, name: str) -> str:
    value = side.field(row, name, option="--text")
    if not isinstance(value, str):
        raise InputError(
            f"{side.where(row)}: field {shown(name)}: expected a string, got {value!r:.40}; write it in quotes."
        )
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InputError(f"{side.where(row)}: field {shown(name)}: holds a lone surrogate, which is no character.")
    return value


def _refuse_single(side: Side, items: dict[str, list[int]], group: str) -> None:
    if not items:
        raise InputError(f"{side.name}: every text is empty; expected texts of items.")
    single = [item for item, rows in items.items() if len(rows) < FEWEST]
    if len(single) == len(items):
        raise InputError(
            f"{side.name}: every {shown(group)} has one text; expected at least {FEWEST} of each, or another --group."
        )
    if single:
        more = f" (and {len(single) - 1} more)" if len(single) > 1 else ""
        raise InputError(
            f"{side.name}: item {shown(single[0])}{more}: has one text; expected at least {FEWEST}: add some, or "
            "remove the item from both files."
        )


def _shared(
    sides: tuple[Side, Side], found: Sequence[dict[str, list[int]]], group: str, skip: bool, notes: list[str]
) -> list[str]:
    both = sorted(set(found[0]) & set(found[1]))
    if not both:
        first, second = (shown(next(iter(each))) for each in found)
        raise InputError(
            f"{sides[0].name} and {sides[1].name}: no {shown(group)} is in both (first: {first} and {second}); give "
            "texts of the same items."
        )
    for place in (0, 1):
        (here, there), (side, other) = (found[place], found[1 - place]), (sides[place], sides[1 - place])
        alone = [item for item in here if item not in there]
        if alone and not skip:
            more = f" (and {len(alone) - 1} more)" if len(alone) > 1 else ""
            raise InputError(
                f"{side.name}: item {shown(alone[0])}{more}: not in {other.name}; add it there, or leave such items "
                f"out with --skip-missing.{nearest(alone[0][:100], set(there) - set(here))}"
            )
        if alone:
            notes.append(f"{len(alone)} item{'s' * (len(alone) > 1)} only in {side.name} left out")
    return both


def _content(side: Side, row: int) -> str:
    fields: Any = side.rows[row]
    return repr(sorted((str(key), repr(value)) for key, value in fields.items()))
