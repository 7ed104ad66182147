"""What `clens score` prints or writes: a table, CSV or JSON."""

import sys
from typing import Any


def write_scores(scores: Any, names: list[str], run: str, out: str | None, *, as_csv: bool, as_json: bool) -> None:
    """The results to a file, or to standard out as a table, CSV or JSON."""
    import json
    from pathlib import Path

    from creativity_lens.files import plain, write_json, write_with

    if as_json or (out is not None and out.endswith(".json")):
        found = plain(_described(scores, names, run))
        if out is not None:
            write_json(Path(out), found)
        else:
            print(json.dumps(found))
    elif as_csv or out is not None:
        frame = scores.frame
        frame.insert(0, "id", names)
        if out is not None:
            write_with(Path(out), lambda path: frame.to_csv(path, index=False))
        else:
            print(frame.to_csv(index=False), end="")  # not echo, which takes escape codes out of texts
    else:
        _print(scores, names, run)
    if out is not None:
        print(f"{len(scores)} text{'s' * (len(scores) != 1)}: {out}", file=sys.stderr)


def _described(scores: Any, names: list[str], run: str) -> dict[str, Any]:
    stick = scores.yardstick
    return {
        "directions": run,
        "model": stick.source.model,
        "layer": stick.layer,
        "sides": [scores.sides.creative, scores.sides.boring],
        "unit": "gaps",
        "gap_of_whole_responses": stick.whole.value,  # residual units
        "references": {"pairs": len(stick.test.topics), "topics": len(set(stick.test.topics))},
        "texts": [{"id": name, **row} for name, row in zip(names, scores.frame.to_dict("records"), strict=True)],
    }


def _print(scores: Any, names: list[str], run: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text as Plain

    from creativity_lens.colored.page import begun, signed
    from creativity_lens.errors import InputError

    def number(value: float, digits: int) -> str:
        return "" if value != value else f"{value:.{digits}f}"

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption_justify="left")
    alone = len(scores) == 1
    notes = list(dict.fromkeys(note for row in scores.rows for note in row.notes))
    marks = {note: f"[{place}]" for place, note in enumerate(notes, start=1)}
    if not alone:
        table.add_column("id", no_wrap=True, max_width=12)
    table.add_column("text", max_width=40)
    for heading in (
        "score",
        f"% {scores.sides.boring}",
        f"% {scores.sides.creative}",
        "surprisal",
        "repeated",
        "tokens",
        "note",
    ):
        table.add_column(heading, justify="left" if heading == "note" else "right", no_wrap=True)
    for name, row in zip(names, scores.rows, strict=True):
        begin = str(InputError(begun(row.text, 40)))  # what could drive a terminal is escaped
        cells = [begin] if alone else [str(InputError(name)), begin]
        cells += ["" if row.score != row.score else signed(row.score), number(row.percentile_boring, 0)]
        cells += [number(row.percentile_creative, 0), number(row.surprisal, 2), number(row.repetition, 2)]
        table.add_row(*map(Plain, [*cells, str(row.n_tokens), " ".join(marks[note] for note in row.notes)]))
    console = Console(width=max(112, Console().width))
    console.print(table)
    for note, mark in marks.items():
        console.print(Plain(f"{mark} {note}."))
    console.print(Plain(scores.caption), style="dim")
