"""How `clens runs` prints a run, a check, and two runs side by side. What a run.json says cannot drive a terminal."""

import math
import sys
from typing import Any

import typer


def print_run(entry: Any, told: dict[str, Any], inputs: dict[str, Any], files: dict[str, int | None]) -> None:
    """A run: what it is, its inputs, its seconds, its warnings."""
    from creativity_lens.run_listing import cells_of, size_text

    verdict = told["verdict"] if isinstance(told["verdict"], dict) else {}
    cells = cells_of(files)
    kept = sum(files[name] or 0 for name in cells)
    halved = told["batches_halved"] or []
    lines = {
        "run": f"{entry.place} ({', '.join(part for part in (entry.kind, entry.status) if part)})",
        "model": entry.model,
        "created": entry.created,
        "command": told["command"],
        "verdict": verdict.get("sentence"),
        "chosen": entry.chosen,
        "results kept": f"{len(cells)}, {size_text(kept)}" if cells else None,
        "size": f"{size_text(entry.size)} in {len(files)} files",
        "batches cut": f"{len(halved)}, for want of memory: equality to the byte is not promised" if halved else None,
    }
    for name, value in lines.items():
        if value:
            typer.echo(f"{name:<14}{one_line(value)}")
    timings = told["timings"] if isinstance(told["timings"], dict) else {}
    for heading, rows in (
        ("Inputs", [[name, _short(value)] for name, value in inputs.items()]),
        ("Seconds", [[str(name), f"{value:,.1f}" if isinstance(value, int | float) else _short(value)]
                     for name, value in timings.items()]),
    ):  # fmt: skip
        if rows:
            typer.echo(f"\n{heading}")
            width = max(len(row[0]) for row in rows)
            for name, value in rows:
                typer.echo(f"  {one_line(name):<{width}}  {one_line(value)}")
    for warning in told["warnings"] if isinstance(told["warnings"], list) else ():
        typer.echo(f"\nwarning: {one_line(warning)}")


def print_check(place: str, check: Any) -> None:
    """What is wrong with a run, a line each, and what to do about it."""
    for said in check.wrong:
        typer.echo(f"{one_line(place)}: {one_line(said)}")
    for said in check.notes:
        print(f"note: {one_line(place)}: {one_line(said)}", file=sys.stderr)
    if not check.wrong:
        typer.echo(f"{one_line(place)}: all is well ({check.files} files and {check.cells} kept results checked).")
        return
    typer.echo(
        f"{one_line(place)}: {len(check.wrong)} damaged. Start the same command again with --out {one_line(place)}: "
        "what is whole is read, what is damaged is done again."
    )


def difference_dict(found: Any, a: str, b: str, top: int) -> dict[str, Any]:
    """A comparison as one JSON object."""
    moved = found.moved
    rows = [] if moved is None else (moved.rows.head(top) if top else moved.rows).to_dict("records")
    numbers = None
    if moved is not None:
        counts = {"compared": len(moved.rows), "judged": moved.judged, "far": moved.far, "by_chance": moved.chance}
        numbers = {**counts, "only_a": moved.only_a, "only_b": moved.only_b, "rows": [_known(row) for row in rows]}
    return {
        "a": a, "b": b, "kind": found.kind,
        "inputs": [dict(zip(("name", "a", "b"), each, strict=True)) for each in found.inputs],
        "beside": [dict(zip(("name", "a", "b"), each, strict=True)) for each in found.beside],
        "identical": found.identical, "verdicts": found.verdicts,
        "texts": found.texts.to_dict("records"), "numbers": numbers, "note": found.why,
    }  # fmt: skip


def _known(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the table without what pandas writes where nothing is."""
    import pandas as pd

    return {name: None if pd.isna(value) else value for name, value in row.items()}


def print_difference(found: Any, top: int) -> None:
    """Inputs, files, verdicts, texts and numbers of two runs."""
    from creativity_lens.inputs import described

    if found.inputs:
        typer.echo("Inputs that differ")
        rows = [[name, *_apart(a, b), described(name)] for name, a, b in found.inputs]
        print_table(["input", "A", "B", "which is"], rows)
    else:
        typer.echo("Inputs: the same.\n")
    if found.beside:
        typer.echo("No inputs, and worth the last bits of a number:")
        print_table(["", "A", "B"], [[name, _short(a), _short(b)] for name, a, b in found.beside])
    if found.identical:
        typer.echo(f"Identical to the byte: {', '.join(one_line(name) for name in found.identical)}\n")
    if found.verdicts:
        typer.echo("Verdicts")
        rows = [
            [each["what"], _number(each["a"]), _number(each["b"]), _errors(each.get("errors"))]
            for each in found.verdicts
        ]
        print_table(["", "A", "B", "errors apart"], rows, right=(3,))
    if found.why:
        typer.echo(one_line(found.why) + ".")
        return
    if found.wrote and not len(found.texts):
        typer.echo("Texts: none of the same prompt, condition and luck in both.")
    for each in found.texts.to_dict("records"):
        stage = next(iter(each.values()))
        typer.echo(f"Texts, {one_line(stage)}: {each['equal']:,} of {each['both']:,} equal ({each['share']:.1%}).")
    _print_moved(found, top)


def _print_moved(found: Any, top: int) -> None:
    moved = found.moved
    alone = f"; {moved.only_a} stand in A alone, {moved.only_b} in B alone" if moved.only_a + moved.only_b else ""
    typer.echo(f"Numbers: {len(moved.rows):,} compared, {moved.moved or 'none'} moved by more than rounding{alone}.")
    if not moved.moved:
        return
    typer.echo(
        f"{moved.far:,} of {moved.judged:,} that have an error lie more than 1.96 errors apart; in independent runs "
        f"that differ in luck alone, {moved.chance:.0f} would."
    )
    rows = moved.rows[moved.rows["errors"] != 0]
    shown = [_known(row) for row in (rows.head(top) if top else rows).to_dict("records")]
    same = [name for name in found.key if len({row[name] for row in shown}) == 1]
    keys = [name for name in found.key if name not in (*same, "measure")]
    cells = [
        [_where(row, keys), row["measure"], *(_number(row[name]) for name in ("a", "b")),
         _number(row["difference"], sign="+"), _errors(row["errors"]), row["basis"]]
        for row in shown
    ]  # fmt: skip
    headings = ["where", "measure", "A", "B", "B - A", "errors", "from"]
    print_table(headings, cells, right=(2, 3, 4, 5), whole=tuple(range(1, 7)))
    if told := _where(shown[0], [name for name in same if name != "measure"]):
        typer.echo(f"Everywhere: {one_line(told)}.")
    if len(rows) > len(shown):
        typer.echo(f"{len(rows) - len(shown):,} more moved; --top 0 shows all.")
    typer.echo(
        "Errors: paired over the prompts that both runs share, or from both 95 % intervals as if the runs were "
        "independent,\nwhich errs on the side of seeing too little where they share prompts or luck."
    )


def _where(row: dict[str, Any], keys: list[str]) -> str:
    """The place of a number in words: words as they are, numbers with what they count."""
    said = [str(row[key]) if isinstance(row[key], str) else f"{key} {_number(row[key])}" for key in keys
            if row[key] is not None and row[key] != ""]  # fmt: skip
    return ", ".join(said)


def _apart(a: Any, b: Any) -> list[str]:
    """Two values in few words; of two long lists only where they differ."""
    shown = [_short(a), _short(b)]
    if not (isinstance(a, list) and isinstance(b, list) and any(text.endswith("...") for text in shown)):
        return shown
    begin = next((place for place, (one, two) in enumerate(zip(a, b, strict=False)) if one != two), min(len(a), len(b)))
    left, right = a[begin:], b[begin:]
    while left and right and left[-1] == right[-1]:
        left, right = left[:-1], right[:-1]
    return [_short(["..."] * (begin > 0) + part + ["..."] * (begin + len(part) < len(of) and len(part) > 0))
            for part, of in ((left, a), (right, b))]  # fmt: skip


def _number(value: Any, *, sign: str = "") -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:{sign}.4g}"
    return str(value)


def _errors(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:+.2f}"


def _short(value: Any) -> str:
    """A value of run.json in few words; hashes by their beginning."""
    import re

    if value is None:
        return "none"
    text = ", ".join(map(_short, value)) if isinstance(value, list) else str(value)
    text = re.sub(r"\b([0-9a-f]{12})[0-9a-f]{28,}\b", r"\1", text)
    return text if len(text) <= 60 else f"{text[:57]}..."


def one_line(value: Any) -> str:
    """One line in which what could drive a terminal is escaped."""
    from creativity_lens.errors import InputError

    return str(InputError(" ".join(str(value).split())))


def print_table(
    headings: list[str], rows: list[list[str]], *, right: tuple[int, ...] = (), whole: tuple[int, ...] = (0,)
) -> None:
    """A table at the terminal's width, at least 120 columns; `right` are numbers, `whole` are not broken into lines."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for place, heading in enumerate(headings):
        fits = place in whole
        table.add_column(heading, justify="right" if place in right else "left", overflow="fold", no_wrap=fits)
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))  # as text: a model's name is no markup
    Console(width=max(120, Console().width), highlight=False).print(table)
