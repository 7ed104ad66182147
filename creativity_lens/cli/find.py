"""`clens find`: measure directions and how well each layer reads the concept, without generating."""

import sys
from typing import Annotated

import typer

from creativity_lens.cli.options import Device, Devices, Dtype, Json, Layers, ModelName, Pairs, Position, Revision, Seed, Template


def find(
    out: Annotated[str, typer.Option(metavar="FILE", help="Where the directions are written.")] = "directions.safetensors",
    model: ModelName = "pocket-chat",
    pairs: Pairs = None,
    method: Annotated[str, typer.Option(metavar="mean_difference|first_component", help="How a direction is fitted.")] = "mean_difference",
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
    import json
    from pathlib import Path

    from rich import box
    from rich.console import Console
    from rich.table import Table

    from creativity_lens.cli.options import whole_or_auto
    from creativity_lens.errors import InputError, check_choice
    from creativity_lens.plan import METHODS, POSITIONS
    from creativity_lens.prompts import load_pairs, split_pairs

    check_choice("--method", method, METHODS)
    check_choice("--position", position, POSITIONS)
    if not out.endswith(".safetensors"):
        raise InputError(f"--out {out}: expected a name that ends in .safetensors.")
    if Path(out).exists() and not force:
        raise InputError(f"--out {out}: exists; choose another name or add --force.")
    train, dev, test = split_pairs(load_pairs(pairs), seed=seed)

    from creativity_lens.activations import collect_activations
    from creativity_lens.concept import METHODS as FITS
    from creativity_lens.concept import wanted_layers
    from creativity_lens.models import load_model
    from creativity_lens.plan import Plan
    from creativity_lens.statistics import auc_interval, paired_accuracy

    spread = None if devices is None else whole_or_auto(devices, "devices")
    loaded = load_model(model, device=device, devices=spread, dtype=dtype, revision=revision, template=template)
    chosen = wanted_layers(loaded, Plan(layers=layers))
    held = [*dev, *test]
    directions = FITS[method](collect_activations(loaded, train, layers=chosen, position=position))
    high, low = (side.numpy().astype(float) for side in directions.project(collect_activations(loaded, held, layers=chosen, position=position)))
    topics = [pair.topic for pair in held]
    rows = [
        {
            "layer": layer,
            "auc": auc_interval(high[i], low[i], topics, seed=seed),
            "paired_accuracy": paired_accuracy(high[i] - low[i], topics, seed=seed),
            "gap": float(directions.gaps[i]),
            "residual_norm": float(directions.residual_norms[i]),
        }
        for i, layer in enumerate(directions.layers)
    ]
    directions.save(out)
    if as_json:
        from dataclasses import asdict

        plain = [{key: value if isinstance(value, int | float) else asdict(value) for key, value in row.items()} for row in rows]
        typer.echo(json.dumps({"out": out, "pairs": len(train), "held_out": len(held), "layers": plain}))
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption_justify="left")
    for heading in ("layer", "AUC (95 % interval)", "pairs right (95 % interval)", "gap", "residual norm"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        shown = [f"{row[key].value:.2f} ({row[key].low:.2f} to {row[key].high:.2f})" for key in ("auc", "paired_accuracy")]
        table.add_row(str(row["layer"]), *shown, f"{row['gap']:.1f}", f"{row['residual_norm']:.0f}")
    table.caption = f"Fitted on {len(train)} pairs, read on {len(held)} of {len(set(topics))} other topics. Gap and norm in residual units."
    Console(width=max(100, Console().width)).print(table)
    print(f"Directions: {out}", file=sys.stderr)
