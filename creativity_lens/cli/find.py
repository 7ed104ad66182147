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
    Revision,
    Seed,
    Sides,
    Template,
    whole_or_auto,
)

Out = Annotated[str, typer.Option(metavar="FILE", help="Where the directions are written.")]
Position = Annotated[
    str,
    typer.Option(
        metavar="auto|response|instruction|last",
        help="Mean over the response, over the instruction's own words, or their last token; auto: the response, or "
        "the instruction where all responses are equal.",
    ),
]
Method = Annotated[str, typer.Option(metavar="mean_difference|first_component", help="How a direction is fitted.")]


def find(
    out: Out = "directions.safetensors",
    model: ModelName = "pocket-chat",
    pairs: Pairs = None,
    sides: Sides = None,
    method: Method = "mean_difference",
    layers: Layers = "all",
    position: Position = "auto",
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

    A direction of instructions is also a gate: each layer gets a threshold, fitted on dev topics and judged on test
    topics, by which `clens steer --gate` knows the prompts it acts for.

    Example: clens find --pairs gate_pairs.jsonl --out gate.safetensors
    """
    from creativity_lens.cli.asking import check_out
    from creativity_lens.errors import InputError
    from creativity_lens.finding import find_directions, held_out_parts
    from creativity_lens.plan import Plan
    from creativity_lens.prompts import load_pairs
    from creativity_lens.sides import load_sides

    # every option and file is checked before the model loads
    spread = None if devices is None else whole_or_auto(devices, "devices")
    named = load_sides(pairs, sides)
    listed = load_pairs(pairs)
    rule, _ = held_out_parts(listed, method=method, position=position, seed=seed)
    layers_asked = Plan(layers=layers, seed=seed).layers
    if not out.endswith(".safetensors"):
        raise InputError(f"--out {out}: expected a name that ends in .safetensors.")
    check_out(out, force=force)

    from creativity_lens.models import load_model

    loaded = load_model(model, device=device, devices=spread, dtype=dtype, revision=revision, template=template)
    found = find_directions(
        loaded, listed, method=method, layers=layers_asked, position=rule, seed=seed, positive=named.creative
    )
    found.directions.save(out)
    _print(out, found, f"{rule} (auto)" if position == "auto" else rule, as_json=as_json)


def _print(out: str, made: Any, position: str, *, as_json: bool) -> None:
    import json

    from rich import box
    from rich.console import Console
    from rich.table import Table

    from creativity_lens.files import plain

    directions, parts = made.directions, made.parts
    read = {(row["layer"], row["measure"]): row for row in made.rows}
    gates = {each.layer: each for each in made.thresholds}
    fitted, held = len(parts[0]), len(parts[1]) + len(parts[2])
    if as_json:
        layers = [
            {"layer": layer, "gap": directions.at(layer).gap, "residual_norm": directions.at(layer).residual_norm}
            | {
                name: {key: read[layer, name][key] for key in ("estimate", "low", "high", "n", "unit")}
                for name in ("auc", "paired_accuracy")
            }
            | ({"gate": _gate(gates[layer])} if gates else {})
            for layer in directions.layers
        ]
        about = {"out": out, "position": directions.source.position, "pairs": fitted, "held_out": held}
        typer.echo(json.dumps(plain(about | {"layers": layers})))
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption_justify="left")
    headings = ["layer", "AUC (95 % interval)", "pairs right (95 % interval)", "gap", "residual norm"]
    for heading in [*headings, *(["threshold", "right on dev", "on test (95 % interval)"] if gates else [])]:
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in directions.layers:
        both = (read[layer, name] for name in ("auc", "paired_accuracy"))
        shown = [_shown(row["estimate"], row["low"], row["high"]) for row in both]
        at = directions.at(layer)
        cells = [str(layer), *shown, f"{at.gap:.1f}", f"{at.residual_norm:.0f}"]
        if gates:
            found = gates[layer]
            judged = _shown(found.test.value, found.test.low, found.test.high)
            cells += [f"{found.threshold:.3g}", f"{found.dev:.2f}", judged]
        table.add_row(*cells)
    dev_topics, test_topics = ({pair.topic for pair in part} for part in parts[1:])
    table.caption = (
        f"Fitted on {fitted} pairs, read on {held} of {len(dev_topics | test_topics)} other topics. Position: "
        f"{position}. Gap and norm in residual units."
    )
    if gates:
        table.caption += (
            f"\nAs a gate: threshold in residual units from the {len(dev_topics)} dev topics alone; right: share of "
            f"requests on the right side of it, dev and {len(test_topics)} test topics."
        )
    Console(width=max(132 if gates else 100, Console().width)).print(table)
    print(f"Directions: {out}", file=sys.stderr)


def _gate(found: Any) -> dict[str, Any]:
    test = {key: getattr(found.test, key) for key in ("low", "high", "n")}
    return {
        "threshold": found.threshold,
        "accuracy_dev": found.dev,
        "margin_dev": found.margin,
        "accuracy_test": {"estimate": found.test.value, **test},
    }


def _shown(estimate: float, low: float, high: float) -> str:
    ends = "no interval" if low != low else f"{low:.2f} to {high:.2f}"
    return f"{estimate:.2f} ({ends})"
