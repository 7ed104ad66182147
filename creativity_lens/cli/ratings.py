"""`clens ratings`: which rated sets there are, getting one, and bringing one's own ratings in."""

import sys
from typing import Annotated, Any

import typer

from creativity_lens.cli.options import Json

app = typer.Typer(
    no_args_is_help=True,
    help="List and fetch published ratings of texts, or bring your own in.\n\nExample: clens ratings list",
)

_COLUMN = "COLUMN"


@app.command("list")
def list_ratings(as_json: Json = False) -> None:
    """List the published sets: items, raters, criteria, licence and source, and which are fetched.

    Example: clens ratings list
    """
    import json

    from rich import box
    from rich.console import Console
    from rich.table import Table

    from creativity_lens.ratings import SETS

    if as_json:
        typer.echo(json.dumps([_about(known) for known in SETS.values()], indent=2, ensure_ascii=False))
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption_justify="left")
    table.add_column("name", no_wrap=True)
    table.add_column("items", justify="right", no_wrap=True)
    for heading in ("raters", "criteria", "licence"):
        table.add_column(heading, overflow="fold")
    table.add_column("source", no_wrap=True)
    table.add_column("fetched", no_wrap=True)
    for known in SETS.values():
        fetched = "yes" if known.is_fetched else "no" if known.can_be_fetched else "by hand"
        table.add_row(
            known.name, f"{known.items:,}", known.raters, _few(known.criteria), known.licence,
            known.source.replace(" @ ", "\n@ "), fetched,
        )  # fmt: skip
    table.caption = "clens ratings fetch NAME gets one; --json shows the notes, all criteria and the addresses."
    Console(width=max(120, Console().width), highlight=False).print(table)


def _about(known: Any) -> dict[str, Any]:
    from dataclasses import asdict

    about = asdict(known)
    return about | {
        "folder": str(known.folder),
        "fetched": known.is_fetched,
        "can_be_fetched": known.can_be_fetched,
    }


@app.command("fetch")
def fetch_ratings(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that `clens ratings list` shows.")],
) -> None:
    """Download a published set into the cache: pinned to a commit, checked, and going on where it broke off.

    Example: clens ratings fetch ttcw
    """
    from creativity_lens.errors import check_choice
    from creativity_lens.ratings import SETS, load_ratings
    from creativity_lens.ratings.fetching import fetch

    known = SETS[check_choice("name", name, SETS)]
    folder = fetch(known, say=lambda line: print(line, file=sys.stderr))
    ratings, _ = load_ratings(name)
    print(f"note: {known.note}", file=sys.stderr)
    typer.echo(f"{folder}: {_counts(ratings)}.")
    typer.echo(f"Use it: clens ratings validate RUN --ratings {name}")


@app.command("import")
def import_ratings(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A .csv with a header, or a .jsonl.")],
    rating: Annotated[
        str, typer.Option(metavar="COLUMN,...", help="The ratings; several columns are several criteria.")
    ],
    text: Annotated[str, typer.Option(metavar=_COLUMN, help="The rated texts.")] = "text",
    rater: Annotated[
        str | None, typer.Option(metavar=_COLUMN, help="Who rated; without it a row is the mean of several.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar=_COLUMN, help="What texts are compared within, such as the prompt.")
    ] = None,
    prompt: Annotated[str | None, typer.Option(metavar=_COLUMN, help="What was asked for, in words.")] = None,
    author: Annotated[str | None, typer.Option(metavar=_COLUMN, help="Who or what wrote the text.")] = None,
    panel: Annotated[
        str | None,
        typer.Option(metavar="COLUMN|NAME", help="Kinds of raters, never averaged: a column, or one name for all."),
    ] = None,
    item: Annotated[
        str | None, typer.Option(metavar=_COLUMN, help="Names of the texts; else equal texts of a group are one.")
    ] = None,
    criterion: Annotated[
        str | None, typer.Option(metavar="COLUMN|NAME", help="What was rated; default: the column of the ratings.")
    ] = None,
    scale: Annotated[
        str | None, typer.Option(metavar="LOW-HIGH", help="Such as 1-7; ratings off it are refused.")
    ] = None,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="Default: NAME.ratings.csv in this folder.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: Json = False,
) -> None:
    """Bring ratings of your own in, by the names of their columns; a file that `validate` takes is written.

    Example: clens ratings import rated.csv --text story --rating creativity --rater worker --group prompt --scale 1-7
    """
    import json
    from pathlib import Path

    from creativity_lens.cli.asking import check_out
    from creativity_lens.errors import InputError
    from creativity_lens.ratings import read_columns, write_long
    from creativity_lens.ratings.columns import ENDING

    if out is not None and not out.endswith(".csv"):
        raise InputError(f"--out {out}: expected a name that ends in .csv.")
    written = out or Path(file).stem.removesuffix(".ratings") + ENDING
    if Path(written).resolve() == Path(file).resolve():
        raise InputError(f"--out {written}: this is the file that is read; choose another name.")
    check_out(written, force=force)
    criteria = [each.strip() for each in rating.split(",")]
    ratings = read_columns(
        file, text=text, rating=criteria, rater=rater, group=group, prompt=prompt, author=author, panel=panel,
        item=item, criterion=criterion, scale=scale, say=lambda line: print(f"note: {line}", file=sys.stderr),
    )  # fmt: skip
    write_long(ratings, written)
    if as_json:
        items = ratings.items
        typer.echo(
            json.dumps({
                "out": written, "ratings": len(ratings), "items": len(items),
                "texts": int(items["text"].notna().sum()), "raters": ratings.frame["rater"].nunique(),
                "criteria": ratings.criteria, "panels": sorted(ratings.frame["panel"].unique()),
            }, ensure_ascii=False)
        )  # fmt: skip
        return
    typer.echo(f"{written}: {_counts(ratings)}.")
    typer.echo(f"Use it: clens ratings validate RUN --ratings {written}")


def _few(names: Any) -> str:
    """All of a few names, the first of many."""
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:2])} and {len(names) - 2} more"


def _counts(ratings: Any) -> str:
    """What was read, in words."""
    items, frame = ratings.items, ratings.frame
    raters, groups, missing = frame["rater"].nunique(), items["group"].nunique(), int(items["text"].isna().sum())
    panels, scales = list(frame["panel"].unique()), list(frame["scale"].dropna().unique())
    parts = [
        f"{len(items):,} texts" + (f" ({missing:,} of them missing: kept, but not scored)" if missing else ""),
        f"{len(ratings):,} ratings by {raters:,} rater{'s' * (raters != 1)}" if raters else f"{len(ratings):,} means",
        f"{'criteria' if len(ratings.criteria) > 1 else 'criterion'} {_few(ratings.criteria)}",
        f"panels, kept apart: {', '.join(panels)}" if len(panels) > 1 else f"panel {panels[0]}",
    ]
    if groups:
        by = f" by {ratings.group_name}" if ratings.group_name != "group" else ""
        parts.append(f"{groups:,} group{'s' * (groups != 1)}{by}")
    return "; ".join([*parts, *([f"scale {', '.join(scales)}"] if scales else [])])
