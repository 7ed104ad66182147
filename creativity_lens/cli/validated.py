"""What `clens ratings validate` prints: a table and a verdict per rated set, or JSON."""

import sys
from typing import Any

HEADINGS = [
    *("criterion", "panel", "compared", "rho (95 % interval)", "p"),
    *("texts", "detectable", "partial", "ceiling", "best cheap"),
]  # fmt: skip
KEY = (
    "*: the set's one test, fixed before its ratings were read; the rest is exploratory. rho: rank correlation of the "
    "score at layer {layer}, the sweep's read-out layer. detectable: the smallest that so many texts show with 80 % "
    "power. partial: with length and surprisal held fixed. ceiling: what the raters' agreement allows on these texts."
)


def print_validation(found: Any, run: str, report: Any, *, as_json: bool) -> None:
    """Tables and verdicts, or one JSON object."""
    import json

    from creativity_lens.figures.rating_rows import pair_rows, rating_rows
    from creativity_lens.files import plain

    if as_json:
        described = {
            name: about | {
                "rows": rating_rows(found.table, found.meta, name), "pairs": pair_rows(found.table, found.meta, name)
            }
            for name, about in found.meta["sets"].items()
        }  # fmt: skip
        about = {"run": run, "report": str(report), "layer": found.meta["primary_layer"], "sets": described}
        print(json.dumps(plain(about)))
        return
    for name in found.sets:
        _print_set(found, name)
    print(KEY.format(layer=found.meta["primary_layer"]), file=sys.stderr)
    print(f"Report: {report}")


def _print_set(found: Any, name: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text as Plain

    from creativity_lens.errors import InputError
    from creativity_lens.figures.rating_rows import pair_rows, rating_rows

    about = found.meta["sets"][name]
    console = Console(width=max(170, Console().width))

    def shown(headings: list[str], rows: list[list[str]]) -> None:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for place, heading in enumerate(headings):
            table.add_column(heading, justify="left" if place < 3 else "right", no_wrap=True, max_width=36)
        for row in rows:
            table.add_row(*(Plain(str(InputError(cell))) for cell in row))
        console.print(table)

    raters = about["raters"]
    console.print(Plain(str(InputError(
        f"{about['title']}: {about['texts']} of {about['items']} rated texts, "
        + (f"{raters} raters" if isinstance(raters, int) else str(raters))
    ))), style="bold")  # fmt: skip
    first = about["primary"]
    rows = rating_rows(found.table, found.meta, name)
    # of many criteria only what is compared as the primary one is; the report has all
    many = len({row["criterion"] for row in rows}) > 1
    rows = [row for row in rows if not many or row["criterion"] == first["criterion"] or row["level"] == first["level"]]
    shown(
        HEADINGS,
        [
            [
                f"{'*' if row['primary'] else ' '} {row['criterion']}", row["panel"], row["compared"],
                _interval(row["rho"], row["low"], row["high"], sign="+"), _number(row["p"], 3),
                _number(row["n"], 0), _number(row["detectable"], 2), _interval(row["partial"], sign="+"),
                _number(row["ceiling"], 2) or "none",
                f"{row['cheap']} {row['cheap_rho']:+.2f}" if row["cheap"] else "",
            ]
            for row in rows
        ],
    )  # fmt: skip
    if pairs := pair_rows(found.table, found.meta, name):
        shown(
            ["prefers", "panel", "criterion", "right (95 % interval)", "pairs", "direction's lead", "p"],
            [
                [
                    row["said"], row["panel"], row["criterion"],
                    _interval(row["accuracy"], row["low"], row["high"]), _number(row["n"], 0),
                    _interval(row["lead"], row["lead_low"], row["lead_high"], sign="+"), _number(row["lead_p"], 3),
                ]
                for row in pairs
            ],
        )  # fmt: skip
    console.print(Plain(str(InputError(about["verdict"]["sentence"]))))
    print()


def _interval(value: float, low: float | None = None, high: float | None = None, *, sign: str = "") -> str:
    from creativity_lens.html_tables import with_interval

    return "" if value != value else with_interval(value, low, high, sign=sign)


def _number(value: float, digits: int) -> str:
    return "" if value != value else f"{value:.{digits}f}"
