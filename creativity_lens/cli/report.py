"""`clens report`: write a run's report again."""

from typing import Annotated

import typer


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, as `clens sweep` writes.")],
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where to; default: report.html in the run's folder.")
    ] = None,
) -> None:
    """Write report.html from a run's tables, print its table of layers and its verdict. No model runs.

    Example: clens report runs/pocket-chat-001
    """
    from pathlib import Path

    from creativity_lens.cli.layers import print_layers, print_warnings
    from creativity_lens.reports import write_report
    from creativity_lens.result import Sweep
    from creativity_lens.validation import Validation

    found = Sweep.load(run)
    ratings = Validation.load(run) if Validation.is_in(run) else None
    place = Path(out) if out else Path(run) / "report.html"
    path = write_report(found.table, found.texts, found.run, place, ratings=ratings)
    print_warnings(found)
    print_layers(found)
    typer.echo(f"{found.sentence}\n")
    typer.echo(f"Report: {path}")
