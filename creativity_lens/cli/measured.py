"""What `clens diversity` reads, and prints or writes."""

import sys
from typing import Any


def read_files(
    files: list[str], column: str, *, group: str | None, by: str | None, coherent: str | None
) -> tuple[list[str], list[str], list[str] | None, list[bool] | None]:
    """Texts, their groups, their conditions (the file's name where there are several), and which are coherent."""
    from pathlib import Path

    from creativity_lens.diversity.fields import load_fields, truths
    from creativity_lens.errors import InputError

    texts: list[str] = []
    groups: list[str] = []
    conditions: list[str] = []
    marked: list[bool] = []
    names = [Path(file).stem for file in files]
    if len(set(names)) < len(names):  # the same name in two folders
        names = list(files)
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise InputError(f"{twice}: given twice; expected different files to compare.")
    for name, file in zip(names, files, strict=True):
        found = load_fields(file, column, group=group, by=by, coherent=coherent)
        texts += found.texts
        groups += found.fields.get("group", ("all",) * len(found.texts))
        conditions += found.fields.get("by", (name,) * len(found.texts))
        if coherent is not None:
            marked += truths(found.fields["coherent"], found.where, coherent)
    several = by is not None or len(files) > 1
    return texts, groups, conditions if several else None, None if coherent is None else marked


def write_diversity(found: Any, coherent: str, out: str | None, *, as_csv: bool, as_json: bool) -> None:
    """The measures to a file, or to standard out as a table, CSV or JSON."""
    import json
    from pathlib import Path

    from creativity_lens.files import plain, write_json, write_with

    if as_json or (out is not None and out.endswith(".json")):
        described = plain(_described(found, coherent))
        if out is not None:
            write_json(Path(out), described)
        else:
            print(json.dumps(described))
    elif as_csv or out is not None:
        if out is not None:
            write_with(Path(out), lambda path: found.table.to_csv(path, index=False))
        else:
            print(found.table.to_csv(index=False), end="")
    else:
        _print(found, coherent)
    if out is not None:
        print(f"{len(found.table)} measures: {out}", file=sys.stderr)


def _described(found: Any, coherent: str) -> dict[str, Any]:
    if hasattr(found, "conditions"):
        return {
            "coherent": coherent,
            "passed_over": found.passed_over,
            "conditions": {name: _one(each) for name, each in found.conditions.items()},
            "changes": found.changes.to_dict("records"),
        }
    return {"coherent": coherent, **_one(found)}


def _one(found: Any) -> dict[str, Any]:
    from dataclasses import asdict

    left = found.left_out
    return {
        "length": found.length,
        "count": found.count,
        "texts": found.n_texts,
        "groups": found.n_groups,
        "left_out": {**asdict(left), "texts": left.texts},
        "embedder": found.embedder or None,
        "threshold": found.threshold,
        "similarity": found.similarity,
        "method": found.method,
        "vocabulary": found.vocabulary,
        "table": found.table.to_dict("records"),
        "scores": [
            {"group": row.text_id, "measure": row.measure, "value": row.value, "unit": row.unit, "note": row.note}
            for row in found.scores
        ],
    }


def _print(found: Any, coherent: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text as Plain

    from creativity_lens.diversity.printing import headings_of, lines_of
    from creativity_lens.errors import InputError

    headings, lines = headings_of(found), lines_of(found)
    notes = list(dict.fromkeys(note for line in lines for note in line[-1].split("; ") if note))
    marks = {note: f"[{place}]" for place, note in enumerate(notes, start=1)}
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in headings:
        left = heading in ("measure", "scope", "texts", "unit", "note")
        whole = heading in ("measure", "scope", "n")
        table.add_column(Plain(str(InputError(heading))), justify="left" if left else "right", no_wrap=whole)
    for place, line in enumerate(lines):
        said = " ".join(marks[note] for note in line[-1].split("; ") if note)
        table.add_row(*(Plain(str(InputError(cell))) for cell in [*line[:-1], said]), end_section=place == 0)
    console = Console(width=max(112, Console().width))
    console.print(table)
    for note, mark in marks.items():
        console.print(Plain(f"{mark} {note}."))
    for line in (*found.caption.split("\n"), coherent):
        console.print(Plain(str(InputError(line))), style="dim")
