"""`clens pairs`: look at files of contrastive pairs, check and lint them before a long run, begin a new one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from creativity_lens.cli.lint import lint
from creativity_lens.cli.options import Sides, shipped_where_none_is_here

app = typer.Typer(
    no_args_is_help=True,
    help="List, show, check and lint contrastive pairs, or begin a file.\n\nExample: clens pairs list",
)

_HELP = "A JSONL file of pairs, or the name of a shipped one; default: pairs.jsonl as shipped."
File = Annotated[str | None, typer.Argument(metavar="FILE", callback=shipped_where_none_is_here, help=_HELP)]


@app.command("list")
def list_pairs(
    file: File = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Count the pairs of a file: by domain and kind, and where each topic falls (train, dev, test).

    Example: clens pairs list --json
    """
    import json

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from creativity_lens.prompts import SPLITS, fingerprint, load_pairs, split_pairs

    pairs = load_pairs(file)
    side_of = {pair.topic: side for side, part in zip(SPLITS, split_pairs(pairs), strict=True) for pair in part}
    domains = sorted({pair.domain for pair in pairs})
    counts = {domain: _counts([pair for pair in pairs if pair.domain == domain], side_of) for domain in domains}
    in_file = pairs[0].split is not None
    if as_json:
        about = {"file": str(file) if file else "built in", "fingerprint": fingerprint(pairs)}
        about["splits"] = "file" if in_file else "seed 0"
        typer.echo(
            json.dumps(about | {"all": _counts(pairs, side_of), "domains": counts}, indent=2, ensure_ascii=False)
        )
        return
    origin = "as the file says" if in_file else "as a run with --seed 0 makes them"
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption=f"Pairs by kind. Topics by split, {origin}.",
        caption_justify="left",
    )
    table.add_column("domain", overflow="fold")
    for heading in counts[domains[0]]:
        table.add_column(heading, justify="right")
    for domain in domains:
        table.add_row(Text(domain), *map(str, counts[domain].values()))  # Text: "[red]" in a file stays what it is
    table.add_section()
    table.add_row("all", *map(str, _counts(pairs, side_of).values()))
    Console().print(table)


def _counts(pairs: Sequence[Any], side_of: dict[str, str]) -> dict[str, int]:
    """Pairs by kind, then topics by split."""
    from collections import Counter

    from creativity_lens.prompts import KINDS, SPLITS

    topics = {pair.topic for pair in pairs}
    by_kind = Counter(pair.kind for pair in pairs)
    by_side = Counter(side_of[topic] for topic in topics)
    kinds = {kind: by_kind[kind] for kind in KINDS}
    return kinds | {"pairs": len(pairs), "topics": len(topics)} | {side: by_side[side] for side in SPLITS}


@app.command("show")
def show_pair(
    pair_id: Annotated[str, typer.Argument(metavar="ID", help="The id of a pair.")],
    file: Annotated[str | None, typer.Option(metavar="FILE", callback=shipped_where_none_is_here, help=_HELP)] = None,
    sides: Sides = None,
) -> None:
    """Show one pair: its three instructions and its two responses.

    Example: clens pairs show fiction-elevator-premise
    """
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    from creativity_lens.errors import InputError, nearest
    from creativity_lens.prompts import load_pairs
    from creativity_lens.sides import load_sides

    named = load_sides(file, sides)
    pairs = {pair.id: pair for pair in load_pairs(file)}
    pair = pairs.get(pair_id)
    if pair is None:
        hint = nearest(pair_id, pairs) or f" The first is '{next(iter(pairs))}'."
        raise InputError(f"pair: expected an id of {file or 'the built-in pairs'}; got {pair_id!r}.{hint}")
    console = Console(highlight=False)
    console.print(Text(pair.id, style="bold"))
    console.print(Text(f"{pair.kind}, topic {pair.topic}, domain {pair.domain}, split {pair.split or 'not yet made'}"))
    for field in ("neutral", "creative", "boring", "creative_response", "boring_response"):
        console.print()
        label = field.replace("creative", named.creative).replace("boring", named.boring).replace("_", " ")
        console.print(Text(label, style="bold"))
        console.print(Padding(Text(getattr(pair, field)), (0, 0, 0, 2), expand=False))


@app.command("check")
def check_pairs(file: File = None) -> None:
    """Check a file of pairs as a run would, and say in one line what is wrong with it, if anything is.

    Example: clens pairs check
    """
    from creativity_lens.prompts import load_pairs, split_pairs

    pairs = load_pairs(file)
    split_pairs(pairs)
    typer.echo(f"{len(pairs)} pairs over {len({pair.topic for pair in pairs})} topics: ok")


@app.command("new")
def new_pairs(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to make.")],
    sides: Sides = None,
) -> None:
    """Begin a file of pairs: three empty ones, one of each kind; `--sides` names a contrast of your own.

    Example: clens pairs new formal.jsonl --sides formal,casual
    """
    from creativity_lens.prompts import write_template
    from creativity_lens.sides import load_sides, sidecar_of, write_sides

    named = load_sides(None, sides)
    write_template(file)
    if not named.are_default:
        write_sides(file, named)
    names = f", {sidecar_of(file)} (its sides are {named.creative} and {named.boring})" if not named.are_default else ""
    typer.echo(f"{file}{names}. Fill in the texts; clens pairs check {file} says what is missing.")


app.command("lint")(lint)
