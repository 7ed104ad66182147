"""Options that recur, and the numbers they hold."""

from typing import Annotated

import typer

from creativity_lens.errors import InputError


def shipped_where_none_is_here(name: str | None) -> str | None:
    """A file of pairs as it was named; where there is none here, a shipped file of that name ("gate_pairs.jsonl")."""
    from pathlib import Path

    from creativity_lens.files import data_folder
    from creativity_lens.prompts import SHIPPED

    if name not in ("pairs.jsonl", *(f"{each}.jsonl" for each in SHIPPED)) or Path(name).exists():
        return name
    typer.echo(f"clens: {name}: no such file here; the one that ships with clens is taken.", err=True)
    return str(data_folder() / "contrastive_pairs" / name)


ModelName = Annotated[
    str, typer.Option("--model", "-m", metavar="NAME", help="Built-in name, hub id or name, or a local folder.")
]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|cuda:N|mps", help="Where the model runs.")]
Devices = Annotated[str | None, typer.Option(metavar="N|auto", help="Spread the model over several GPUs.")]
Dtype = Annotated[str, typer.Option(metavar="auto|float32|bfloat16|float16", help="Precision of the weights.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")]
Template = Annotated[
    str, typer.Option(metavar="auto|none", help="Ask chat models in their chat template, or in plain text.")
]
Pairs = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        callback=shipped_where_none_is_here,
        help="Contrastive pairs (JSONL), or the name of a shipped file; default: pairs.jsonl as shipped.",
    ),
]
Layers = Annotated[str, typer.Option(metavar="all|0-7|2,4", help="Which layers, counted from 0.")]
Position = Annotated[
    str,
    typer.Option(
        metavar="response|instruction|last",
        help="Mean over the response, over the instruction's own words, or their last token.",
    ),
]
Sides = Annotated[
    str | None,
    typer.Option(metavar="A,B", help="What the two sides are called; default: FILE.meta.json, else creative,boring."),
]
Seed = Annotated[int, typer.Option(help="Everything drawn at random follows from it.", min=0, max=2**31)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


def numbers(text: str, name: str) -> tuple[float, ...]:
    """Numbers from "0.05,0.1,0.2"; an `InputError` names the option and the part that is no number."""
    found = []
    for part in text.split(","):
        try:
            found.append(float(part))
        except ValueError:
            raise InputError(f"--{name}: expected numbers such as 0.1,0.2, got '{part.strip() or text}'.") from None
    return tuple(found)


def given(context: typer.Context, *names: str) -> list[str]:
    """Which of the parameters stand on the command line, as they are written there."""
    return [
        f"--{name.replace('_', '-')}"
        for name in names
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    ]


def whole_or_auto(text: str, name: str) -> int | str:
    """A whole number or "auto"."""
    if text == "auto":
        return text
    if not text.strip().isdecimal():
        raise InputError(f"--{name}: expected 'auto' or a whole number, got '{text}'.")
    return int(text)
