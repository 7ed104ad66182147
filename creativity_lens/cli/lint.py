"""`clens pairs lint`: does anything but the concept tell the two sides of the pairs apart?"""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from creativity_lens.cli.options import Json, Sides, shipped_where_none_is_here

SHOWN = 5  # places to mend, of each check


def lint(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            callback=shipped_where_none_is_here,
            help="A JSONL file of pairs, or the name of a shipped one; without one, all shipped files.",
        ),
    ] = None,
    sides: Sides = None,
    as_json: Json = False,
) -> None:
    """Measure what could give a side away: lengths, words, single features, doubles, markup. Exit 1 beyond a limit.

    Over all pairs the far end of the 95 % interval must be within the limit; a single split fails only where it is
    beyond for certain (Holm over splits and checks). The shipped control files differ by design, so their form alone is
    checked.

    Example: clens pairs lint
    """
    import json

    from creativity_lens.lint import lint_form, lint_pairs
    from creativity_lens.prompts import SHIPPED, load_pairs, load_shipped
    from creativity_lens.sides import load_sides

    named = load_sides(file, sides)
    found: dict[str, list[Any]] = {}
    if file is not None:
        found[file] = lint_pairs(load_pairs(file))
    else:
        found["pairs"] = lint_pairs(load_pairs())
        found |= {name: lint_form(load_shipped(name)) for name in SHIPPED}
    if as_json:
        typer.echo(json.dumps({name: [each.row() for each in findings] for name, findings in found.items()}))
    else:
        for name, findings in found.items():
            _print(name, findings, named)
    failed = sum(not finding.passed for findings in found.values() for finding in findings)
    if failed:
        typer.echo(f"clens: {failed} {'check' if failed == 1 else 'checks'} beyond the limit.", err=True)
        raise typer.Exit(1)


def _print(name: str, findings: Sequence[Any], sides: Any) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    split = any(len(finding.values) > 1 for finding in findings)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title=Text(name, style="bold"), title_justify="left")
    table.add_column("check", overflow="fold")
    for heading in ("all (95 % interval)", *(("train", "dev", "test") if split else ()), "limit"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for finding in findings:
        parts = [_part(finding, part) for part in (("all", "train", "dev", "test") if split else ("all",))]
        judged = "" if finding.limit is None else "ok" if finding.passed else f"FAIL: {', '.join(finding.failing)}"
        label = finding.check.replace("creative", sides.creative).replace("boring", sides.boring)
        table.add_row(Text(label), *parts, _limit(finding.limit), judged)
    if split:
        table.caption = (
            f"Bags of words, character n-grams and features: AUC of {sides.creative} against {sides.boring} "
            "texts, 0.5 is chance; features are those of the responses."
        )
        table.caption_justify = "left"
    console = Console(highlight=False, width=max(120, Console().width))
    console.print(table)
    for finding in findings:
        if finding.details and finding.limit is not None:
            console.print(Text(f"{finding.check}:", style="bold"))
            for place in finding.details[:SHOWN]:
                console.print(Text(f"  {place}"))
            if len(finding.details) > SHOWN:
                console.print(Text(f"  and {len(finding.details) - SHOWN} more (--json shows all)"))


def _part(finding: Any, part: str) -> str:
    estimate = finding.values.get(part)
    if estimate is None or estimate.value != estimate.value:  # a file of equal responses has no lengths to compare
        return ""
    if estimate.has_interval and part == "all":
        return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
    return (
        f"{estimate.value:.0f}"
        if estimate.value == round(estimate.value) and part == "all"
        else f"{estimate.value:.2f}"
    )


def _limit(limit: tuple[float, float] | None) -> str:
    if limit is None:
        return ""
    low, high = limit
    if high == 0:
        return "none"
    if high == float("inf"):
        return f">= {low:.0f}"
    return f"<= {high:.2f}" if low == 0 else f"{low:.2f} to {high:.2f}"
