"""Texts to be rated: from a file of texts, or drawn from the test stage of a run; and which are compared in pairs.

It guarantees that whatever is wrong with a file is one `InputError` of one line that names the file and the line, that
every text has an id of its own, and that texts of a run come from the same prompts with the same luck (seeds) in every
condition, in equal numbers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from creativity_lens.errors import InputError, nearest
from creativity_lens.figures.rows import main_concept
from creativity_lens.files import sha256_text
from creativity_lens.packets.parts import Item
from creativity_lens.rows import check_all_or_none, check_once, checked_name, checked_text, parse_row, read_lines, shown
from creativity_lens.tables import read_run
from creativity_lens.text_files import read_csv

ENDINGS = (".jsonl", ".csv", ".txt")
MOST_TEXTS = 2000  # of a packet: more than anyone rates
LONGEST_TEXT = 50_000  # characters
MOST_CHARACTERS = 4_000_000  # of all texts together: every page holds them
PAIRS_PER_GROUP = 15  # all pairs of six texts
COLUMNS = ("text", "group", "prompt", "condition")
RUN_CONDITIONS = {"unsteered": "unsteered", "steered": "chosen", "prompted": "prompted"}  # as called here, and in a run
_WHAT = "a file of texts: .jsonl, one object a line; .csv, with a header; or .txt, one text a line"


@dataclass(frozen=True)
class Material:
    """What a packet is made of: texts without keys, which pairs of them (by id) are known, and what is to be said."""

    items: tuple[Item, ...]
    source: Mapping[str, str]  # {"file": ..} or {"run": ..}
    pairs: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def items_of_file(path: str | Path, columns: Mapping[str, str] | None = None) -> Material:
    """The texts of a .jsonl, .csv or .txt file.

    `columns` says which field holds the text, group, prompt and condition, where it is not the one of that name; those
    it names must be there. A missing "id" is the line's number; without a group, texts of one prompt are a group.
    Raises `InputError` for anything amiss: no text, an empty or too long one, an id twice, a condition in some rows.

    >>> items_of_file("texts.jsonl", {"group": "topic"})                   # doctest: +SKIP
    """
    path, named = Path(path), dict(columns or {})
    if path.suffix.lower() not in ENDINGS and not path.is_dir():
        raise InputError(f"{path}: expected {_WHAT}, or a run's folder; got the ending '{path.suffix}'.")
    rows = list(_rows(path))
    if not rows:
        raise InputError(f"{path}: no texts; expected {_WHAT}.")
    if len(rows) > MOST_TEXTS:
        raise InputError(f"{path}: {len(rows):,} texts; a packet holds at most {MOST_TEXTS:,}: give a part of them.")
    known = list(dict.fromkeys(name for _, row in rows for name in row))
    for role in COLUMNS:
        if (role in named or role == "text") and (column := named.get(role, role)) not in known:
            there = ", ".join(shown(name) for name in known[:8]) or "none"
            raise InputError(
                f"{path}: no column {shown(column)}; it has {there}: set --{role}.{nearest(column[:100], known)}"
            )
    held = {role: named.get(role, role) for role in COLUMNS}
    items = [(line, _item(f"{path}:{line}", line, row, held)) for line, row in rows]
    check_once(path, "id", [(line, item.id) for line, item in items])
    check_all_or_none(path, held["condition"], [(line, item.condition) for line, item in items])
    return Material(
        tuple(item for _, item in items),
        {"file": str(path)[:1000]},
        notes=tuple(_unused([name for name in known if name not in ("id", *held.values())], held, known)),
    )


def _unused(names: Sequence[str], held: Mapping[str, str], known: Sequence[str]) -> Iterator[str]:
    """Columns that play no part, and which of them looks like one that was meant to."""
    missing = [column for column in held.values() if column not in known]
    if names:
        meant = next((hint for hint in (nearest(name[:100], missing) for name in names) if hint), "")
        listed = ", ".join(shown(name) for name in names[:8]) + (", ..." if len(names) > 8 else "")
        yield f"Columns not used: {listed}.{meant}"


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    kind = path.suffix.lower()
    if kind == ".csv":
        yield from read_csv(path, _WHAT)
        return
    for number, line in read_lines(path, _WHAT):  # refuses folders, binaries, and what is too large
        yield number, parse_row(f"{path}:{number}", line) if kind == ".jsonl" else {"text": line.strip("\r\n")}


def _item(where: str, line: int, row: Mapping[str, Any], held: Mapping[str, str]) -> Item:
    text = checked_text(where, held["text"], row.get(held["text"], ""))
    if len(text) > LONGEST_TEXT:
        raise InputError(f"{where}: {len(text):,} characters; at most {LONGEST_TEXT:,} expected: cut the text.")
    prompt = row.get(held["prompt"])
    prompt = None if prompt in (None, "") else checked_text(where, held["prompt"], prompt)
    if prompt is not None and len(prompt) > LONGEST_TEXT:
        raise InputError(f"{where}: a prompt of {len(prompt):,} characters; at most {LONGEST_TEXT:,} expected.")
    name = row.get("id")
    name = checked_name(where, "id", _plain(name)) if name not in (None, "") else str(line)
    group, condition = (row.get(held[role]) for role in ("group", "condition"))
    return Item(
        "",
        name,
        text,
        _short(prompt) if group in (None, "") else checked_name(where, held["group"], _plain(group)),
        prompt,
        None if condition in (None, "") else checked_name(where, held["condition"], _plain(condition)),
    )


def _plain(value: Any) -> Any:
    """A number as the text that names something; true and false name nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return str(value) if isinstance(value, int) else f"{value:.12g}"


def _short(prompt: str | None) -> str | None:
    """A prompt as the name of the group of its texts: one line, and not endless."""
    if prompt is None:
        return None
    line = " ".join(prompt.split())
    return line if len(line) <= 90 else f"{line[:80]}... ({sha256_text(prompt)[:6]})"


# ---- from a run ----


def items_of_run(folder: str | Path, per_condition: int = 40, *, seed: int = 0, pairs: bool = False) -> Material:
    """Texts of a run's test stage: unsteered, steered (the chosen cell) and, where it was drawn, asked in words.

    Every condition gives the texts of the same prompts and seeds, at most `per_condition` of them: one of each prompt
    before a second of any. With `pairs`, unsteered and steered alone, each with its twin of the same prompt and seed.
    Raises `InputError` for a run without test texts or without one of the two conditions.

    >>> items_of_run("runs/formal", 40).notes                              # doctest: +SKIP
    """
    if per_condition < 1:
        raise InputError(f"--per-condition: expected 1 or more, got {per_condition}.")
    folder = Path(folder)
    _, texts, _, run = read_run(folder)
    if not len(texts) or not (texts["stage"] == "test").any():
        raise InputError(f"{folder}: no texts of the test stage; run `clens sweep` without --screen-only.")
    there = texts[(texts["stage"] == "test") & texts["concept"].isin([main_concept(run), ""])]
    found = {name: _by_luck(there[there["condition"] == own]) for name, own in RUN_CONDITIONS.items()}
    names = [name for name in RUN_CONDITIONS if found[name] and not (pairs and name == "prompted")]
    if missing := [name for name in ("unsteered", "steered") if name not in names]:
        raise InputError(f"{folder}: no {missing[0]} texts in its test stage; expected a run that chose a cell.")
    lucks = [luck for luck in found["unsteered"] if all(luck in found[name] for name in names)]
    kept = [luck for luck in lucks if all(_says(found[name][luck]) for name in names)]
    if not kept:
        raise InputError(f"{folder}: no prompt and seed has a text in every condition; run `clens sweep` again.")
    taken = _drawn(kept, per_condition, seed)
    prompts = run.get("prompts_text") or {}
    items = [_of_run(found[name][luck], name, prompts) for name in names for luck in taken]
    twins = [(str(found["unsteered"][luck]["text_id"]), str(found["steered"][luck]["text_id"])) for luck in taken]
    return Material(
        tuple(items),
        {"run": str(folder)[:1000]},
        tuple(twins) if pairs else (),
        tuple(_run_notes(names, per_condition, kept, len(lucks), taken, pairs)),
    )


def _by_luck(frame: pd.DataFrame) -> dict[tuple[str, int], dict[Any, Any]]:
    found: dict[tuple[str, int], dict[Any, Any]] = {}
    for row in frame.to_dict("records"):
        found.setdefault((str(row["prompt_id"]), int(row["seed"])), row)
    return found


def _says(row: Mapping[Any, Any]) -> bool:
    return isinstance(row["text"], str) and bool(row["text"].strip())


def _drawn(lucks: Sequence[tuple[str, int]], count: int, seed: int) -> list[tuple[str, int]]:
    """A random seed of every prompt, then a second one of every prompt, and so on, prompts in random order."""
    rng = np.random.default_rng(seed)
    mixed = [lucks[i] for i in rng.permutation(len(lucks))]
    turn: dict[str, int] = {}
    rounds = []
    for prompt, luck in mixed:
        turn[prompt] = turn.get(prompt, 0) + 1
        rounds.append((turn[prompt], prompt, luck))
    taken = [(prompt, luck) for _, prompt, luck in sorted(rounds, key=lambda each: each[0])[:count]]
    return sorted(taken)


def _of_run(row: Mapping[Any, Any], condition: str, prompts: Mapping[str, Any]) -> Item:
    name, text = str(row["prompt_id"]), str(row["text"]).encode("utf-8", "replace").decode("utf-8")
    prompt = str(prompts.get(name) or "").encode("utf-8", "replace").decode("utf-8")
    return Item("", str(row["text_id"]), text[:LONGEST_TEXT], name, prompt if prompt.strip() else None, condition)


def _run_notes(
    names: Sequence[str], asked: int, kept: Sequence[Any], lucks: int, taken: Sequence[tuple[str, int]], pairs: bool
) -> Iterator[str]:
    if asked > len(kept):
        prompts = len({prompt for prompt, _ in kept})
        yield (
            f"Asked for {asked} texts of each condition; the run has {len(kept)} that share prompt and seed ({prompts} "
            "prompts), and all are taken."
        )
    if "prompted" not in names and not pairs:
        yield "The run has no texts that were asked for in words (prompted); only unsteered and steered are compared."
    if lucks > len(kept):
        yield f"{lucks - len(kept)} of {lucks} were left out in all conditions, since one of them is empty."
