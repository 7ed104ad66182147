"""`clens ratings validate`: how well a run's score agrees with people, and with which people."""

from typing import Annotated, Any

import typer

from creativity_lens.cli.options import Device, Devices, Dtype, Json, Seed

Rated = Annotated[
    list[str],
    typer.Option(
        "--ratings", "-r", metavar="NAME[=FOLDER]|FILE.csv,...",
        help="Rated sets, fetched or in a folder, or files that `clens ratings import` wrote; may be repeated.",
    ),
]  # fmt: skip
Pool = Annotated[str | None, typer.Option(metavar="PANEL,PANEL,...", help="Average these panels; by default none are.")]


def validate(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, as `clens sweep` writes.")],
    ratings: Rated,
    pool: Pool = None,
    seed: Seed = 0,
    device: Device = "auto",
    devices: Devices = None,
    dtype: Dtype = "auto",
    as_json: Json = False,
) -> None:
    """Hold a run's score of rated texts against what people said of them.

    Prints a table and a verdict per set; writes ratings.csv and more into the run's folder, and its report again.

    Example: clens ratings validate runs/pocket-chat-001 --ratings ttcw,hanna=FOLDER
    """
    from pathlib import Path

    from creativity_lens.cli.options import whole_or_auto
    from creativity_lens.result import Sweep
    from creativity_lens.runs import check_file

    spread = None if devices is None else whole_or_auto(devices, "devices")
    sets, panels = rated_sets(ratings), pooled(pool)  # before the model loads
    check_pool(sets, panels)
    sweep = Sweep.load(run)
    yardstick, scoring = scores_of(sweep, run)
    check_file(Path(run) / "ratings.json")

    from creativity_lens.cli.validated import print_validation
    from creativity_lens.models import load_model
    from creativity_lens.reports import write_report
    from creativity_lens.validation import Validation, validate_ratings

    named = sweep.run["model"]
    model = load_model(
        named["id"], revision=named["revision"], device=device, devices=spread, dtype=dtype,
        template=named["template"],
    )  # fmt: skip
    found = validate_ratings(
        model, yardstick, sets, directions=scoring, pool=panels, seed=seed,
        command=str(context.find_root().obj or ""),
    )  # fmt: skip
    found.save(run)
    report = write_report(sweep.table, sweep.texts, sweep.run, Path(run) / "report.html", ratings=Validation.load(run))
    print_validation(found, run, report, as_json=as_json)


def rated_sets(specs: list[str]) -> list[Any]:
    """The rated sets that are asked for, loaded and checked."""
    from creativity_lens.errors import InputError
    from creativity_lens.ratings import load_ratings

    parts = [part.strip() for spec in specs for part in spec.split(",")]
    if not all(parts):
        raise InputError("--ratings: expected names such as ttcw,hanna, got an empty one.")
    loaded = [load_ratings(part)[0] for part in parts]
    names = [each.name for each in loaded]
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise InputError(f"--ratings: '{twice[0]}' stands twice; name each set once.")
    return loaded


def pooled(pool: str | None) -> tuple[str, ...]:
    """The panels to average."""
    from creativity_lens.errors import InputError

    panels = () if pool is None else tuple(part.strip() for part in pool.split(","))
    if pool is not None and (len(set(panels)) < 2 or not all(panels)):
        raise InputError(f"--pool: expected at least two panels such as expert,lay, got '{pool}'.")
    return panels


def check_pool(sets: list[Any], panels: tuple[str, ...]) -> None:
    """Every panel to average is one of a set's."""
    from creativity_lens.errors import check_choice

    there = [str(panel) for each in sets for panel in each.frame["panel"].unique()]
    for panel in panels:
        check_choice("--pool", panel, dict.fromkeys(there))


def scores_of(sweep: Any, run: str) -> tuple[Any, Any]:
    """A run's yardstick and scoring directions; one that cannot score texts at every layer is refused."""
    from creativity_lens.errors import InputError

    if sweep.yardstick is None:
        raise InputError(f"{run}: no layer reads its concept, so it scores no text; expected a run that does.")
    if sweep.scoring_directions is None:
        raise InputError(f"{run}: made before runs kept what scores at every layer; run `clens sweep` again.")
    return sweep.yardstick, sweep.scoring_directions
