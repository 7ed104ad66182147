"""`clens audit`: what alignment did to a model's diversity, and a report."""

from typing import Annotated, Any

import typer

from creativity_lens.cli.options import (
    Device,
    Devices,
    Dtype,
    Json,
    Seed,
    Template,
    given,
    numbers,
    whole_or_auto,
)

Base = Annotated[str, typer.Option(metavar="NAME", help="The base model: built-in name, hub id or name, or a folder.")]
Aligned = Annotated[str, typer.Option(metavar="NAME", help="Its aligned sibling, asked in its chat template.")]
Ladder = Annotated[
    str | None,
    typer.Option(metavar="base=A,sft=B,...", help="Every stage of a model, the base first, in place of the two."),
]
Directions = Annotated[
    str | None,
    typer.Option(
        "--directions", "-d", metavar="RUN|FILE",
        help="Join the last stage steered: at the run's layer and strength; its scorer reads creativity.",
    ),
]  # fmt: skip
Layer = Annotated[str | None, typer.Option(metavar="4|3-5", help="Layers of the push; default: the run's.")]
Strength = Annotated[float | None, typer.Option(help="Strength of the push; default: the run's.")]
Prompts = Annotated[
    str | None, typer.Option(metavar="FILE", help="Writing prompts (JSONL or one a line); default: the shipped ones.")
]
Samples = Annotated[int, typer.Option(help="Texts per prompt and condition.")]
MaxNewTokens = Annotated[int, typer.Option(help="Length of every text in tokens.")]
Personas = Annotated[int, typer.Option(help="Texts per persona prompt; 0: none.")]
Creativity = Annotated[
    bool, typer.Option("--creativity/--no-creativity", help="Read creativity too; without a run, from the pairs.")
]
EmbedderName = Annotated[
    str | None, typer.Option("--embedder", metavar="NAME", help="A sentence-transformers model; default: MiniLM.")
]
Out = Annotated[
    str | None, typer.Option(metavar="FOLDER", help="Where it is written; default: runs/ALIGNED-audit-001, ...")
]


def audit(
    context: typer.Context,
    base: Base = "pocket-base",
    aligned: Aligned = "pocket-chat",
    ladder: Ladder = None,
    directions: Directions = None,
    layer: Layer = None,
    strength: Strength = None,
    prompts: Prompts = None,
    samples: Samples = 10,
    max_new_tokens: MaxNewTokens = 48,
    temperature: Annotated[float, typer.Option(help="Of every condition but the ladder of temperatures.")] = 1.0,
    temperatures: Annotated[str, typer.Option(metavar="T,T,...", help="That ladder, of the last stage.")] = (
        "0.7,1.3,1.6"
    ),
    personas: Personas = 8,
    creativity: Creativity = True,
    embedder: EmbedderName = None,
    seed: Seed = 0,
    device: Device = "auto",
    devices: Devices = None,
    dtype: Dtype = "auto",
    template: Template = "auto",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Measure the price of alignment: how much less its texts differ, at which stage, and how much is the template.

    Prints a line per condition and a verdict; writes a folder with audit.csv, every text and report.html.

    Example: clens audit --base pocket-base --aligned pocket-chat
    """
    from pathlib import Path

    from creativity_lens.cli.asking import pushes_of
    from creativity_lens.dosing import load_chosen
    from creativity_lens.errors import InputError
    from creativity_lens.holding import new_run
    from creativity_lens.prompts import load_pairs, read_prompts

    # every option and file is checked, and the folder tried, before a model loads
    stages = stages_of(ladder) if ladder is not None else {"base": base, "aligned": aligned}
    if ladder is not None and (extra := given(context, "base", "aligned")):
        raise InputError(f"--ladder: names every stage itself, so {extra[0]} has no place; leave one of them away.")
    if directions is None and (extra := given(context, "layer", "strength")):
        raise InputError(f"{extra[0]}: belongs to --directions RUN; add it.")
    chosen = None if directions is None else load_chosen(directions)
    strengths = None if strength is None else (strength,)
    push = () if chosen is None else pushes_of(chosen, layer, strengths, "norm", "add")[0]
    asked = None if prompts is None else read_prompts(Path(prompts))
    pairs = load_pairs() if creativity else []
    steps = numbers(temperatures, "temperatures") if temperatures.strip() else ()
    spread = None if devices is None else whole_or_auto(devices, "devices")

    with new_run(out, f"{list(stages.values())[-1].rstrip('/')}-audit") as folder:
        from creativity_lens.audit import AuditPlan, audit_models
        from creativity_lens.directions import check_model
        from creativity_lens.embeddings import load_embedder
        from creativity_lens.models import load_model
        from creativity_lens.reports import write_audit_report

        plan = AuditPlan(
            samples=samples, max_new_tokens=max_new_tokens, temperature=temperature, temperatures=steps,
            forced_samples=min(2, samples), beginnings=tuple(k for k in (5, 10, 20) if k <= max_new_tokens - 2),
            persona_samples=personas, seed=seed,
        )  # fmt: skip
        plan.check()
        embed = load_embedder(embedder)
        place: dict[str, Any] = {"device": device, "dtype": dtype, "devices": spread}
        last = list(stages)[-1]
        models = {
            stage: load_model(name, template=template if stage == last else "none", **place)
            for stage, name in stages.items()
        }
        if chosen is not None:
            check_model(chosen.directions, models[last], chosen.name)
        found = audit_models(
            models,
            embedder=embed,
            prompts=asked,
            plan=plan,
            push=push,
            yardstick=_yardstick(directions, models[last], pairs) if creativity else None,
            command=str(context.find_root().obj or ""),
            name=folder.name,
        )
        found.save(folder)
        report = write_audit_report(found.table, found.texts, found.meta, folder / "report.html")
    print_audit(found, folder, report, as_json=as_json)


def stages_of(ladder: str) -> dict[str, str]:
    """The stages of "base=A,sft=B", in their order."""
    from creativity_lens.errors import InputError

    found: dict[str, str] = {}
    for part in ladder.split(","):
        stage, _, name = (piece.strip() for piece in part.partition("="))
        if not stage or not name:
            raise InputError(f"--ladder: expected stages such as base=A,sft=B,dpo=C, got '{part.strip() or ladder}'.")
        if stage in found:
            raise InputError(f"--ladder: the stage '{stage}' stands twice; name each once.")
        found[stage] = name
    if len(found) < 2:
        raise InputError(f"--ladder: expected at least two stages such as base=A,sft=B, got '{ladder}'.")
    return found


def _yardstick(directions: str | None, model: Any, pairs: list[Any]) -> Any:
    """The run's scorer, or one that is fitted on the shipped pairs; None where no layer reads them."""
    import warnings
    from pathlib import Path

    from creativity_lens.errors import InputError
    from creativity_lens.runs import SCORER_FILE
    from creativity_lens.yardstick import Yardstick, fit_yardstick

    if directions is not None and (Path(directions) / SCORER_FILE).is_file():
        return Yardstick.load(Path(directions) / SCORER_FILE, model)
    try:
        return fit_yardstick(model, pairs)
    except InputError as error:
        warnings.warn(f"creativity is not measured: {error}", stacklevel=1)
        return None


def print_audit(found: Any, folder: Any, report: Any, *, as_json: bool) -> None:
    """A line per condition, the verdict with what stands beside it, and where the report is."""
    import json
    import sys

    from rich import box
    from rich.console import Console
    from rich.table import Table

    from creativity_lens.audit.audit import NOTE, SUMMARY, summary_cells
    from creativity_lens.files import plain

    meta = found.meta
    if as_json:
        lines = found.conditions.to_dict("records")
        about = {"run": str(folder), "report": str(report), "verdict": meta["verdict"], "conditions": lines}
        typer.echo(json.dumps(plain(about | {"notes": meta["notes"]}), allow_nan=False))
        return
    for note in meta["notes"]:
        print(f"note: {note}", file=sys.stderr)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    names = [meta["scored"] if name == "creativity" else name for name in SUMMARY]
    for number, heading in enumerate(["condition", *names]):
        table.add_column(heading, justify="left" if number == 0 else "right", no_wrap=number < 2)
    for cells in summary_cells(found.table, meta):
        table.add_row(*cells)
    Console(width=max(140, Console().width), markup=False).print(table)
    typer.echo(f"{NOTE}\n\n{found.sentence}")
    for sentence in meta["verdict"]["detail"]:
        typer.echo(sentence)
    typer.echo(f"\nReport: {report}")
