"""Exports: a direction written as other tools read it, and their files checked by their own rules.

**A file used at scale 1 does what `clens steer` does with the same layers and strength.** Every foreign numbering of
layers is converted here, in the format's own module.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from creativity_lens.directions import Directions
from creativity_lens.dosing import Chosen, dose, load_chosen
from creativity_lens.errors import InputError, check_choice
from creativity_lens.exports import ds4, gguf, hub, lm_eval, plain, snippet, steering_vectors, svec, vllm
from creativity_lens.exports.payload import Payload
from creativity_lens.sides import sidecar_of


@dataclass(frozen=True)
class Format:
    """How a direction is written for one reader, and what the user is told of the file."""

    write: Callable[..., None]
    usage: Callable[..., str]
    folder: bool = False
    endings: tuple[str, ...] = ()  # the only names that the reader opens
    dialects: tuple[str, ...] = ()  # the first is the default


FORMATS: Mapping[str, Format] = {
    "gguf": Format(gguf.write, gguf.usage),
    "svec": Format(svec.write, svec.usage, endings=(".svec",), dialects=svec.DIALECTS),
    "lm-eval": Format(lm_eval.write, lm_eval.usage, endings=(".pt", ".pth")),
    "steering-vectors": Format(steering_vectors.write, steering_vectors.usage),
    "npz": Format(plain.write_npz, plain.usage_npz),
    "json": Format(plain.write_json_file, plain.usage_json),
    "snippet": Format(snippet.write, snippet.usage, endings=(".py",)),
    "vllm": Format(vllm.write, vllm.usage),
    "hub": Format(hub.write, hub.usage, folder=True),
    "ds4": Format(ds4.write, ds4.usage),
}


@dataclass(frozen=True)
class Exported:
    """What was written, and how it is used."""

    path: Path
    to: str
    layers: tuple[int, ...]  # as this package counts them
    strength: float  # what scale 1 stands for
    dose: str  # layers and strength in words
    usage: str
    notes: tuple[str, ...]  # what a user should know before trusting the defaults


def export(
    what: str | Path | Chosen | Directions,
    to: str,
    out: str | Path,
    *,
    layers: str | Sequence[int] | None = None,
    scale: float | None = None,
    dialect: str | None = None,
    model: str | Path | None = None,
    force: bool = False,
) -> Exported:
    """Write a direction for another tool: a file, or for "hub" a folder, used at scale 1.0.

    `what` is a run's folder, a file of directions, or one of them loaded; of directions in memory, `layers` and `scale`
    must be given. `to` is one of `FORMATS`. `layers` are the chosen one or, as in "3-5", several that share the dose as
    `dose` does. `scale` is the strength that scale 1.0 stands for, a fraction of the median residual norm; by default
    the chosen strength. `dialect` is "aisteer360" or "activation-steering", of svec. `model` says where the model's
    config.json is, if it is not where the directions were measured; it is checked to be the same.

    Raises `InputError` for what the format has no place for, for a direction of zeros or with NaN, an unknown name, and
    an existing `out`, unless `force`. Nothing is half written.

    >>> export("runs/formal", "gguf", "formal.gguf").layers      # doctest: +SKIP
    (4,)
    """
    form, path = check_request(to, out, dialect=dialect, scale=scale, force=force)
    chosen, known = _chosen(what, layers, scale)
    strength = chosen.strength if scale is None else float(scale)
    edits = dose(chosen.directions, [chosen.layer] if layers is None else layers, strength)
    named = None if model is None else str(model)
    payload = Payload(edits, chosen.directions, strength, chosen.run, named)
    if model is not None:
        _ = payload.host  # another model is refused also where the format does not ask for it
    options = {"dialect": dialect or form.dialects[0]} if form.dialects else {}
    form.write(payload, path, **options)
    used = form.usage(payload, path, **options)
    return Exported(path, to, payload.layers, strength, payload.dose, used, chosen.notes if not known else ())


def check_request(
    to: str, out: str | Path, *, dialect: str | None = None, scale: float | None = None, force: bool = False
) -> tuple[Format, Path]:
    """The format and the place, or an `InputError`: what can be known before any file is read."""
    form = FORMATS[check_choice("--to", to, FORMATS)]
    if dialect is not None:
        if not form.dialects:
            raise InputError(f"--dialect {dialect}: expected only with --to svec, got --to {to}; leave it out.")
        check_choice("--dialect", dialect, form.dialects)
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise InputError(
            f"--scale {scale}: expected a strength above 0, the one that scale 1.0 of the file stands for; the other "
            "way, use the file at a negative scale."
        )
    path = Path(out)
    if form.endings and path.suffix not in form.endings:
        raise InputError(f"{path}: expected a name that ends in {' or '.join(form.endings)}, as --to {to} needs.")
    _check_place(path, form, force)
    return form, path


def _check_place(path: Path, form: Format, force: bool) -> None:
    try:
        if form.folder:
            if path.exists() and not path.is_dir():
                raise InputError(f"{path}: expected a folder to write into, got a file; choose another name.")
            others = sorted(item.name for item in path.iterdir()) if path.is_dir() else []
            foreign = [name for name in others if name not in hub.FILES]
            if foreign:
                raise InputError(f"{path}: expected a new or empty folder, got one that holds {foreign[0]}.")
            taken = [path] if others else []
        else:
            if path.is_dir():
                raise InputError(f"{path}: expected the name of a file to write, got a folder; choose another name.")
            places = [path, sidecar_of(path)] if form is FORMATS["npz"] else [path]
            taken = [place for place in places if place.exists()]
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be looked at ({getattr(error, 'strerror', None) or error}).") from None
    if taken and not force:
        raise InputError(f"{taken[0]}: exists; choose another name or add --force.")


def _chosen(
    what: str | Path | Chosen | Directions, layers: str | Sequence[int] | None, scale: float | None
) -> tuple[Chosen, bool]:
    """What is to be exported, and whether layers and strength were both named, so that no default needs a note."""
    known = layers is not None and scale is not None
    if isinstance(what, Chosen):
        return what, known
    if not isinstance(what, Directions):
        return load_chosen(what), known
    if layers is None or scale is None:
        raise InputError("layers, scale: expected both for directions in memory, since no run chose them; name them.")
    return Chosen(what, what.layers[0], float(scale), "directions in memory", None, ()), known
