"""`clens score`: how creative texts read, in gaps, against held-out responses of like length."""

import sys
from typing import Annotated, Any

import typer

from creativity_lens.cli.options import Device, Devices, Dtype, Json, Pairs, Revision, Seed, Sides, Template, given

Text = Annotated[str | None, typer.Argument(metavar="[TEXT]", help="A text; - reads it from standard input.")]
File = Annotated[
    str | None, typer.Option(metavar="FILE", help="Many texts: .txt (one a line), .jsonl, or .csv with a header.")
]
Column = Annotated[str, typer.Option(metavar="NAME", help="Field or column of FILE that holds the texts.")]
Run = Annotated[
    str | None,
    typer.Option(
        "--directions", "-d", metavar="RUN|FILE",
        help="A run's folder, or a file of directions; default: the newest run under runs/.",
    ),
]  # fmt: skip
AnyModel = Annotated[
    str | None, typer.Option("--model", "-m", metavar="NAME", help="Default: the model the run belongs to.")
]
Layer = Annotated[int | None, typer.Option(help="Of a file of directions; default: the one that reads best.", min=0)]
Tokens = Annotated[
    str | None, typer.Option(metavar="FILE.html", help="Write a page with every word coloured by its projection.")
]


def score(
    context: typer.Context,
    text: Text = None,
    file: File = None,
    column: Column = "text",
    directions: Run = None,
    layer: Layer = None,
    pairs: Pairs = None,
    sides: Sides = None,
    seed: Seed = 0,
    tokens: Tokens = None,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="Write .csv or .json instead of printing.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files.")] = False,
    model: AnyModel = None,
    device: Device = "auto",
    devices: Devices = None,
    dtype: Dtype = "auto",
    revision: Revision = None,
    template: Template = "auto",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    as_json: Json = False,
) -> None:
    """Score texts by the clean model: no instruction, nothing steered, each text by itself.

    A run brings the layer, the direction and the held-out responses; for a file of directions they come from --pairs.

    Example: clens score "The tide came in like a rumour." --tokens words.html
    """
    from creativity_lens.cli.asking import check_out
    from creativity_lens.cli.options import whole_or_auto
    from creativity_lens.errors import InputError

    # every option and file is checked before the model loads
    if as_csv and as_json:
        raise InputError("--csv and --json: expected one of them; leave one away.")
    if out is not None and not out.endswith((".csv", ".json")):
        raise InputError(f"--out {out}: expected a name that ends in .csv or .json.")
    if out is not None and (as_csv or as_json):
        raise InputError(f"--out {out}: its ending says how it is written; leave --csv and --json away.")
    if tokens is not None and not tokens.endswith((".html", ".htm")):
        raise InputError(f"--tokens {tokens}: expected a name that ends in .html.")
    check_out(out, force=force)
    check_out(tokens, force=force, option="--tokens")
    spread = None if devices is None else whole_or_auto(devices, "devices")
    names, texts, note = _asked(text, file, column, given(context, "column"))
    run = directions or _newest()
    source, fit = _scorer_of(run, layer, pairs, sides, seed, given(context, "layer", "pairs", "sides", "seed"))

    from creativity_lens.cli.scored import write_scores
    from creativity_lens.models import load_model
    from creativity_lens.text_scores import score_texts

    named, commit = (source.model, revision or source.revision) if model is None else (model, revision)
    loaded = load_model(named, revision=commit, device=device, devices=spread, dtype=dtype, template=template)
    yardstick = fit(loaded)
    yardstick.check(loaded, run)
    for said in (note, "" if directions else f"Scored by {run}, the newest run."):
        if said:
            print(said, file=sys.stderr)
    scores = score_texts(loaded, yardstick, texts, tokens=tokens is not None)
    if tokens is not None:
        from creativity_lens.colored import write_colored

        kept = write_colored(scores, tokens, ids=names, title=f"Scores by {run}")
        of = f" (the first {kept} of {len(texts)} texts)" if kept < len(texts) else ""
        print(f"Words: {tokens}{of}", file=sys.stderr)
    write_scores(scores, names, run, out, as_csv=as_csv, as_json=as_json)


def _asked(
    text: str | None, file: str | None, column: str, column_given: list[str]
) -> tuple[list[str], list[str], str]:
    """Names and texts from the command line, standard input or a file; and a note on those that are empty."""
    from creativity_lens.errors import InputError
    from creativity_lens.text_files import load_texts

    if (text is None) == (file is None):
        got = "none" if text is None else "both; leave one away"
        raise InputError(f'text: expected one such as "The tide came in.", or --file FILE; got {got}.')
    if file is not None:
        if column_given and file.lower().endswith(".txt"):
            raise InputError(f"--column: {file} has none, it is one text a line; leave it away.")
        found = load_texts(file, column)
        lines = ", ".join(map(str, found.empty[:5])) + (", ..." if len(found.empty) > 5 else "")
        some = "line" if len(found.empty) == 1 else "lines"
        note = f"{file}: {len(found.empty)} empty, passed over ({some} {lines})." if found.empty else ""
        return list(found.ids), list(found.texts), note
    if text == "-":
        data = sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode()
        try:
            text = data.decode("utf-8-sig").rstrip("\r\n")  # the line end that an echo adds is no part of the text
        except UnicodeDecodeError as error:
            raise InputError(f"standard input: not UTF-8 (byte {error.start}); give UTF-8.") from None
    if text is None or not text.strip():
        raise InputError("text: expected one, got an empty one.")
    return ["1"], [text], ""


def _newest() -> str:
    from creativity_lens.errors import InputError
    from creativity_lens.runs import SCORER_FILE, newest_run

    run = newest_run(SCORER_FILE)
    if run is None:
        raise InputError(
            "--directions: expected a run, and none under runs/ can score; run `clens sweep`, or name one."
        )
    return str(run)


def _scorer_of(
    path: str, layer: int | None, pairs: str | None, sides: str | None, seed: int, fitting: list[str]
) -> tuple[Any, Any]:
    """Whose scores these are (`Source`), and what makes the yardstick once that model is there."""
    from pathlib import Path

    from creativity_lens.errors import InputError
    from creativity_lens.runs import SCORER_FILE, find_run
    from creativity_lens.yardstick import Yardstick

    if not Path(path).is_dir():
        return _fitted(path, layer, pairs, sides, seed)
    file = find_run(path) / SCORER_FILE
    if not file.exists():
        raise InputError(
            f"{path}: has no {SCORER_FILE}: no layer reads its concept, or it was broken off, or made before runs kept "
            "one; run `clens sweep` again."
        )
    if fitting:
        raise InputError(f"{fitting[0]}: {path} is a run, which brings its own; leave it away.")
    ready = Yardstick.load(file)
    return ready.source, lambda model: ready


def _fitted(path: str, layer: int | None, pairs: str | None, sides: str | None, seed: int) -> tuple[Any, Any]:
    """The same from a file of directions, measured on the held-out topics of the pairs."""
    from creativity_lens.dosing import load_chosen
    from creativity_lens.errors import InputError
    from creativity_lens.prompts import load_pairs, split_pairs
    from creativity_lens.sides import load_sides
    from creativity_lens.yardstick import fit_yardstick

    chosen = load_chosen(path)
    at = chosen.directions.at(chosen.layer if layer is None else layer).layer
    named, listed = load_sides(pairs, sides), load_pairs(pairs)
    split_pairs(listed, seed=seed)  # too few topics are found before the model loads
    if sides is None and named.creative != chosen.directions.positive:
        raise InputError(
            f"{path}: points to {chosen.directions.positive}, the pairs to {named.creative}; give pairs of that "
            "contrast with --pairs, or name what they contrast with --sides."
        )

    def fit(model: Any) -> Any:
        if layer is None:
            print(f"Layer {at} of {path}; --layer takes another.", file=sys.stderr)
        return fit_yardstick(model, listed, layer=at, directions=chosen.directions, seed=seed, sides=named)

    return chosen.directions.source, fit
