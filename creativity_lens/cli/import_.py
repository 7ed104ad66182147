"""`clens import`: bring a direction of another tool in as a file of directions, measured as ours are."""

import sys
from typing import Annotated, Any

import typer

from creativity_lens.cli.options import (
    Device,
    Devices,
    Dtype,
    Json,
    ModelName,
    Pairs,
    Revision,
    Seed,
    Sides,
    Template,
    whole_or_auto,
)

Numbering = Annotated[
    str | None,
    typer.Option(metavar="post|pre", help="Whether the file's N acts after block N, or after block N - 1."),
]


def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The other tool's file.")],
    form: Annotated[str, typer.Option("--from", metavar="gguf|svec|npz|repeng", help="What kind of file it is.")],
    out: Annotated[str, typer.Option(metavar="FILE", help="Where the directions are written.")],
    model: ModelName,
    numbering: Numbering = None,
    pairs: Pairs = None,
    sides: Sides = None,
    seed: Seed = 0,
    device: Device = "auto",
    devices: Devices = None,
    dtype: Dtype = "auto",
    revision: Revision = None,
    template: Template = "auto",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file of directions.")] = False,
    as_json: Json = False,
) -> None:
    """Bring another tool's direction in, to be steered with, scored and compared with ours. Its sign is kept.

    Example: clens import calm.gguf --from gguf --numbering post --model pocket-chat --out calm.safetensors
    """
    from creativity_lens.cli.asking import check_out
    from creativity_lens.errors import InputError
    from creativity_lens.prompts import load_pairs, split_pairs
    from creativity_lens.sides import load_sides

    # every option and file is checked before the model loads
    if not out.endswith(".safetensors"):
        raise InputError(f"--out {out}: expected a name that ends in .safetensors.")
    check_out(out, force=force)
    spread = None if devices is None else whole_or_auto(devices, "devices")
    named = load_sides(pairs, sides)
    train, dev, test = split_pairs(load_pairs(pairs), seed=seed)

    from creativity_lens.exports.host import load_host
    from creativity_lens.exports.importing import check_fit, check_numbering, import_direction, read_foreign
    from creativity_lens.model_hub import local_folder

    check_numbering(form, numbering)
    found = read_foreign(file, form, numbering)
    if local_folder(model, revision) is not None:
        host = load_host(model, revision)
        check_fit(found, model, host.n_layers, host.d_model)

    from creativity_lens.models import load_model

    loaded = load_model(model, device=device, devices=spread, dtype=dtype, revision=revision, template=template)
    made = import_direction(loaded, found, train, [*dev, *test], form=form, positive=named.creative, seed=seed)
    made.directions.save(out)
    _print(out, made, found.model_type, as_json=as_json)


def _print(out: str, made: Any, model_type: str | None, *, as_json: bool) -> None:
    import json

    from rich import box
    from rich.console import Console
    from rich.table import Table

    from creativity_lens.files import plain

    directions = made.directions
    read = {row["layer"]: row for row in made.rows if row["measure"] == "auc"}
    layers = []
    for layer in directions.layers:
        at = directions.at(layer)
        layers.append({
            "layer": layer,
            "norm": made.norms[layer],
            "share": made.norms[layer] / at.residual_norm,
            "gap": at.gap,
            "residual_norm": at.residual_norm,
            "auc": {key: read[layer][key] for key in ("estimate", "low", "high", "n", "unit")},
            "cosine": made.cosines[layer],
        })  # fmt: skip
    if as_json:
        about = {"out": out, "pairs": directions.source.n_pairs, "held_out": made.held_out, "model_type": model_type}
        typer.echo(json.dumps(plain({**about, "layers": layers})))
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption_justify="left")
    for heading in (
        "layer",
        "norm in the file",
        "of the residual norm",
        "gap",
        "AUC (95 % interval)",
        "cosine with ours",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in layers:
        auc = row["auc"]
        ends = "no interval" if auc["low"] != auc["low"] else f"{auc['low']:.2f} to {auc['high']:.2f}"
        table.add_row(
            str(row["layer"]), f"{row['norm']:.4g}", f"{row['share']:.3f}", f"{row['gap']:.1f}",
            f"{auc['estimate']:.2f} ({ends})", f"{row['cosine']:+.2f}",
        )  # fmt: skip
    table.caption = (
        f"Measured on {directions.source.n_pairs} pairs, read on {made.held_out} of {made.topics} other topics. "
        "Norms and gap in residual units; ours is the mean difference of the same pairs."
    )
    Console(width=max(100, Console().width)).print(table)
    print(f"Directions: {out}", file=sys.stderr)
