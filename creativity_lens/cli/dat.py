"""`clens dat`: the divergent association task, asked of a model."""

import sys
from typing import Annotated, Any

import typer

from creativity_lens.cli.options import Device, Devices, Dtype, Json, Revision, Seed, Template, given, numbers
from creativity_lens.cli.steer import LayerOption, Mode, Scope, Strength, StrengthUnit

_STEERING = ("layer", "strength", "strength_unit", "mode", "scope")


def dat(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME", help="Default: the directions' model, else pocket-chat."),
    ] = None,
    glove: Annotated[
        str | None, typer.Option(metavar="FILE", help="Word vectors; glove.840B.300d.txt gives the published scale.")
    ] = None,
    embedder: Annotated[
        str | None, typer.Option(metavar="NAME", help="A sentence embedder; default: all-MiniLM-L6-v2.")
    ] = None,
    words: Annotated[
        str | None, typer.Option(metavar="FILE", help="A dictionary, one word a line; nothing else is a word.")
    ] = None,
    people: Annotated[
        str,
        typer.Option(
            metavar="auto|none|dat=FOLDER", help="People's lists, for percentiles; auto: if they are fetched."
        ),
    ] = "auto",
    runs: Annotated[int, typer.Option(help="Answers per condition and temperature.", min=1)] = 20,
    temperature: Annotated[str, typer.Option(metavar="T[,T...]", help="One or several.")] = "1.0",
    directions: Annotated[
        str | None, typer.Option("--directions", "-d", metavar="RUN|FILE", help="Also ask while steering along these.")
    ] = None,
    layer: LayerOption = None,
    strength: Strength = None,
    strength_unit: StrengthUnit = "norm",
    mode: Mode = "add",
    scope: Scope = "generated",
    prompt: Annotated[str | None, typer.Option(metavar="TEXT", help="Ask in these words instead.")] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer in tokens.", min=1)] = 100,
    seed: Seed = 0,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="Write the lists as JSONL, one row a list.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
    device: Device = "auto",
    devices: Devices = None,
    dtype: Dtype = "auto",
    revision: Revision = None,
    template: Template = "auto",
    as_json: Json = False,
) -> None:
    """Ask for ten unrelated nouns, many times, and score how far apart they are (divergent association task).

    The score is 100 times the mean cosine distance of an answer's first seven valid words.

    Example: clens dat --model pocket-chat --temperature 0.5,1.0,1.5
    """
    from creativity_lens.cli.asking import check_out, load_for, pushes_of, write_rows
    from creativity_lens.cli.options import whole_or_auto
    from creativity_lens.dosing import load_chosen
    from creativity_lens.errors import InputError, check_choice

    # every option and file is checked before the model loads
    check_choice("--mode", mode, ("add", "ablate", "clamp"))
    check_choice("--strength-unit", strength_unit, ("norm", "gap", "raw"))
    check_choice("--scope", scope, ("generated", "all"))
    if directions is None and (extra := given(context, *_STEERING)):
        raise InputError(f"{extra[0]}: belongs to --directions RUN; add it.")
    if mode == "ablate" and (extra := given(context, "strength", "strength_unit")):
        raise InputError(f"--mode ablate: projects the direction out and takes no {extra[0]}; leave it away.")
    if glove is not None and embedder is not None:
        raise InputError("--glove and --embedder: expected one of them, since each has a scale of its own.")
    if prompt is not None and not prompt.strip():
        raise InputError("--prompt: expected a text, got an empty one.")
    temperatures = _temperatures(temperature)
    strengths = None if strength is None else numbers(strength, "strength")
    check_out(out, force=force)
    spread = None if devices is None else whole_or_auto(devices, "devices")
    chosen = None if directions is None else load_chosen(directions)
    pushes = [] if chosen is None else pushes_of(chosen, layer, strengths, strength_unit, mode)
    compared = _people(people)

    from creativity_lens import models
    from creativity_lens.association import TASK, ask_for_words, score_answers, word_source
    from creativity_lens.embeddings import load_embedder

    source = word_source(load_embedder(embedder) if glove is None else glove, words)
    place: dict[str, Any] = {"device": device, "dtype": dtype, "devices": spread, "template": template}
    if chosen is None:
        loaded = models.load_model(model or "pocket-chat", revision=revision, **place)
    else:
        loaded = load_for(chosen, model, revision, None, place).model
    answers = ask_for_words(
        loaded, pushes=pushes, temperatures=temperatures, runs=runs, seed=seed, max_new_tokens=max_new_tokens,
        prompt=prompt or TASK, scope=scope,
    )  # fmt: skip
    if out is not None:
        write_rows(out, answers.rows)  # what took the longest is kept, whatever the vectors hold in store
    found = score_answers(answers, source, compared)
    if out is not None:
        write_rows(out, found.rows)
        print(f"{len(found.rows)} list{'s' * (len(found.rows) != 1)}: {out}", file=sys.stderr)
    if as_json:
        import json

        from creativity_lens.files import plain

        typer.echo(json.dumps(plain(_described(found, directions, seed)), ensure_ascii=False))
    else:
        _print(found)


def _temperatures(text: str) -> tuple[float, ...]:
    """Numbers from 0 on, each once."""
    import math

    from creativity_lens.errors import InputError

    found = numbers(text, "temperature")
    for one in found:
        if not (math.isfinite(one) and one >= 0):
            raise InputError(f"--temperature: expected 0 (greedy) or positive numbers, got {one:g}.")
    if len(set(found)) < len(found):
        raise InputError(f"--temperature: expected each once, got '{text}'.")
    return found


def _people(spec: str) -> Any:
    """People's lists: those named, or the set "dat" where it is fetched; None without."""
    from creativity_lens.ratings import SETS, load_ratings

    if spec == "none" or (spec == "auto" and not SETS["dat"].is_fetched):
        return None
    return load_ratings("dat" if spec == "auto" else spec)[0]


def _described(found: Any, directions: str | None, seed: int) -> dict[str, Any]:
    people = found.people
    return {
        "model": found.answers.model,
        "directions": directions,
        "prompt": found.answers.prompt,
        "seed": seed,
        "vectors": found.made_by,
        "scale": found.scale,
        "valid": found.checked,
        "people": None
        if people is None
        else {
            "name": people.name,
            "lists": people.asked,
            "valid": len(people.scores),
            "mean": float(people.scores.mean()) if len(people.scores) else None,
            "agreement": people.agreement,
        },
        "conditions": found.frame.to_dict("records"),
        "answers": found.rows,
    }


def _print(found: Any) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from creativity_lens.association import table_of
    from creativity_lens.errors import InputError

    headings, rows = table_of(found)
    notes = list(dict.fromkeys(note for one in found.conditions for note in one.notes))
    marks = {note: f"[{place}]" for place, note in enumerate(notes, start=1)}
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("condition", "note") else "right", no_wrap=True)
    for one, row in zip(found.conditions, rows, strict=True):
        cells = [*row[:-1], " ".join(marks[note] for note in one.notes)] if notes else row
        table.add_row(*(Text(str(InputError(cell))) for cell in cells))
    console = Console(width=max(112, Console().width))
    console.print(table)
    for note, mark in marks.items():
        console.print(Text(f"{mark} {note}."))
    console.print(Text(str(InputError(found.caption))), style="dim")
