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
    from dataclasses import replace
    from pathlib import Path

    from creativity_lens.errors import InputError, check_choice
    from creativity_lens.plan import GIVEN, METHODS, POSITIONS, Plan, differs, position_for
    from creativity_lens.prompts import load_pairs, split_pairs
    from creativity_lens.runs import check_file
    from creativity_lens.sides import load_sides

    # every option and file is checked before the model loads
    check_choice("method", method, [name for name in METHODS if name != GIVEN])
    check_choice("position", position, ("auto", *POSITIONS))
    spread = None if devices is None else whole_or_auto(devices, "devices")
    named = load_sides(pairs, sides)
    loaded_pairs = load_pairs(pairs)
    rule = position_for(loaded_pairs) if position == "auto" else position
    plan = Plan(layers=layers, methods=(method,), position=rule)
    train, dev, test = (
        [pair for pair in part if differs(pair, rule)] for part in split_pairs(loaded_pairs, seed=seed)
    )  # equal texts have nothing to read
    for part, name in ((train, "train"), (dev, "dev"), (test, "test")):
        if not part:
            raise InputError(
                f"--position {rule}: expected pairs of which these texts differ in every split, {name} has none; "
                "choose another position, or leave it to auto."
            )
    held = [*dev, *test]
    if not out.endswith(".safetensors"):
        raise InputError(f"--out {out}: expected a name that ends in .safetensors.")
    if Path(out).exists() and not force:
        raise InputError(f"--out {out}: exists; choose another name or add --force.")
    check_file(out)

    from creativity_lens import gating
    from creativity_lens.activations import collect_activations
    from creativity_lens.concept import METHODS as FITS
    from creativity_lens.concept import dev_scores
    from creativity_lens.directions import with_dev_scores
    from creativity_lens.models import load_model
    from creativity_lens.readout import separation

    loaded = load_model(model, device=device, devices=spread, dtype=dtype, revision=revision, template=template)
    fitted, read = (collect_activations(loaded, some, layers=plan.layers, position=rule) for some in (train, held))
    directions = FITS[method](fitted)
    creative, boring = (side.numpy().astype(float) for side in directions.project(read))
    rows = [
        row
        for i, layer in enumerate(directions.layers)
        for row in separation("direction", creative[i], boring[i], read.topics, seed, layer=layer, method=method)
    ]
    thresholds = []
    if rule in gating.POSITIONS:
        n = len(dev)
        on_dev, on_test = (creative[:, :n], boring[:, :n]), (creative[:, n:], boring[:, n:])
        thresholds = gating.fit_thresholds(directions.layers, on_dev, on_test, read.topics[n:], seed=seed)
    scores = [*dev_scores(rows, method), *gating.threshold_scores(thresholds)]
    replace(with_dev_scores(directions, scores), positive=named.creative).save(out)
    said = f"{rule} (auto)" if position == "auto" else rule
    _print(out, directions, rows, thresholds, said, [train, dev, test], as_json=as_json)


def _print(
    out: str,
    directions: Any,
    rows: list[dict[str, Any]],
    thresholds: list[Any],
    position: str,
    parts: list[list[Any]],
    *,
    as_json: bool,
) -> None:
    import json

    from rich import box
    from rich.console import Console
    from rich.table import Table

    from creativity_lens.files import plain

    read = {(row["layer"], row["measure"]): row for row in rows}
    gates = {each.layer: each for each in thresholds}
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
