"""`clens export`: write a direction as another tool reads it, or check a file as that tool would."""

from typing import Annotated, Any

import typer

from creativity_lens.cli.options import Json

FORMATS = "gguf|svec|lm-eval|steering-vectors|npz|json|snippet|vllm|hub|ds4"


def export(
    source: Annotated[
        str | None, typer.Argument(metavar="RUN|FILE", help="A run's folder, or a file of directions.")
    ] = None,
    out: Annotated[str | None, typer.Argument(metavar="OUT", help="The file to write; for hub a folder.")] = None,
    to: Annotated[str, typer.Option("--to", metavar=FORMATS, help="Who is to read it.")] = "",
    layers: Annotated[
        str | None, typer.Option(metavar="4|3-5", help="Layer, or several that share the dose; default: the run's.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(metavar="S", help="The strength that scale 1.0 stands for; default: the run's.")
    ] = None,
    dialect: Annotated[
        str | None, typer.Option(metavar="aisteer360|activation-steering", help="Which of the two readers of svec.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME", help="Where the model's config.json is, if elsewhere."),
    ] = None,
    push: Annotated[
        str | None, typer.Option(metavar="USER/NAME", help="With --to hub: upload the folder, as a private repository.")
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write nothing: judge FILE as its reader would. Exit 1 if refused."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite OUT.")] = False,
    as_json: Json = False,
) -> None:
    """Write a direction for another tool. Used at scale 1.0 it does what `clens steer` does.

    Example: clens export runs/pocket-chat-001 creative.gguf --to gguf
    """
    from creativity_lens.errors import InputError, check_choice

    check_choice("--to", to, FORMATS.split("|"))
    if check is not None:
        extra = {"RUN|FILE": source, "--layers": layers, "--scale": scale, "--dialect": dialect, "--push": push}
        given = next((name for name, value in extra.items() if value is not None), None)
        if given is not None:
            raise InputError(f"--check {check}: expected only --to and --model beside it, got {given}; leave it out.")
        _check(check, to, model, as_json=as_json)
        return
    if source is None or out is None:
        missing = "a run or a file of directions" if source is None else "the file to write"
        raise InputError(f"expected clens export RUN|FILE OUT --to {to}; {missing} is missing.")
    if push is not None and to != "hub":
        raise InputError(f"--push {push}: expected with --to hub, got --to {to}.")
    _write(source, out, to, layers, scale, dialect, model, push, force=force, as_json=as_json)


def _write(
    source: str, out: str, to: str, layers: str | None, scale: float | None, dialect: str | None, model: str | None,
    push: str | None, *, force: bool, as_json: bool,
) -> None:  # fmt: skip
    import json
    import warnings

    from creativity_lens.exports import check_request, hub
    from creativity_lens.exports import export as write
    from creativity_lens.files import plain

    check_request(to, out, dialect=dialect, scale=scale, force=force)
    if push is not None:
        hub.check_repo(push)
    made = write(source, to, out, layers=layers, scale=scale, dialect=dialect, model=model, force=force)
    for note in made.notes:
        warnings.warn(note, stacklevel=1)
    if as_json:
        row = {"out": str(made.path), "to": to, "layers": made.layers, "strength": made.strength, "usage": made.usage}
        typer.echo(json.dumps(plain(row)))
    else:
        typer.echo(f"{made.path}: {made.dose} at scale 1.0\n{made.usage}")
    if push is not None:
        address = hub.push(made.path, push)
        if address is None:
            raise typer.Exit(1)  # asked for and not done; the folder is there
        typer.echo(f"Uploaded: {address}", err=as_json)


def _check(file: str, to: str, model: str | None, *, as_json: bool) -> None:
    import json

    from creativity_lens.exports.check import CHECKS, check_file
    from creativity_lens.exports.host import load_host
    from creativity_lens.files import plain
    from creativity_lens.layers import layer_ranges

    found = check_file(file, to, load_host(model) if model is not None else None)
    norms = found.norms()
    if as_json:
        row: dict[str, Any] = {
            "file": file, "to": to, "ok": not found.problems, "problems": [each.said for each in found.problems],
            "notes": found.notes, "model_type": found.model_type, "width": found.width, "norms": norms,
        }  # fmt: skip
        typer.echo(json.dumps(plain(row)))
    else:
        if norms:
            kind = f", for model type '{_shown(found.model_type)}'" if found.model_type else ""
            low, high = f"{min(norms.values()):.4g}", f"{max(norms.values()):.4g}"
            lengths = f"length {low}" if low == high else f"lengths {low} to {high}"
            held = f"{CHECKS[to].name.format(layer_ranges(sorted(norms)))}: {found.width:,} numbers"
            typer.echo(f"{_shown(file)}: {held}, {lengths}{kind}")
        for note in found.notes:
            typer.echo(f"  note: {_shown(note)}")
        for problem in found.problems:
            typer.echo(f"  refused: {_shown(problem.said)}")
        if not found.problems:
            typer.echo("  ok: nothing its reader would refuse")
    if found.problems:
        raise typer.Exit(1)


def _shown(text: str) -> str:
    """What a file says, on one line and without what could drive a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
