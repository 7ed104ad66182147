"""`clens rate`: have people rate texts blind (`make`), and read what they answered (`collect`)."""

import sys
from typing import Annotated, Any

import typer

from creativity_lens.cli.options import Json, Seed

app = typer.Typer(
    no_args_is_help=True,
    help="Have people rate texts blind, and collect what they say.\n\nExample: clens rate make texts.jsonl",
)

Source = Annotated[
    str, typer.Argument(metavar="FILE|RUN", help="Texts (.jsonl, .csv or .txt), or the folder of a run.")
]
Criteria = Annotated[
    str, typer.Option(metavar="A,B", help="What is asked about every text; the first is the main one.")
]
Scale = Annotated[
    str | None, typer.Option(metavar="LOW-HIGH", help="Whole numbers from 0 to 10; default: 1-7. Pairs have none.")
]
Own = Annotated[
    list[str] | None, typer.Option("--question", metavar="NAME=TEXT", help="Your wording for a criterion; repeatable.")
]


@app.command("make")
def make(
    source: Source,
    criteria: Criteria = "creativity,surprise,quality",
    scale: Scale = None,
    raters: Annotated[int, typer.Option(metavar="N", help="One page is made for each.")] = 5,
    out: Annotated[str, typer.Option(metavar="FOLDER", help="A new or an empty folder.")] = "packet",
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Compare two texts of a group, A or B, not each alone.")
    ] = False,
    per_condition: Annotated[
        int | None,
        typer.Option(metavar="N", help="Of a run: texts each of unsteered, steered and prompted; default: 40."),
    ] = None,
    checks: Annotated[
        str, typer.Option(metavar="auto|N", help="Attention checks a page; auto: one for 15 texts.")
    ] = "auto",
    prompt_shown: Annotated[
        bool, typer.Option("--prompt-shown/--prompt-hidden", help="Whether the prompt stands above the text.")
    ] = True,
    panel: Annotated[
        str, typer.Option(metavar="NAME", help="Who rates (expert, lay): panels are kept apart.")
    ] = "raters",
    question: Own = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Shown to raters on the first screen.")] = "",
    text: Annotated[str | None, typer.Option(metavar="COLUMN", help="Of FILE: the texts; default: text.")] = None,
    group: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Of FILE: what is compared within; default: group, else the prompt."),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Of FILE: what the text was written to; default: prompt.")
    ] = None,
    condition: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Of FILE: what is compared, and hidden from raters; default: condition."),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Write a packet: a page for each rater, blind, in balanced order, working offline; and the key, which you keep.

    Example: clens rate make runs/pocket-chat-001 --per-condition 40 --raters 5 --out packet
    """
    from pathlib import Path

    from creativity_lens.cli.options import whole_or_auto
    from creativity_lens.errors import InputError
    from creativity_lens.packets.folder import told
    from creativity_lens.packets.items import items_of_file, items_of_run
    from creativity_lens.packets.making import make_packet
    from creativity_lens.packets.questions import parse_scale

    if pairs and scale is not None:
        raise InputError("--scale: pairs are answered with A, B or no difference; leave it away.")
    number = whole_or_auto(checks, "checks")
    columns = {"text": text, "group": group, "prompt": prompt, "condition": condition}
    named = {role: column for role, column in columns.items() if column is not None}
    if Path(source).is_dir():
        if named:
            raise InputError(f"--{next(iter(named))}: {source} is a run, which has no columns; leave it away.")
        material = items_of_run(source, 40 if per_condition is None else per_condition, seed=seed, pairs=pairs)
    elif per_condition is not None:
        raise InputError(f"--per-condition: expected with a run, and {source} is none; leave it away.")
    else:
        material = items_of_file(source, named)
    packet = make_packet(
        material.items, criteria=criteria.split(","), scale=parse_scale(scale or "1-7"), raters=raters,
        pairs=material.pairs or pairs, seed=seed, out=out, checks=None if number == "auto" else int(number),
        show_prompts=prompt_shown, panel=panel, questions=_questions(question or []), note=note, source=material.source,
    )  # fmt: skip
    for said in material.notes:
        print(f"note: {said}", file=sys.stderr)
    for said in told(packet, out, show_prompts=prompt_shown):
        print(said)


def _questions(given: list[str]) -> dict[str, str]:
    from creativity_lens.errors import InputError

    found: dict[str, str] = {}
    for each in given:
        name, equals, question = each.partition("=")
        if not equals:
            raise InputError(f"--question: expected NAME=TEXT such as 'surprise=How odd is this?', got '{each[:60]}'.")
        if name.strip() in found:
            raise InputError(f"--question {name.strip()}: stands twice; expected one wording for each criterion.")
        found[name.strip()] = question
    return found


@app.command("collect")
def collect(
    packet: Annotated[str, typer.Argument(metavar="PACKET", help="The folder that make wrote, or its packet.json.")],
    files: Annotated[list[str], typer.Argument(metavar="FILES...", help="What the raters sent: answers-*.json.")],
    out: Annotated[str | None, typer.Option(metavar="FILE.csv", help="Write the ratings, one row each.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Take files in which answers are missing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.csv.")] = False,
    as_json: Json = False,
) -> None:
    """Check the raters' files, un-blind them, and say how far raters agree and which texts they found better.

    Prints the findings and the conditions' means; all numbers are in --json, all ratings in --out.

    Example: clens rate collect packet answers-*.json --out ratings.csv
    """
    import json

    from creativity_lens.cli.asking import check_out
    from creativity_lens.errors import InputError
    from creativity_lens.files import plain
    from creativity_lens.packets.collecting import collect_answers as read

    if out is not None and not out.endswith(".csv"):
        raise InputError(f"--out {out}: expected a name that ends in .csv.")
    check_out(out, force=force)
    found = read(packet, files, partial=partial)
    for problem in found.problems:
        print(f"note: {InputError(problem)}", file=sys.stderr)
    if as_json:
        about = {"packet": found.packet.id, "sentences": found.sentences, "problems": found.problems}
        typer.echo(json.dumps(plain(about | {"table": found.table.to_dict("records")}), ensure_ascii=False))
    else:
        for sentence in found.sentences:
            print(InputError(sentence))
        _print(found.table)
    if out is not None:
        found.save(out)
        print(f"{len(found.ratings)} ratings: {out}", file=sys.stderr)


def _print(table: Any) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from creativity_lens.errors import InputError
    from creativity_lens.html_tables import with_interval

    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    panels = table["panel"].nunique() > 1
    names = ["criterion", *(["panel"] if panels else []), "level", "measure"]
    for name in names:
        shown.add_column(name, no_wrap=True, max_width=32)
    for name in ("estimate (95 % interval)", "p", "n", "raters"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("note", overflow="fold")
    # the sentences tell the raters' agreement, and what the other rows add to a difference
    for row in table[table["measure"].isin(["difference", "preference", "mean"])].to_dict("records"):
        cells = [str(row[name]) for name in names]
        cells.append(with_interval(row["estimate"], row["low"], row["high"]))
        cells.append("" if row["p"] != row["p"] else f"{row['p']:.2g}")
        cells += ["" if row[name] != row[name] else f"{row[name]:g}" for name in ("n", "raters")]
        remark = "; ".join(part for part in (row["role"], row["note"]) if isinstance(part, str) and part)
        shown.add_row(*(Text(str(InputError(cell))) for cell in [*cells, remark]))
    console = Console()
    console = Console(width=max(140, console.width))
    console.print(shown)
