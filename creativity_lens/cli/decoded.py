"""The two things `clens decode` does: write mixtures side by side, and sweep over gamma."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import typer

from creativity_lens.cli.asking import asked_prompts, check_out, pushes_of, write_rows

SWEPT = 16  # of the prompts that ship, where a sweep is given none

Both = Callable[[], tuple[Any, Any]]  # loads the aligned model and its base


@dataclass(frozen=True, eq=False)
class Pushed:
    """Directions that were asked for, and the pushes along them; none without directions."""

    chosen: Any = None  # Chosen
    pushes: tuple[Any, ...] = ()


def settings(
    mix: str, truncate: str, top_p: float | None, top_k: int, min_p: float, temperature: float,
    base_temperature: float | None, length: int, scope: str,
) -> Any:  # fmt: skip
    """A `Decode` from the options, all of them checked; a nucleus of 0.9 where no truncation is asked for."""
    from creativity_lens.comparing import Sampling
    from creativity_lens.decoding import Decode
    from creativity_lens.decoding.writing import TOP_P
    from creativity_lens.errors import check_choice
    from creativity_lens.sampling import MIXES, TRUNCATES, Mixing, check_truncation

    mixing = Mixing(check_choice("--mix", mix, MIXES), check_choice("--truncate", truncate, TRUNCATES))
    check_choice("--scope", scope, ("generated", "all"))
    nucleus = (1.0 if top_k or min_p else TOP_P) if top_p is None else top_p
    check_truncation(nucleus, top_k, min_p)
    return Decode(Sampling(length, temperature, nucleus, top_k, min_p, scope), mixing, base_temperature)


def pushes(directions: str | None, layer: str | None, strength: str | None, unit: str, mode: str) -> Pushed:
    """The pushes along the directions that are asked for, as `clens steer` makes them."""
    from creativity_lens.cli.options import numbers
    from creativity_lens.dosing import load_chosen
    from creativity_lens.errors import InputError, check_choice

    check_choice("--mode", mode, ("add", "ablate", "clamp"))
    check_choice("--strength-unit", unit, ("norm", "gap", "raw"))
    if directions is None:
        return Pushed()
    if mode == "ablate" and strength is not None:
        raise InputError("--mode ablate: projects the direction out and takes no --strength; leave it away.")
    strengths = None if strength is None else numbers(strength, "strength")
    chosen = load_chosen(directions)
    return Pushed(chosen, tuple(pushes_of(chosen, layer, strengths, unit, mode)))


def load_both(
    aligned: tuple[str, str | None, str], base: tuple[str, str | None, str], place: dict[str, Any], pushed: Pushed
) -> tuple[Any, Any]:
    """Both models, which share a vocabulary, each as it is to be asked; what was assumed goes to standard error."""
    from creativity_lens.directions import check_model
    from creativity_lens.models import load_model
    from creativity_lens.vocabulary import as_asked_by, check_same_vocabulary

    name, commit, template = aligned
    first = load_model(name, revision=commit, template=template, **place)
    if pushed.chosen is not None:
        check_model(pushed.chosen.directions, first, pushed.chosen.name)
    name, commit, form = base
    second = load_model(name, revision=commit, template="none", **place)
    check_same_vocabulary(first, second)
    second = as_asked_by(second, first) if form == "aligned" else second
    if first.template == "none":
        print(f"note: {first.name} is asked in plain text, for it has no chat template in use.", file=sys.stderr)
    for note in pushed.chosen.notes if pushed.chosen is not None else ():
        print(f"note: {note}", file=sys.stderr)
    return first, second


def write(
    prompt: str | None, from_file: str | None, gammas: Any, samples: int, decode: Any, pushed: Pushed, seed: int,
    out: str | None, load: Both, *, force: bool, as_json: bool,
) -> None:  # fmt: skip
    """Texts side by side, a column per gamma and push; into a file, as JSON, or on the screen while they are drawn."""
    from creativity_lens.decoding.writing import GAMMA, checked_columns, column_names, write_mixtures
    from creativity_lens.errors import InputError

    gammas = (GAMMA,) if gammas is None else gammas
    columns = checked_columns(gammas, pushed.pushes)
    check_out(out, force=force)
    if prompt is None and from_file is None:
        raise InputError(
            'prompt: expected a text such as "Write about a lighthouse.", or --from-file, or --sweep-gamma.'
        )
    prompts = asked_prompts(prompt, from_file)
    first, second = load()

    from creativity_lens.cli.columns import Columns

    names = column_names(columns, decode.mixing)
    screen = Columns(first, prompts, [], samples, shown=not (as_json or out), names=names)
    with screen as on_step:
        found = write_mixtures(
            first, second, prompts, gammas, pushes=pushed.pushes, samples=samples, seed=seed, decode=decode,
            on_step=on_step, on_halved=screen.start_again,
        )  # fmt: skip
    if out is not None:
        write_rows(out, found.rows)
        print(f"{len(found.texts)} text{'s' * (len(found.texts) != 1)}: {out}", file=sys.stderr)
    if as_json:
        _echo({"aligned": found.model, "base": found.base, "texts": found.rows})
    elif out is None:
        _print(found)


def _print(found: Any) -> None:
    """The finished texts, and below them how surprising they are to either reader."""
    import numpy as np
    from rich.text import Text

    from creativity_lens.cli.columns import tables, wide_console

    console = wide_console()
    texts = [text.text for text in found.texts]
    console.print(tables([prompt.text for prompt in found.prompts], found.names, texts, found.samples))
    shape = (len(found.prompts), len(found.columns), found.samples)
    own, other = (np.reshape(each, shape).swapaxes(0, 1) for each in (found.surprisal, found.surprisal_base))
    for name, mine, theirs in zip(found.names, own, other, strict=True):
        if np.isfinite(mine).any() and np.isfinite(theirs).any():
            said = f"{name}: {np.nanmean(mine):.2f} nats per token as {found.model} reads, {np.nanmean(theirs):.2f} as "
            console.print(Text(f"{said}{found.base} does.", style="dim"))


def sweep(
    prompt: str | None, from_file: str | None, gammas: Any, samples: int, decode: Any, pushed: Pushed, baselines: str,
    embedder: str | None, seed: int, out: str | None, load: Both, *, name: str, command: str, as_json: bool,
) -> None:  # fmt: skip
    """Sweep over gamma into a run's folder: table, texts, report; what was found is printed."""
    import warnings

    from creativity_lens.decoding import BASELINES, GAMMAS, sweep_gamma
    from creativity_lens.decoding.sweeping import checked_sweep
    from creativity_lens.errors import InputError, check_choice
    from creativity_lens.holding import new_run
    from creativity_lens.prompts import load_prompts
    from creativity_lens.statistics import FEWEST

    gammas = GAMMAS if gammas is None else gammas
    checked_sweep(gammas, samples, decode)
    wanted = () if baselines == "none" else tuple(each.strip() for each in baselines.split(","))
    for each in wanted:
        check_choice("--baselines", each, (*BASELINES, "none"))
    if len(pushed.pushes) > 1:
        raise InputError("--strength: expected one strength in a sweep over gamma, got a list; sweep each by itself.")
    given_none = prompt is None and from_file is None
    prompts = load_prompts()[0][:SWEPT] if given_none else asked_prompts(prompt, from_file)
    if len(prompts) < 2:
        raise InputError(
            "--sweep-gamma: expected at least 2 prompts, better 16; give --from-file, or no prompt at all."
        )

    from creativity_lens.embeddings import load_embedder
    from creativity_lens.reports.gamma import write_gamma_report

    read_by = load_embedder(embedder)
    with new_run(out, f"{name}-gamma") as folder:
        first, second = load()
        found = sweep_gamma(
            first, second, prompts, gammas, embedder=read_by, samples=samples, decode=decode,
            push=pushed.pushes[0] if pushed.pushes else (), baselines=wanted, seed=seed, command=command,
        )  # fmt: skip
        found.meta["name"] = folder.name
        found.save(folder)
        report = write_gamma_report(found.table, found.texts, found.meta, folder / "report.html")
    for note in found.meta["notes"]:
        warnings.warn(note, stacklevel=1)
    if as_json:
        told = {key: found.meta[key] for key in ("sentence", "knee", "against", "matched", "notes", "definition")}
        rows = found.table.to_dict("records")
        _echo(told | {"rows": rows, "folder": str(folder), "report": str(report)})
        return
    _print_sweep(found, has_interval=len(prompts) >= FEWEST)
    print(f"report: {report}", file=sys.stderr)


def _print_sweep(found: Any, *, has_interval: bool) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from creativity_lens.cli.columns import wide_console
    from creativity_lens.decoding.measures import BY_ALIGNED, SPREAD
    from creativity_lens.html_tables import with_interval

    console = wide_console()
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("")
    for measure in dict.fromkeys(found.table["measure"]):
        table.add_column(measure.replace("surprisal, ", ""), justify="right")
    for name, of in found.table.groupby("condition", sort=False):
        cells = [f"{row.estimate:.3f}" if row.estimate == row.estimate else "" for row in of.itertuples()]
        table.add_row(Text(str(name)), *cells)
    console.print(table)
    console.print(Text(found.sentence, style="bold"))
    for name in dict.fromkeys(row["condition"] for row in found.meta["against"]):
        by = {row["measure"]: row for row in found.meta["against"] if row["condition"] == name}
        spread, price = (
            with_interval(by[measure]["difference"], by[measure]["low"], by[measure]["high"], sign="+")
            for measure in (SPREAD, BY_ALIGNED)
        )
        said = f"{name} against gamma {found.meta['reference']:g}: {spread} in spread, {price} nats, read by aligned."
        console.print(Text(said, style="dim"))
    surprisal = "Surprisal in nats per token, semantic spread is primary; intervals are in gamma.csv and the report."
    console.print(Text(surprisal if has_interval else surprisal.split(";")[0] + ".", style="dim"))


def _echo(value: Any) -> None:
    import json

    from creativity_lens.files import plain

    typer.echo(json.dumps(plain(value)))
