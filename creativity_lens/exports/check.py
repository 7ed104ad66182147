"""Checks: a file is judged as its reader would judge it, before that reader fails on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from creativity_lens.errors import InputError, check_choice
from creativity_lens.exports.ds4 import BYTES, SHAPE
from creativity_lens.exports.foreign import Foreign, Problem, open_file, vector_problems
from creativity_lens.exports.gguf_reader import read_gguf
from creativity_lens.exports.host import Host
from creativity_lens.exports.json_reader import read_plain, read_svec, read_vllm
from creativity_lens.exports.npz_reader import read_npz

_NOT_CHECKED = {
    "lm-eval": "a torch file, which is never read back: opening one can run code",
    "steering-vectors": "a torch file, which is never read back: opening one can run code",
    "snippet": "a program; run it",
    "hub": "a folder; check its control_vector.gguf with --to gguf",
}


def check_ds4(path: str | Path) -> Foreign:
    """What a raw file for ds4 holds. Raises `InputError` for any other size."""
    path = Path(path)
    file, size = open_file(path, "a ds4 file")
    with file:
        if size != BYTES:
            raise InputError(
                f"{path}: expected {BYTES:,} bytes, {SHAPE[0]} x {SHAPE[1]} float32 numbers, got {size:,}; ds4 takes "
                "no other file."
            )
        value = np.fromfile(file, "<f4").reshape(SHAPE)
    vectors = {layer: row for layer, row in enumerate(value) if row.any()}
    problems = vector_problems(vectors, "row {}") if vectors else [Problem("all rows are zeros, which steer nowhere.")]
    return Foreign(vectors, None, tuple(problems))


@dataclass(frozen=True)
class Check:
    """How a format's files are read for a check, and what it calls a layer."""

    read: Callable[[str | Path], Foreign]
    name: str


CHECKS: Mapping[str, Check] = {
    "gguf": Check(read_gguf, "direction.{}"),
    "svec": Check(read_svec, "layer {}"),
    "npz": Check(read_npz, "row {}"),
    "json": Check(read_plain, "layer {}"),
    "vllm": Check(read_vllm, "blocks.{}.hook_out"),
    "ds4": Check(check_ds4, "row {}"),
}


def check_file(path: str | Path, to: str, host: Host | None = None) -> Foreign:
    """What a file holds and every rule of its readers that it breaks; with `host`, also whether it fits that model.

    The rules of "gguf" are llama.cpp's (one wrong tensor and the whole file is turned down), repeng's and EasySteer's.
    Raises `InputError` for a file that is missing, damaged or no such file at all, and for a format that cannot be
    checked.

    >>> check_file("formal.gguf", "gguf").problems      # doctest: +SKIP
    ()
    """
    check_choice("--to", to, [*CHECKS, *_NOT_CHECKED])
    if to in _NOT_CHECKED:
        raise InputError(f"--check: --to {to} is {_NOT_CHECKED[to]}. What can be checked: {', '.join(CHECKS)}.")
    found = CHECKS[to].read(path)
    if host is None:
        return found
    wrong: list[Problem] = []
    if host.d_model is not None and found.vectors and found.width != host.d_model:
        wrong.append(Problem(f"width {found.width:,}: {host.name} is {host.d_model:,} wide, so readers refuse it."))
    beyond = [number for number in found.vectors if host.n_layers is not None and number >= host.n_layers]
    if beyond:
        wrong.append(Problem(f"{CHECKS[to].name.format(beyond[0])}: {host.name} has {host.n_layers} blocks, from 0."))
    if found.model_type not in (None, host.model_type):
        wrong.append(Problem(f"made for model type '{found.model_type}', {host.name} is a '{host.model_type}'."))
    return replace(found, problems=(*found.problems, *wrong))
