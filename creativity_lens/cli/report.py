"""`clens report`: write a run's report again."""

from typing import Annotated

import typer


def report(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's folder, as `clens sweep` and `clens audit` write.")
    ],
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where to; default: report.html in the run's folder.")
    ] = None,
) -> None:
    """Write report.html from a run's tables, print its table and its verdict. No model runs.

    Example: clens report runs/pocket-chat-001
    """
    from pathlib import Path

    from creativity_lens.audit import Audit
    from creativity_lens.cli.audit import print_audit
    from creativity_lens.cli.layers import print_layers, print_warnings
    from creativity_lens.reports import write_audit_report, write_report
    from creativity_lens.result import Sweep
    from creativity_lens.validation import Validation

    place = Path(out) if out else Path(run) / "report.html"
    if Audit.is_in(run):
        audit = Audit.load(run)
        path = write_audit_report(audit.table, audit.texts, audit.meta, place)
        print_audit(audit, run, path, as_json=False)
        return
    found = Sweep.load(run)
    ratings = Validation.load(run) if Validation.is_in(run) else None
    path = write_report(found.table, found.texts, found.run, place, ratings=ratings)
    print_warnings(found)
    print_layers(found)
    typer.echo(f"{found.sentence}\n")
    typer.echo(f"Report: {path}")
