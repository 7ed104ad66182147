"""`clens find`: measure directions and how well each layer reads the concept, without generating."""

import sys
from typing import Annotated, Any

import typer

from creativity_lens.cli.options import (
    Device,
    Devices,
    Dtype,
    Json,
    Layers,
    ModelName,
    Pairs,
    Position,
    Revision,
    Seed,
    Sides,
    Template,
    whole_or_auto,
)

Out = Annotated[str, typer.Option(metavar="FILE", help="Where the directions are written.")]
Method = Annotated[str, typer.Option(metavar="mean_difference|first_component", help="How a direction is fitted.")]


def find(
    out: Out = "directions.safetensors",
    model: ModelName = "pocket-chat",
    pairs: Pairs = None,
    sides: Sides = None,
    method: Method = "mean_difference",
    layers: Layers = "all",
    position: Position = "response",
    seed: Seed = 0,
    device: Device = "auto",
    devices: Devices = None,
    dtype: Dtype = "auto",
    revision: Revision = None,
    template: Template = "auto",
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
    as_json: Json = False,
) -> None:
    """Measure one direction per layer from the training pairs and read the held-out ones.

    Example: clens find --model pocket-chat --out creative.safetensors
    """
    from dataclasses import replace
    from pathlib import Path

    from creativity_lens.errors import InputError
    from creativity_lens.plan import Plan
    from creativity_lens.prompts import load_pairs, split_pairs
    from creativity_lens.runs import check_file
    from creativity_lens.sides import load_sides

    # every option and file is checked before the model loads
    plan = Plan(layers=layers, methods=(method,), position=position)
    spread = None if devices is None else whole_or_auto(devices, "devices")
    named = load_sides(pairs, sides)
    train, dev, test = split_pairs(load_pairs(pairs), seed=seed)
    held = [*dev, *test]
    if not out.endswith(".safetensors"):
        raise InputError(f"--out {out}: expected a name that ends in .safetensors.")
    if Path(out).exists() and not force:
        raise InputError(f"--out {out}: exists; choose another name or add --force.")
    check_file(out)

    from creativity_lens.activations import collect_activations
    from creativity_lens.concept import METHODS, dev_scores
    from creativity_lens.directions import with_dev_scores
    from creativity_lens.models import load_model
    from creativity_lens.readout import separation

    loaded = load_model(model, device=device, devices=spread, dtype=dtype, revision=revision, template=template)
    fitted, read = (collect_activations(loaded, some, layers=plan.layers, position=position) for some in (train, held))
    directions = METHODS[method](fitted)
    creative, boring = (side.numpy().astype(float) for side in directions.project(read))
    rows = [
        row
        for i, layer in enumerate(directions.layers)
        for row in separation("direction", creative[i], boring[i], read.topics, seed, layer=layer, method=method)
    ]
    replace(with_dev_scores(directions, dev_scores(rows, method)), positive=named.creative).save(out)
    _print(out, directions, rows, len(train), len(held), len(set(read.topics)), as_json=as_json)


def _print(
    out: str, directions: Any, rows: list[dict[str, Any]], fitted: int, held: int, topics: int, *, as_json: bool
) -> None:
    import json

    from rich import box
    from rich.console import Console
    from rich.table import Table

    from creativity_lens.files import plain

    read = {(row["layer"], row["measure"]): row for row in rows}
    if as_json:
        layers = [
            {"layer": layer, "gap": directions.at(layer).gap, "residual_norm": directions.at(layer).residual_norm}
            | {
                name: {key: read[layer, name][key] for key in ("estimate", "low", "high", "n", "unit")}
                for name in ("auc", "paired_accuracy")
            }
            for layer in directions.layers
        ]
        typer.echo(json.dumps(plain({"out": out, "pairs": fitted, "held_out": held, "layers": layers})))
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption_justify="left")
    for heading in ("layer", "AUC (95 % interval)", "pairs right (95 % interval)", "gap", "residual norm"):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in directions.layers:
        both = (read[layer, name] for name in ("auc", "paired_accuracy"))
        shown = [_shown(row) for row in both]
        at = directions.at(layer)
        table.add_row(str(layer), *shown, f"{at.gap:.1f}", f"{at.residual_norm:.0f}")
    table.caption = (
        f"Fitted on {fitted} pairs, read on {held} of {topics} other topics. Gap and norm in residual units."
    )
    Console(width=max(100, Console().width)).print(table)
    print(f"Directions: {out}", file=sys.stderr)


def _shown(row: dict[str, Any]) -> str:
    ends = "no interval" if row["low"] != row["low"] else f"{row['low']:.2f} to {row['high']:.2f}"
    return f"{row['estimate']:.2f} ({ends})"
