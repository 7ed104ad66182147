"""`clens runs`: which runs there are, what one holds, whether it is whole, what two differ in, and what may go."""

import sys
from typing import Annotated, Any

import typer

from creativity_lens.cli.options import Json
from creativity_lens.cli.runs_shown import (
    difference_dict,
    one_line,
    print_check,
    print_difference,
    print_run,
    print_table,
)

app = typer.Typer(
    no_args_is_help=True,
    help="List, show, check, compare and tidy up the folders that sweeps and audits write.\n\nExample: clens runs list",
)

Folder = Annotated[str, typer.Argument(metavar="FOLDER", help="A folder of runs, one run, or a storage URL.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, its name in runs, or a storage URL.")]


@app.command("list")
def list_(folder: Folder = "runs", as_json: Json = False) -> None:
    """List runs, the newest first: what they are, how far they came, what they found, and their size on disk.

    Example: clens runs list
    """
    import json
    from dataclasses import asdict

    from creativity_lens.run_listing import RUNNING, size_text

    found = _listed(folder)
    if as_json:
        typer.echo(json.dumps([asdict(run) for run in found], indent=2, ensure_ascii=False))
        return
    if not found:
        typer.echo(f"No runs in {one_line(folder)}; `clens sweep` makes one.")
        return
    rows = [
        [
            run.name, run.kind, run.model, run.status + (f", {run.cells} results kept" if run.cells else ""),
            run.outcome, run.chosen, run.created.replace("T", " ").removesuffix("Z"),
            size_text(run.size),
        ]
        for run in found
    ]  # fmt: skip
    print_table(["name", "kind", "model", "status", "verdict", "chosen", "created", "size"], rows, right=(7,))
    for run in found:
        if run.problem:
            print(f"note: {one_line(run.problem)}", file=sys.stderr)
    if any(run.status == RUNNING for run in found):
        print("note: a run that is running is left alone by `clens runs gc`.", file=sys.stderr)


@app.command("show")
def show(run: Run, as_json: Json = False) -> None:
    """Show one run: its inputs, its verdict, what it chose, how long it took, and what is kept of it.

    Example: clens runs show runs/pocket-chat-001
    """
    import json
    from dataclasses import asdict

    from creativity_lens.files import plain
    from creativity_lens.inputs import inputs_of
    from creativity_lens.run_listing import describe_place, files_of, find_place, read_description
    from creativity_lens.storage import open_storage

    place = find_place(run)
    about = read_description(open_storage(place))
    entry, files = describe_place(place), files_of(place)
    told = {name: about.get(name) for name in ("verdict", "choice", "timings", "warnings", "batches_halved", "command")}
    told["warnings"] = told["warnings"] or about.get("notes") or []
    if as_json:
        shown = {**asdict(entry), "inputs": inputs_of(about), **told, "files": files}
        typer.echo(json.dumps(plain(shown), indent=2, ensure_ascii=False, allow_nan=False))
        return
    print_run(entry, told, inputs_of(about), files)


@app.command("verify")
def verify(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Runs' folders, their names in runs, or storage URLs.")
    ],
    as_json: Json = False,
) -> None:
    """Check every file and every kept result of runs against their checksums, and that the runs can be read.

    Exit status 1 where something is damaged. Nothing is changed.

    Example: clens runs verify runs/pocket-chat-001
    """
    import json
    from dataclasses import asdict

    from creativity_lens.run_checks import check_run
    from creativity_lens.run_listing import find_place

    places = [find_place(run) for run in runs]
    found = {place: check_run(place) for place in places}
    if as_json:
        typer.echo(json.dumps({place: asdict(check) for place, check in found.items()}, indent=2, ensure_ascii=False))
    else:
        for place, check in found.items():
            print_check(place, check)
    if any(check.wrong for check in found.values()):
        raise typer.Exit(1)


@app.command("gc")
def gc(
    folder: Folder = "runs",
    broken: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Also remove this run, which was broken off; such as 'gpt2-*'. Repeatable."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is listed; without it nothing is removed.")] = False,
    as_json: Json = False,
) -> None:
    """List what no run needs any more, and with --yes remove it.

    That is: kept results of finished runs whose files all pass their checks, damaged results, leftovers of writes that
    broke off, and the broken-off runs that --broken names. What a process is writing is left alone; links are not
    followed.

    Example: clens runs gc --yes
    """
    import json
    from dataclasses import asdict

    from creativity_lens.run_cleaning import carry_out, plan_cleaning
    from creativity_lens.run_listing import size_text

    if folder == "runs" and not broken and not _listed(folder):
        typer.echo("[]" if as_json else "No runs in runs; nothing to remove.")
        return
    found = plan_cleaning(folder, broken=broken or ())
    left = list(found.left)
    if not as_json:
        for removal in found.removals:
            typer.echo(f"{one_line(removal.name)}: {one_line(removal.what)}, {size_text(removal.size)}")
    gone = []
    for removal in found.removals if yes else ():
        said = carry_out(removal)
        gone += [] if said else [removal]
        left += [said] if said else []
    if as_json:
        rows = [{**asdict(removal), "removed": removal in gone} for removal in found.removals]
        typer.echo(json.dumps({"removals": rows, "left": left}, indent=2, ensure_ascii=False))
        return
    for said in left:
        print(f"note: {one_line(said)}", file=sys.stderr)
    size = sum(removal.size for removal in gone) if yes else found.size
    if not found.removals:
        typer.echo("Nothing to remove.")
    else:
        typer.echo(f"Removed {size_text(size)}." if yes else f"{size_text(size)} in all. Remove it: add --yes")


@app.command("diff")
def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="A run's folder, its name in runs, or a storage URL.")],
    second: Annotated[str, typer.Argument(metavar="B", help="The run that it is compared with.")],
    measure: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only numbers of this measure, such as gain.")
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", help="How many numbers are shown; 0: all.", min=0)] = 20,
    as_json: Json = False,
) -> None:
    """Compare two sweeps or two audits: which inputs differ, which numbers moved, and by how many standard errors.

    Example: clens runs diff runs/pocket-chat-001 runs/pocket-chat-002 --measure gain
    """
    import json

    from creativity_lens.files import plain
    from creativity_lens.run_comparing import compare_runs
    from creativity_lens.run_listing import find_place

    a, b = find_place(first), find_place(second)
    found = compare_runs(a, b, measure=measure)
    if as_json:
        typer.echo(json.dumps(plain(difference_dict(found, a, b, top)), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print_difference(found, top)


def _listed(folder: str) -> list[Any]:
    """The runs of a folder; none in the default folder before there is one."""
    from pathlib import Path

    from creativity_lens.run_listing import RUNS, list_runs

    return [] if folder == RUNS and not Path(folder).exists() else list_runs(folder)
