"""`clens steer`: the same prompt without and with a push along a direction, side by side."""

import sys
from typing import Annotated, Any

import typer

from creativity_lens.cli.options import Device, Devices, Dtype, Json, Revision, Seed, Template, given, numbers

FEW = 8  # prompts below which nothing has an interval

Prompt = Annotated[str | None, typer.Argument(metavar="[PROMPT]", help="What to write about.", show_default=False)]
DirectionsFile = Annotated[
    str, typer.Option("--directions", "-d", metavar="RUN|FILE", help="A run's folder, or a file of directions.")
]
AnyModel = Annotated[
    str | None, typer.Option("--model", "-m", metavar="NAME", help="Default: the model the directions belong to.")
]
LayerOption = Annotated[
    str | None, typer.Option(metavar="4|3-5", help="Layer, or several that share the dose; default: the run's.")
]
Strength = Annotated[
    str | None, typer.Option(metavar="S[,S...]", help="One strength or a list; below 0: away; default: the run's.")
]
StrengthUnit = Annotated[
    str, typer.Option(metavar="norm|gap|raw", help="Fraction of the median residual norm, gaps, or residual units.")
]
Mode = Annotated[
    str, typer.Option(metavar="add|ablate|clamp", help="Add the dose, project the direction out, or hold it there.")
]
Scope = Annotated[str, typer.Option(metavar="generated|all", help="Steer what is written, or the prompt too.")]
Threshold = Annotated[str, typer.Option(metavar="auto|T", help="Where the gate opens, in residual units.")]


def steer(
    context: typer.Context,
    prompt: Prompt = None,
    directions: DirectionsFile = "",
    model: AnyModel = None,
    layer: LayerOption = None,
    strength: Strength = None,
    strength_unit: StrengthUnit = "norm",
    mode: Mode = "add",
    scope: Scope = "generated",
    samples: Annotated[int, typer.Option(help="Texts per prompt and strength.", min=1)] = 1,
    seed: Seed = 0,
    max_new_tokens: Annotated[int, typer.Option(help="Longest text in tokens.", min=1)] = 100,
    temperature: Annotated[float, typer.Option(help="0 is greedy; a sweep uses 1.", min=0.0)] = 1.0,
    top_p: Annotated[float, typer.Option(help="Smallest set of tokens of that probability.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="The k likeliest tokens; 0: all.")] = 0,
    min_p: Annotated[float, typer.Option(help="Tokens of that share of the likeliest one's probability.")] = 0.0,
    from_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Many prompts: one a line, or JSONL with `text`.")
    ] = None,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="Write the texts as JSONL, one row a text.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
    chat: Annotated[
        bool, typer.Option("--chat", help="A conversation, turn by turn; /help says what it takes.")
    ] = False,
    gate: Annotated[
        str | None, typer.Option(metavar="FILE", help="Steer only prompts that pass this condition (`clens find`).")
    ] = None,
    threshold: Threshold = "auto",
    gate_layer: Annotated[
        int | None, typer.Option(metavar="L", help="Where the gate reads; default: the layer that told dev best apart.")
    ] = None,
    device: Device = "auto",
    devices: Devices = None,
    dtype: Dtype = "auto",
    revision: Revision = None,
    template: Template = "auto",
    as_json: Json = False,
) -> None:
    """Write with and without a push along a direction, side by side, with the same luck.

    A run's chosen layer and strength are the defaults.

    Example: clens steer "Write about a lighthouse." --directions runs/pocket-chat-001 --strength 0.1,0.2
    """
    from creativity_lens.cli.asking import Asked, asked_prompts, check_out, load_for, pushes_of, write_rows
    from creativity_lens.cli.options import whole_or_auto
    from creativity_lens.dosing import load_chosen
    from creativity_lens.errors import InputError, check_choice
    from creativity_lens.gating import load_gate

    # every option and file is checked before the model loads
    check_choice("--mode", mode, ("add", "ablate", "clamp"))
    check_choice("--strength-unit", strength_unit, ("norm", "gap", "raw"))
    check_choice("--scope", scope, ("generated", "all"))
    if mode == "ablate" and (extra := given(context, "strength", "strength_unit")):
        raise InputError(f"--mode ablate: projects the direction out and takes no {extra[0]}; leave it away.")
    if gate is None and (extra := given(context, "threshold", "gate_layer")):
        raise InputError(f"{extra[0]}: belongs to --gate FILE; add it.")
    if chat and (extra := given(context, "from_file", "out", "samples", "as_json")):
        raise InputError(f"--chat: takes no {extra[0].replace('--as-json', '--json')}; leave it away.")
    strengths = None if strength is None else numbers(strength, "strength")
    check_out(out, force=force)
    prompts = [] if chat else asked_prompts(prompt, from_file)
    if chat and prompt is not None:
        raise InputError("--chat: expected no prompt on the command line; type it at the first turn.")
    if not directions:
        raise InputError("--directions: expected a run's folder or a file of directions, as `clens sweep` writes.")
    spread = None if devices is None else whole_or_auto(devices, "devices")
    chosen = load_chosen(directions)
    pushes = pushes_of(chosen, layer, strengths, strength_unit, mode)
    condition = None if gate is None else load_gate(gate, threshold=threshold, layer=gate_layer)

    place: dict[str, Any] = {"device": device, "dtype": dtype, "devices": spread, "template": template}
    asked: Asked = load_for(chosen, model, revision, condition, place)

    from creativity_lens.comparing import Sampling, side_by_side

    sampling = Sampling(max_new_tokens, temperature, top_p, top_k, min_p, scope)
    if chat:
        from creativity_lens.cli.chat import converse

        first = strengths[0] if strengths else None
        converse(asked, layer, first, strength_unit, mode, seed, sampling)
        return

    from creativity_lens.cli.columns import Columns, print_side_by_side

    columns = Columns(asked.model, prompts, pushes, samples, shown=not (as_json or out))
    with columns as on_step:
        found = side_by_side(
            asked.model, prompts, pushes, samples=samples, seed=seed, gate=asked.gate, on_step=on_step,
            on_halved=columns.start_again, sampling=sampling,
        )  # fmt: skip
    _warn(found)
    if out is not None:
        write_rows(out, found.rows)
        print(f"{_counted(len(found.texts), 'text')}: {out}", file=sys.stderr)
    if as_json:
        import json

        from creativity_lens.files import plain

        typer.echo(json.dumps(plain({"directions": directions, "texts": found.rows, "costs": _costs(found)})))
    elif out is None:
        print_side_by_side(found)


def _costs(found: Any) -> list[dict[str, Any]]:
    from dataclasses import asdict

    return [{"push": number} | asdict(cost) for number, cost in enumerate(found.costs)]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _warn(found: Any) -> None:
    """A push that breaks the text is carried out, and what it costs is said."""
    import warnings

    from creativity_lens.comparing import push_name

    for push, cost in zip(found.pushes[1:], found.costs[1:], strict=True):
        if not cost.is_coherent:
            may, sure = ("may break", ", too few to be sure") if cost.prompts < FEW else ("breaks", "")
            over = f"{_counted(cost.prompts, 'prompt')}{sure}"
            warnings.warn(
                f"{push_name(push)} {may} the text: {cost.coherence:.2f} of coherence kept over {over} (surprisal "
                f"{cost.surprisal:.1f} against {cost.surprisal_0:.1f} nats per token without steering, repeated "
                f"4-grams {cost.repetition:.0%} against {cost.repetition_0:.0%}); a sweep asks for 0.8: push less.",
                stacklevel=1,
            )
