"""The table of layers that `clens sweep` and `clens report` print."""

import math
import sys
from typing import Any


def print_layers(sweep: Any) -> None:
    """The table on standard out; the chosen layer is marked."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from creativity_lens.layer_table import layer_rows

    rows, run = layer_rows(sweep.table, sweep.run), sweep.run
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption_justify="left")
    tested = any(not _missing(row["gain"]) for row in rows)
    headings = ["layer", "AUC"]
    headings += ["strength", "gain (95 % interval), gaps", "coherence", "faithful", "quality", "KL"] if tested else []
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row, strength in zip(rows, _aligned([row["strength"] for row in rows]), strict=True):
        cells = [f"{'> ' if row['chosen'] else ''}{row['layer']}", _shown(row["auc"])]
        if tested:
            interval = f"{_shown(row['gain'], '+')} ({_shown(row['gain_low'], '+')} to {_shown(row['gain_high'], '+')})"
            cells += [
                strength,
                interval,
                *(_shown(row[k]) for k in ("coherence", "faithfulness", "quality", "kl")),
            ]
        table.add_row(*cells, style="bold" if row["chosen"] else None)
    choice = run.get("choice")
    if choice and tested:
        table.caption = (
            f"> chosen on dev: layer {choice['layer']}, strength {choice['strength']:.3g} of the residual norm "
            f"({choice['gap_dose']:.1f} gaps). Gains are from {run['prompts']['test']} test prompts."
        )
    Console(width=max(100, Console().width)).print(table)


def print_warnings(sweep: Any) -> None:
    """What the run says of its doses, and its warnings, on standard error."""
    for note in sweep.run.get("doses", []):
        print(f"clens: {note}", file=sys.stderr)
    for warning in sweep.run["warnings"]:
        print(f"clens: warning: {warning}", file=sys.stderr)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _shown(value: float | None, sign: str = "") -> str:
    return "-" if _missing(value) else f"{value:{sign}z.2f}"


def _aligned(values: list[float | None]) -> list[str]:
    """Numbers to three significant digits, all with as many decimals: 0.05 and 0.10."""
    shown = ["-" if _missing(value) else f"{value:.3g}" for value in values]
    decimals = max(len(text.partition(".")[2]) for text in shown)
    return [text if text == "-" or "e" in text else f"{float(text):.{decimals}f}" for text in shown]
