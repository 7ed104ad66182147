"""`clens decode`: an aligned model and its base mixed token by token, at one weight or many, or swept over them."""

from typing import Annotated, Any

import typer

from creativity_lens.cli.options import Device, Devices, Dtype, Json, Seed, Template, given, numbers
from creativity_lens.cli.steer import LayerOption, Mode, Prompt, Scope, Strength, StrengthUnit

ALIGNED, BASE = "pocket-chat", "pocket-base"

Aligned = Annotated[
    str, typer.Option("--aligned", "-a", metavar="NAME", help="Built-in name, hub id or name, or a local folder.")
]
Base = Annotated[
    str | None,
    typer.Option("--base", "-b", metavar="NAME", help="The model it was made of; of pocket-chat: pocket-base."),
]
Gamma = Annotated[
    str | None,
    typer.Option(
        metavar="G[,G...]",
        help="Weight of the base model, 0 to 1, one or a list; default: 0.5, in a sweep 0,0.1,...,1.",
    ),
]
Mix = Annotated[
    str, typer.Option(metavar="prob|logprob|contrast", help="Mix probabilities, their logs, or go the other way.")
]
Truncate = Annotated[
    str, typer.Option(metavar="instruct-first|after-mix", help="Truncate the aligned model, or the mixture.")
]
TopP = Annotated[
    float | None,
    typer.Option(help="Smallest set of tokens of that probability; default: 0.9, and 1 beside --top-k or --min-p."),
]
BaseTemperature = Annotated[
    float | None, typer.Option(help="The base model's, before mixing; default: as --temperature.", min=0.0)
]
BaseTemplate = Annotated[
    str,
    typer.Option(metavar="none|aligned", help="Ask the base model in plain text, or in the aligned one's template."),
]
DirectionsFile = Annotated[
    str | None, typer.Option("--directions", "-d", metavar="RUN|FILE", help="Steer the aligned model along these too.")
]
SweepGamma = Annotated[
    bool, typer.Option("--sweep-gamma", help="Measure diversity, quality and fidelity along gamma; find the knee.")
]
Baselines = Annotated[
    str,
    typer.Option(metavar="NAME,...|none", help="Of a sweep: temperature, min-p, contrast, prompt."),
]
Out = Annotated[
    str | None, typer.Option(metavar="FILE|FOLDER", help="Texts as JSONL; of a sweep the folder of its run.")
]


def decode(
    context: typer.Context,
    prompt: Prompt = None,
    aligned: Aligned = ALIGNED,
    base: Base = None,
    gamma: Gamma = None,
    mix: Mix = "prob",
    truncate: Truncate = "instruct-first",
    top_p: TopP = None,
    top_k: Annotated[int, typer.Option(help="The k likeliest tokens; 0: all.")] = 0,
    min_p: Annotated[float, typer.Option(help="Tokens of that share of the likeliest one's probability.")] = 0.0,
    temperature: Annotated[float, typer.Option(help="Before mixing; 0: the mixture's likeliest token.", min=0.0)] = 1.0,
    base_temperature: BaseTemperature = None,
    base_template: BaseTemplate = "none",
    directions: DirectionsFile = None,
    layer: LayerOption = None,
    strength: Strength = None,
    strength_unit: StrengthUnit = "norm",
    mode: Mode = "add",
    scope: Scope = "generated",
    samples: Annotated[
        int | None, typer.Option(help="Texts per prompt and gamma; default: 1, in a sweep 4.", min=1)
    ] = None,
    seed: Seed = 0,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="Longest text in tokens; default: 100, in a sweep 48.", min=1)
    ] = None,
    from_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Many prompts: one a line, or JSONL with `text`.")
    ] = None,
    sweep_gamma: SweepGamma = False,
    baselines: Baselines = "temperature,min-p,contrast,prompt",
    embedder: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of a sweep: sentence embedder; default: all-MiniLM-L6-v2.")
    ] = None,
    out: Out = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
    device: Device = "auto",
    devices: Devices = None,
    dtype: Dtype = "auto",
    revision: Annotated[str | None, typer.Option(help="Of the aligned model: branch, tag or commit.")] = None,
    base_revision: Annotated[str | None, typer.Option(help="Of the base model.")] = None,
    template: Template = "auto",
    as_json: Json = False,
) -> None:
    """Write with an aligned model and its base mixed token by token, to get back what alignment cost in diversity.

    Each model sees the prompt in its own form. Gamma 0 is the aligned model, 1 its base on the aligned model's tokens.

    Example: clens decode "Write about a lighthouse." --gamma 0,0.25,0.5
    """
    from creativity_lens.cli import decoded
    from creativity_lens.cli.options import whole_or_auto
    from creativity_lens.errors import InputError, check_choice

    # every option and file is checked before a model loads
    check_choice("--base-template", base_template, ("none", "aligned"))
    if not sweep_gamma and (extra := given(context, "baselines", "embedder")):
        raise InputError(f"{extra[0]}: belongs to --sweep-gamma; add it.")
    if directions is None and (extra := given(context, "layer", "strength", "strength_unit", "mode", "scope")):
        raise InputError(f"{extra[0]}: belongs to --directions RUN or FILE; add it.")
    if base is None and aligned != ALIGNED:
        raise InputError(f"--base: expected the model that {aligned} was made of; none was named.")
    gammas = None if gamma is None else numbers(gamma, "gamma")
    length = max_new_tokens or (48 if sweep_gamma else 100)
    settings = decoded.settings(
        mix, truncate, top_p, top_k, min_p, temperature, base_temperature, length, scope
    )  # fmt: skip
    pushes = decoded.pushes(directions, layer, strength, strength_unit, mode)
    spread = None if devices is None else whole_or_auto(devices, "devices")
    place: dict[str, Any] = {"device": device, "dtype": dtype, "devices": spread}

    def load() -> tuple[Any, Any]:
        return decoded.load_both(
            (aligned, revision, template), (base or BASE, base_revision, base_template), place, pushes
        )  # fmt: skip

    if sweep_gamma:
        if force:
            raise InputError("--force: overwrites a file of texts; a sweep's --out is a new folder, leave it away.")
        decoded.sweep(
            prompt, from_file, gammas, samples or 4, settings, pushes, baselines, embedder, seed, out, load,
            name=aligned, command=str(context.find_root().obj or ""), as_json=as_json,
        )  # fmt: skip
    else:
        decoded.write(
            prompt, from_file, gammas, samples or 1, settings, pushes, seed, out, load, force=force, as_json=as_json
        )
