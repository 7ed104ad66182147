"""`clens sweep`: from contrastive pairs to a report."""

from typing import Annotated, Any

import typer

from creativity_lens.cli.engines import (
    Address,
    Backend,
    Engine,
    GpusPerWorker,
    Place,
    Quantize,
    Threads,
    Workers,
    loader,
)
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
    given,
    numbers,
    whole_or_auto,
)

Reader = Annotated[
    str,
    typer.Option(
        metavar="NAME|auto|none", help="A second model that reads the texts; auto: pocket-base for pocket-chat."
    ),
]
Prompts = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Neutral writing prompts (JSONL or one a line); default: the shipped ones."),
]
Strengths = Annotated[str, typer.Option(metavar="A,B,...", help="Strengths to try, all above 0.")]
StrengthUnit = Annotated[
    str,
    typer.Option(metavar="norm|gap|raw", help="Fraction of the median residual norm, gaps, or residual units."),
]
Methods = Annotated[str, typer.Option(metavar="M,...", help="mean_difference, first_component.")]
Given = Annotated[
    str | None,
    typer.Option(
        metavar="RUN|FILE", help="Push along these directions (an imported one, say), not along the pairs' own."
    ),
]
Samples = Annotated[int, typer.Option(help="Texts per test prompt of the chosen cell; half as many of each layer.")]
MaxNewTokens = Annotated[int, typer.Option(help="Length of every text in tokens.")]
Controls = Annotated[int, typer.Option(help="Matched control pushes; at least 19.")]
PositiveControl = Annotated[
    str, typer.Option(metavar="auto|register|sentiment|none", help="A concept that the sweep should find.")
]
BatchRows = Annotated[str, typer.Option(metavar="N|auto", help="Rows of a batch; auto plans by free memory.")]
Ratings = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[=FOLDER]|FILE.csv,...", help="Rated sets that the scores are held against, in the report too."
    ),
]
ScreenOnly = Annotated[bool, typer.Option("--screen-only", help="Read-out and screening; no sampling, no verdict.")]
Preset = Annotated[str | None, typer.Option(metavar="olson2024", help="Layers, strengths and score of a paper.")]
Out = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER|URL",
        help="Where the run is written, or gone on with; default: runs/MODEL-001, -002, ...",
    ),
]


def sweep(
    context: typer.Context,
    model: ModelName = "pocket-chat",
    reader: Reader = "auto",
    pairs: Pairs = None,
    sides: Sides = None,
    prompts: Prompts = None,
    layers: Layers = "all",
    strengths: Strengths = "0.05,0.1,0.15,0.25",
    strength_unit: StrengthUnit = "norm",
    methods: Methods = "mean_difference",
    directions: Given = None,
    position: Position = "response",
    samples: Samples = 4,
    max_new_tokens: MaxNewTokens = 48,
    controls: Controls = 39,
    positive_control: PositiveControl = "auto",
    seed: Seed = 0,
    batch_rows: BatchRows = "auto",
    device: Device = "auto",
    devices: Devices = None,
    dtype: Dtype = "auto",
    quantize: Quantize = None,
    revision: Revision = None,
    template: Template = "auto",
    engine: Engine = "local",
    address: Address = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    threads: Threads = None,
    backend: Backend = "bridge",
    ratings: Ratings = None,
    screen_only: ScreenOnly = False,
    preset: Preset = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Score how well steering works against depth, and write a report.

    Prints a table of layers, the chosen layer and strength and a one-sentence verdict; writes the run's folder with
    report.html. A run that was broken off is gone on with by the same command and its --out.

    Example: clens sweep --model pocket-chat --strengths 0.1,0.2
    """
    from dataclasses import replace

    from creativity_lens.cli.validate import rated_sets
    from creativity_lens.dosing import load_chosen
    from creativity_lens.errors import InputError, check_choice
    from creativity_lens.holding import new_run
    from creativity_lens.plan import PRESETS, Plan
    from creativity_lens.prompts import load_pairs, load_prompts
    from creativity_lens.sides import load_sides

    # every option and file is checked, and the run's folder tried, before the model loads
    if preset is not None:
        plan = PRESETS[check_choice("--preset", preset, PRESETS)]
        fixed = given(context, "layers", "strengths", "strength_unit", "methods", "directions", "position")
        if fixed:
            raise InputError(f"--preset {preset}: sets {fixed[0]} itself; leave one of the two away.")
    else:
        plan = Plan(
            layers=layers,
            strengths=numbers(strengths, "strengths"),
            strength_unit=strength_unit,
            methods=tuple(name.strip() for name in methods.split(",")),
            position=position,
        )
    plan = replace(
        plan,
        samples=samples,
        max_new_tokens=max_new_tokens,
        controls=controls,
        seed=seed,
        batch_rows=whole_or_auto(batch_rows, "batch-rows"),
        screen_only=screen_only,
    )
    if directions is not None and given(context, "methods"):
        raise InputError("--directions: pushes along those of the file, without --methods; leave one of the two away.")
    steering = None if directions is None else load_chosen(directions).directions
    check_choice("--positive-control", positive_control, ["auto", "register", "sentiment", "none"])
    spread = None if devices is None else whole_or_auto(devices, "devices")
    place = Place(engine, address, workers, gpus_per_worker, threads, device, spread, backend)
    chosen_pairs, chosen_prompts = load_pairs(pairs), load_prompts(prompts)
    named = load_sides(pairs, sides)
    rated = rated_sets(ratings) if ratings else []

    with new_run(out, model, resume=True) as folder, loader(place) as load:
        from creativity_lens.reports import write_report
        from creativity_lens.sweep import sweep_layers

        loaded = load(model, writes=True, revision=revision, template=template, dtype=dtype, quantize=quantize)
        second = {"auto": "pocket-base" if loaded.id == "pocket-chat" else None, "none": None}.get(reader, reader)
        found = sweep_layers(
            loaded,
            chosen_pairs,
            plan=plan,
            prompts=chosen_prompts,
            reader=load(second, dtype=dtype) if second is not None else None,
            control=None if positive_control == "none" else positive_control,
            sides=named,
            directions=steering,
            out=folder,
            command=str(context.find_root().obj or ""),
        )
        validation = _validated(loaded, found, rated, folder) if rated else None
        report = write_report(found.table, found.texts, found.run, folder / "report.html", ratings=validation)
    _print(found, folder, report, validation, as_json=as_json)


def _validated(model: Any, found: Any, rated: list[Any], folder: Any) -> Any:
    """The run's score against people; None, with a warning, where no layer reads the concept."""
    import warnings

    from creativity_lens.validation import validate_ratings

    if found.yardstick is None:
        warnings.warn("no layer reads the concept, so no text was scored: --ratings was not used.", stacklevel=1)
        return None
    validation = validate_ratings(model, found.yardstick, rated, directions=found.scoring_directions)
    validation.save(folder)
    return validation


def _print(found: Any, folder: Any, report: Any, validation: Any, *, as_json: bool) -> None:
    import json

    from creativity_lens.cli.layers import print_layers, print_warnings
    from creativity_lens.layer_table import layer_rows

    run = found.run
    print_warnings(found)
    if as_json:
        chosen = {key: run.get(key) for key in ("verdict", "choice", "layer_set", "positive_control", "warnings")}
        about = {"run": str(folder), "report": str(report), **chosen, "layers": layer_rows(found.table, found.run)}
        if validation is not None:
            about["ratings"] = {name: each["verdict"] for name, each in validation.meta["sets"].items()}
        typer.echo(json.dumps(about, allow_nan=False))
        return
    print_layers(found)
    typer.echo(f"{found.sentence}\n")
    for name, sentence in validation.sentences.items() if validation is not None else ():
        typer.echo(f"{name}: {sentence}\n")
    typer.echo(f"Report: {report}")
