"""`clens sweep`: from contrastive pairs to a report."""

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
    Template,
    numbers,
    whole_or_auto,
)


def sweep(
    model: ModelName = "pocket-chat",
    reader: Annotated[
        str, typer.Option(metavar="NAME|auto|none", help="A second model that reads the texts; auto: pocket-base for pocket-chat.")
    ] = "auto",
    pairs: Pairs = None,
    prompts: Annotated[
        str | None, typer.Option(metavar="FILE", help="Neutral writing prompts (JSONL or one a line); default: the shipped ones.")
    ] = None,
    layers: Layers = "all",
    strengths: Annotated[str, typer.Option(metavar="A,B,...", help="Strengths to try, all above 0.")] = "0.05,0.1,0.15,0.25",
    strength_unit: Annotated[
        str, typer.Option(metavar="norm|gap|raw", help="Fraction of the median residual norm, gaps, or residual units.")
    ] = "norm",
    methods: Annotated[str, typer.Option(metavar="M,...", help="mean_difference, first_component.")] = "mean_difference",
    position: Position = "response",
    samples: Annotated[int, typer.Option(help="Texts per test prompt of the chosen cell; half as many per dev cell.")] = 4,
    max_new_tokens: Annotated[int, typer.Option(help="Length of every text in tokens.")] = 48,
    controls: Annotated[int, typer.Option(help="Matched control pushes; at least 19.")] = 39,
    positive_control: Annotated[
        str, typer.Option(metavar="auto|register|sentiment|none", help="A concept that the sweep should find.")
    ] = "auto",
    seed: Seed = 0,
    batch_rows: Annotated[str, typer.Option(metavar="N|auto", help="Rows of a batch; auto plans by free memory.")] = "auto",
    device: Device = "auto",
    devices: Devices = None,
    dtype: Dtype = "auto",
    revision: Revision = None,
    template: Template = "auto",
    screen_only: Annotated[bool, typer.Option("--screen-only", help="Read-out and screening; no sampling, no verdict.")] = False,
    preset: Annotated[str | None, typer.Option(metavar="olson2024", help="Settings of a paper.")] = None,
    out: Annotated[str | None, typer.Option(metavar="FOLDER", help="Where the run is written; default: runs/MODEL-001, -002, ...")] = None,
    as_json: Json = False,
) -> None:
    """Score how well steering works against depth, and write a report.

    Prints a table of layers, the chosen layer and strength and a one-sentence verdict; writes the run's folder with report.html.

    Example: clens sweep --model pocket-chat --strengths 0.1,0.2
    """
    from dataclasses import replace
    from pathlib import Path

    from creativity_lens.errors import InputError, check_choice
    from creativity_lens.plan import PRESETS, Plan
    from creativity_lens.prompts import load_pairs, load_prompts
    from creativity_lens.runs import new_run_folder

    # every option and file is checked before the model loads
    if preset is None:
        plan = Plan(
            layers=layers, strengths=numbers(strengths, "strengths"), strength_unit=strength_unit,
            methods=tuple(name.strip() for name in methods.split(",")), position=position,
        )  # fmt: skip
    else:
        plan = PRESETS[check_choice("--preset", preset, PRESETS)]
    plan = replace(
        plan, samples=samples, max_new_tokens=max_new_tokens, controls=controls, seed=seed,
        batch_rows=whole_or_auto(batch_rows, "batch-rows"), screen_only=screen_only,
    )  # fmt: skip
    check_choice("--positive-control", positive_control, ["auto", "register", "sentiment", "none"])
    chosen_pairs, chosen_prompts = load_pairs(pairs), load_prompts(prompts)
    if out is not None and Path(out).is_dir() and any(Path(out).iterdir()):
        new_run_folder(out, model)  # refuses

    from creativity_lens.models import load_model
    from creativity_lens.reports import write_report
    from creativity_lens.sweep import sweep_layers

    place: dict[str, Any] = {"device": device, "dtype": dtype}
    spread = None if devices is None else whole_or_auto(devices, "devices")
    loaded = load_model(model, revision=revision, devices=spread, template=template, **place)
    second = {"auto": "pocket-base" if loaded.name == "pocket-chat" else None, "none": None}.get(reader, reader)
    read_by = load_model(second, **place) if second is not None else None
    folder = new_run_folder(out, loaded.name)
    try:
        found = sweep_layers(
            loaded, chosen_pairs, plan=plan, prompts=chosen_prompts, reader=read_by,
            control=None if positive_control == "none" else positive_control, out=folder,
            command="clens " + " ".join(sys.argv[1:]),
        )  # fmt: skip
        report = write_report(found.table, found.texts, found.run, folder / "report.html")
    except KeyboardInterrupt:
        print(f"clens: {folder} holds what was finished.", file=sys.stderr)
        raise
    except InputError:
        if not (folder / "sweep.csv").exists():  # nothing was measured: leave no empty run behind
            (folder / "run.json").unlink(missing_ok=True)
            folder.rmdir()
        raise
    _print(found, folder, report, as_json=as_json)


def _print(found: Any, folder: Any, report: Any, *, as_json: bool) -> None:
    import json

    from creativity_lens.cli.layers import layer_rows, print_layers

    run = found.run
    if as_json:
        chosen = {key: run.get(key) for key in ("verdict", "choice", "layer_set", "positive_control")}
        typer.echo(json.dumps({"run": str(folder), "report": str(report), **chosen, "layers": layer_rows(found)}, default=str))
        return
    print_layers(found)
    for warning in run["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    typer.echo(f"{found.sentence}\n")
    typer.echo(f"Report: {report}")
