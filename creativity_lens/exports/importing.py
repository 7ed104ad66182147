"""Imports: a direction that another tool found, brought in as `Directions`, with everything measured that ours have.

Its numbering is converted, its vectors are brought to unit length, and **its sign is kept as it came**. What the file
does not say (residual norms, gaps, centres) is measured on the training pairs under the model, and how well each layer
reads is measured on the held-out pairs, beside our own mean difference.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from creativity_lens.activations import Activations, collect_activations
from creativity_lens.concept import dev_scores
from creativity_lens.directions import Directions, mean_difference, with_dev_scores
from creativity_lens.errors import InputError, check_choice
from creativity_lens.exports.foreign import Foreign
from creativity_lens.exports.gguf_reader import read_gguf
from creativity_lens.exports.json_reader import read_svec
from creativity_lens.exports.npz_reader import read_npz
from creativity_lens.models import Model
from creativity_lens.prompts import ContrastivePair
from creativity_lens.readout import separation

READERS: Mapping[str, Callable[[str | Path], Foreign]] = {
    "gguf": read_gguf,
    "svec": read_svec,
    "npz": read_npz,
    "repeng": read_gguf,
}
NUMBERINGS = ("post", "pre")
_USES = {
    "gguf": "repeng and files for llama.cpp as it applies them count 'post'; llama.cpp's own generator wrote 'pre'",
    "svec": "AISteer360 counts 'post', activation-steering 'pre'",
    "npz": "rows after each block are 'post'; rows that begin with the embeddings, as hidden_states does, 'pre'",
}


@dataclass(frozen=True, eq=False)
class Imported:
    """A direction from elsewhere as ours, and what it was measured to be."""

    directions: Directions
    norms: dict[int, float]  # of the vectors in the file, by our layer
    cosines: dict[int, float]  # with our mean difference of the same pairs, by layer
    rows: list[dict[str, Any]]  # held-out AUC and paired accuracy per layer, with intervals
    held_out: int  # pairs
    topics: int  # of theirs


def check_numbering(form: str, numbering: str | None) -> str:
    """The numbering to use: "post" (N acts after block N) or "pre" (the file's N is our layer N - 1).

    Raises `InputError` where it is not said and cannot be known; the file does not tell.
    """
    check_choice("--from", form, READERS)
    if form == "repeng":
        if numbering == "pre":
            raise InputError("--numbering pre: repeng's N acts after block N, which is 'post'; leave it out.")
        numbering = "post"
    if numbering is None:
        raise InputError(
            "--numbering: expected post (N acts after block N) or pre (N acts after block N - 1), got none; "
            f"{_USES[form]}."
        )
    return check_choice("--numbering", numbering, NUMBERINGS)


def read_foreign(path: str | Path, form: str, numbering: str | None = None) -> Foreign:
    """The vectors of a file by *our* layer, float32 as they are in it.

    Raises `InputError` for what is damaged or no such file, names no layer of ours, and for vectors of zeros or with
    NaN.
    """
    numbering = check_numbering(form, numbering)
    found = READERS[form](path)
    broken = [problem.said for problem in found.problems if problem.unusable]
    if found.numbering not in (None, numbering):
        raise InputError(f"--numbering {numbering}: {path} says itself that it counts '{found.numbering}'; use that.")
    if form == "repeng" and found.model_type is None:
        broken.append("no controlvector.model_hint, which repeng writes; read it with --from gguf.")
    if broken:
        raise InputError(f"{path}: {broken[0]}")
    if numbering == "pre" and 0 in found.vectors:
        raise InputError(
            f"{path}: number 0 in the numbering 'pre' is the input of block 0, which no layer is; it may count 'post'."
        )
    shift = 1 if numbering == "pre" else 0
    return replace(found, vectors={number - shift: vector for number, vector in sorted(found.vectors.items())})


def check_fit(found: Foreign, name: str, n_layers: int | None, d_model: int | None) -> None:
    """Refuse vectors of another width, or layers that a model does not have, by name."""
    if d_model is not None and found.width != d_model:
        raise InputError(
            f"vectors of width {found.width:,}: expected {d_model:,} for {name}; import them for their model."
        )
    last = max(found.vectors)
    if n_layers is not None and last >= n_layers:
        raise InputError(
            f"layer {last}: expected 0 to {n_layers - 1} for {name}; the file is of another model, or is numbered "
            "otherwise (--numbering)."
        )


def import_direction(
    model: Model,
    found: Foreign,
    train: Sequence[ContrastivePair],
    held: Sequence[ContrastivePair],
    *,
    form: str,
    positive: str = "creative",
    seed: int = 0,
) -> Imported:
    """Measure a file's vectors (`read_foreign`) as ours are measured, on the responses of the pairs.

    `positive` is what the pairs' first side is called. The gap of a direction whose sign is against the pairs is below
    0; a layer whose held-out margin is not above 0 is named in a warning. Raises `InputError` for vectors that do not
    fit the model.

    >>> import_direction(model, read_foreign("a.gguf", "gguf", "post"), train, dev, form="gguf")   # doctest: +SKIP
    """
    check_fit(found, model.name, model.n_layers, model.d_model)
    layers = tuple(sorted(found.vectors))
    fitted, read = (collect_activations(model, some, layers=layers) for some in (train, held))
    ours = mean_difference(fitted)
    vectors = torch.stack([_unit(found.vectors[layer]) for layer in layers])
    difference = (fitted.creative - fitted.boring).mean(1)
    directions = replace(
        ours,
        vectors=vectors,
        gaps=(difference * vectors).sum(-1),
        method=f"imported from {form}",
        positive=positive,
    )
    rows, against = _read_out(directions, read, seed)
    if against:
        warnings.warn(
            f"layer{'s' if len(against) > 1 else ''} {', '.join(map(str, against))}: on held-out pairs the direction "
            f"does not point to what is {positive}; its sign is kept as it came.",
            stacklevel=2,
        )
    cosines = torch.cosine_similarity(vectors, ours.vectors, dim=-1).tolist()
    return Imported(
        with_dev_scores(directions, dev_scores(rows, directions.method)),
        found.norms(),
        dict(zip(layers, cosines, strict=True)),
        rows,
        len(held),
        len(set(read.topics)),
    )


def _unit(vector: np.ndarray) -> torch.Tensor:
    wide = vector.astype(np.float64)
    return torch.from_numpy((wide / np.linalg.norm(wide)).astype(np.float32))


def _read_out(directions: Directions, read: Activations, seed: int) -> tuple[list[dict[str, Any]], list[int]]:
    """Rows of the held-out read-out, and the layers whose margin there is not above 0."""
    creative, boring = (side.numpy().astype(float) for side in directions.project(read))
    rows = [
        row
        for i, layer in enumerate(directions.layers)
        for row in separation(
            "direction", creative[i], boring[i], read.topics, seed, layer=layer, method=directions.method
        )
    ]
    margins = (creative - boring).mean(1)
    return rows, [layer for i, layer in enumerate(directions.layers) if margins[i] <= 0]
