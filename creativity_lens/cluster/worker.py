"""A worker of an engine that does works elsewhere: it holds the models it was asked for, and does works with them.

It runs in another process, maybe on another machine. What it says are values, bad input too: an exception would come
back wrapped in a traceback.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from creativity_lens.cell_store import CellStore
from creativity_lens.errors import InputError
from creativity_lens.work import Result, Work, do, fingerprint_of

if TYPE_CHECKING:
    from creativity_lens.models import Model, Shape

Spec = dict[str, Any]  # options of `load_model`, its name among them; where the model is put is the worker's to know

TOKENIZER_FILES = (".json", ".jinja", ".txt", ".model")


@dataclass(frozen=True, eq=False)
class Told:
    """What a worker says of a model that it loaded: all that a process needs to plan for it without its weights."""

    host: str
    id: str
    revision: str | None
    shape: "Shape"
    template: str
    config_hash: str
    weights_hash: str
    device: str
    dtype: str
    quantize: str | None
    identity: Mapping[str, Any]
    spec: Spec  # loads exactly this model
    room: int  # bytes that the caches of a batch may take
    files: Mapping[str, bytes]  # the tokenizer's


@dataclass(frozen=True, eq=False)
class Done:
    """A work's result, and what there is to say of a model that had to be loaded for it."""

    result: Result
    told: Told | None


@dataclass(frozen=True, eq=False)
class Refused:
    """Bad input, in one line."""

    message: str


class Worker:
    """Its methods are called from elsewhere, one after the other."""

    def __init__(self, threads: int, device: str, gpus: int) -> None:
        import torch

        torch.set_num_threads(threads)  # Ray sets OMP_NUM_THREADS for its workers, whatever they are to use
        self.device, self.gpus = device, gpus
        self.models: dict[str, Model] = {}

    def hello(self) -> tuple[str, int]:
        """Host and process."""
        return socket.gethostname(), os.getpid()

    def load(self, spec: Spec) -> Told | Refused:
        """Load a model, unless it is here already, and tell of it."""
        try:
            return tell(self._model(spec))
        except InputError as error:
            return Refused(f"{error} (A worker on {socket.gethostname()} says so.)")

    def do(self, spec: Spec, work: Work, store: CellStore | None, key: str) -> Done | Refused:
        """Do a work; with a store, its result is kept there before it is sent."""
        try:
            is_new = fingerprint_of(spec) not in self.models
            model = self._model(spec)
            result = dense(do(model, work))
            if store is not None:
                store.write(key, result)
            return Done(result, tell(model) if is_new else None)
        except InputError as error:
            return Refused(str(error))

    def _model(self, spec: Spec) -> "Model":
        name = fingerprint_of(spec)
        if name not in self.models:
            from creativity_lens.models import load_model

            model = load_model(**spec, device=self.device, devices=self.gpus if self.gpus > 1 else None)
            self.models[name] = self.models[fingerprint_of(model.spec)] = model
        return self.models[name]


def dense(result: Result) -> Result:
    """The result in arrays of its own, row after row: safetensors would write a view's bytes as they lie in memory."""
    return Result({name: np.array(each, order="C") for name, each in result.arrays.items()}, result.halved)


def tell(model: "Model") -> Told:
    """What a process that plans needs to know of a model that is loaded here."""
    from creativity_lens.generation import cache_room
    from creativity_lens.model_hub import local_folder

    folder = local_folder(model.id, model.revision)
    return Told(
        host=socket.gethostname(),
        id=model.id,
        revision=model.revision,
        shape=model.shape,
        template=model.template,
        config_hash=model.config_hash,
        weights_hash=model.weights_hash,
        device=str(model.device),
        dtype=str(model.dtype).removeprefix("torch."),
        quantize=model.quantize,
        identity=model.identity,
        spec=model.spec,
        room=cache_room(model.device),
        files={} if folder is None else tokenizer_files(folder),
    )


def tokenizer_files(folder: Path) -> dict[str, bytes]:
    """The small files of a model's folder: its tokenizer, template and config, but no weights and no list of them."""
    found = (path for path in sorted(folder.iterdir()) if path.suffix in TOKENIZER_FILES and path.is_file())
    return {path.name: path.read_bytes() for path in found if not path.name.endswith(".index.json")}
