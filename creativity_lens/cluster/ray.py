"""The Ray engine: works are done by actors on a Ray cluster, each of which holds the models.

The process that plans a run holds no weights: the first worker tells it the model's shape and hashes and gives it the
tokenizer's files, and every other worker must report the same identity. A result has the key that the local engine
gives it, so either engine goes on with what the other began. Which rows share a prompt's cache is settled where batches
are planned (`generation`): a batch is sent whole.

Works and results travel in Ray's own wire format, which is pickle: a Ray cluster trusts whoever reaches its ports, and
belongs into a network of its own, as Ray's documentation on security says. What is kept is never pickle.
"""

import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from creativity_lens.cell_store import CellStore
from creativity_lens.cluster.fan_out import Job, Roster
from creativity_lens.cluster.ray_crew import RayCrew, refuse_another
from creativity_lens.cluster.ray_link import Link, choose_gpus, choose_workers, connect, living
from creativity_lens.cluster.worker import Spec, Told, dense
from creativity_lens.errors import InputError
from creativity_lens.storage import Remote
from creativity_lens.work import Result, Work, fingerprint_of, work_key

if TYPE_CHECKING:
    from creativity_lens.models import Model

READERS = 8  # results of an earlier run that are fetched from a URL at a time


@dataclass(frozen=True, eq=False)
class RayEngine:
    """Works are done by actors; with a `store`, what it holds is read, and what is new is kept. Made by `ray_engine`.

    A store at a URL is written by the workers, so that a result is safe before it travels, and many are written at a
    time. One in a folder is written by this process, which alone is sure to see it.
    """

    crew: RayCrew
    roster: Roster
    store: CellStore | None = None
    cache_bytes: int | None = None  # that the caches of one batch may take; None: as the first worker says
    on_halved: Callable[[int], None] | None = None  # told of the sizes to which batches were cut
    link: Link | None = field(default=None, repr=False)  # None: this process was connected before

    @property
    def threads(self) -> int:
        """Threads of a worker's processor."""
        return self.crew.threads

    @property
    def workers(self) -> int:
        """How many workers there are to be."""
        return self.roster.size

    @property
    def places(self) -> list[tuple[str, int]]:
        """Host and process of every worker that runs."""
        return sorted(self.crew.places.values())

    def keeping(self, store: CellStore, cache_bytes: int, on_halved: Callable[[int], None]) -> "RayEngine":
        """The same workers for one run, which keeps its results."""
        return replace(self, store=store, cache_bytes=cache_bytes, on_halved=on_halved)

    def room(self, model: Any) -> int | None:
        """Bytes for the caches of a batch: as they were fixed, or what the first worker had to spare as it loaded."""
        return self._told(model).room if self.cache_bytes is None else self.cache_bytes

    def model(self, name: str | Path, **options: Any) -> "Model":
        """A model whose weights are on the workers alone; `options` are those of `load_model` but for its devices.

        Raises `InputError` where the workers cannot load it, or do not all load the same.
        """
        import torch

        from creativity_lens.loading import DTYPES, quiet_loaders
        from creativity_lens.models import Model
        from creativity_lens.tokens import load_tokenizer

        for option in {"device", "devices"} & set(options):
            raise InputError(f"{option}: expected no {option} for a model of the Ray engine; give it gpus-per-worker.")
        told = self._load({"name": _everywhere(name), **options})
        with tempfile.TemporaryDirectory() as folder, quiet_loaders():
            for file, data in told.files.items():
                (Path(folder) / Path(file).name).write_bytes(data)
            tokenizer = load_tokenizer(Path(folder), told.id)
        model = Model(
            name=str(name),
            id=told.id,
            revision=told.revision,
            bridge=None,
            shape=told.shape,
            tokenizer=tokenizer,
            template=told.template,
            config_hash=told.config_hash,
            weights_hash=told.weights_hash,
            device=torch.device(told.device),
            dtype=DTYPES[told.dtype],
            quantize=told.quantize,
            engine=self,
        )
        refuse_another(told.identity, model.identity, told.host, f"{socket.gethostname()}, which plans")
        return model

    def run(self, model: Any, works: Sequence[Work]) -> Iterator[tuple[int, Result]]:
        """Results as they come: first those that are kept, then those of the works that are left, costliest first."""
        for number, result in self._results(model, works):
            if self.on_halved is not None:
                for size in result.halved:
                    self.on_halved(size)
            yield number, result

    def _results(self, model: Any, works: Sequence[Work]) -> Iterator[tuple[int, Result]]:
        if model.is_hooked:
            raise InputError(f"{model.name}: has hooks in this process, of which workers know nothing; remove them.")
        identity = model.identity | {"threads": self.threads}
        keys, missing = [""] * len(works), list(range(len(works)))
        if self.store is not None:
            keys, missing = [work_key(work, identity) for work in works], []
            for number, kept in enumerate(_kept(self.store, keys)):
                if kept is None:
                    missing.append(number)
                else:
                    yield number, kept
        if not missing:
            return
        spec = self._told(model).spec
        theirs = self.store if self.store is not None and _is_shared(self.store) else None
        jobs = [
            Job(works[number].cost, _name(works[number]), (spec, works[number], theirs, keys[number]))
            for number in missing
        ]
        for place, done in self.roster.run(jobs):
            if done.told is not None:
                self.crew.check(spec, done.told)
            number, result = missing[place], dense(done.result)  # Ray's own arrays cannot be written to
            if self.store is not None and theirs is None:
                self.store.write(keys[number], result)
            yield number, result

    def close(self) -> None:
        """End the workers, and the Ray that was started for them; one that was there before goes on."""
        self.roster.close()
        if self.link is not None:
            self.link.close()

    def __enter__(self) -> "RayEngine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _told(self, model: Any) -> Told:
        known = (told for told in self.crew.told.values() if told.identity == model.identity)
        return next(known, None) or self._load(model.spec)

    def _load(self, spec: Spec) -> Told:
        """Have every worker load a model; what the first one says of it."""
        known = self.crew.told.get(fingerprint_of(spec))
        if known is not None:
            return known
        self.crew.want(spec)
        try:
            self.roster.prepare(self.crew.load_next)
            self.roster.ready()
            return self.crew.pin(spec)
        except BaseException:
            self.crew.forget(spec)
            raise


def ray_engine(
    *,
    address: str | None = None,
    workers: int | None = None,
    gpus_per_worker: int | None = None,
    threads: int | None = None,
    device: str = "auto",
    store: CellStore | None = None,
    cache_bytes: int | None = None,
) -> RayEngine:
    """An engine whose workers are actors of Ray.

    `address` is HOST:PORT of a cluster's head, "auto" for the cluster of this machine, or None: RAY_ADDRESS, else a Ray
    of our own, which ends with the engine. `gpus_per_worker` is 1 where there are GPUs, else 0; with more than 1 each
    worker spreads the model over its own. `threads` of each worker's processor, as many as this process has if None,
    are part of every result's key. `workers` is as many as fit if None.

    Raises `InputError` for a Ray that is not installed or does not answer, and for more workers or GPUs than there are.

    >>> with ray_engine(workers=2, threads=1) as engine:  # doctest: +SKIP
    ...     model = engine.model("pocket-chat")
    ...     texts = generate(model, ["Write about rain."])
    """
    for option, value, least in (
        ("workers", workers, 1),
        ("gpus-per-worker", gpus_per_worker, 0),
        ("threads", threads, 1),
    ):
        if value is not None and value < least:
            raise InputError(f"{option}: expected {least} or more, got {value}.")
    link = connect(address)
    try:
        import ray
        import torch

        nodes = living(ray.nodes())
        threads = threads or torch.get_num_threads()
        gpus = choose_gpus(nodes, gpus_per_worker, device)
        size = choose_workers(nodes, workers, threads=threads, gpus=gpus)
        crew = RayCrew(threads=threads, device=device if gpus else "cpu", gpus=gpus)
        return RayEngine(crew, Roster(crew, size), store, cache_bytes, link=link)
    except BaseException:
        if link is not None:
            link.close()
        raise


def ray_model(name: str | Path = "pocket-chat", *, engine: Mapping[str, Any] | None = None, **options: Any) -> "Model":
    """A model whose works are done on Ray: `engine` are options of `ray_engine`, `options` those of `load_model`.

    `model.engine.close()` ends the workers; so does the end of this process.

    >>> model = ray_model("llama-2-7b", engine={"address": "auto"}, dtype="bfloat16")  # doctest: +SKIP
    """
    made = ray_engine(**(engine or {}))
    try:
        return made.model(name, **options)
    except BaseException:
        made.close()
        raise


def _everywhere(name: str | Path) -> str:
    """A folder by its full path: workers run elsewhere."""
    path = Path(name).expanduser()
    return str(path.resolve() if path.is_dir() else name)


def _is_shared(store: CellStore) -> bool:
    """Whether workers surely see the same files; of a folder only the user knows, and `memory://` is this process's."""
    return isinstance(store.storage, Remote) and store.storage.scheme != "memory"


def _kept(store: CellStore, keys: Sequence[str]) -> Iterator[Result | None]:
    if not isinstance(store.storage, Remote):
        yield from map(store.read, keys)
        return
    with ThreadPoolExecutor(READERS) as pool:
        yield from pool.map(store.read, keys)


def _name(work: Work) -> str:
    return f"{getattr(work.verb, '__name__', 'work').strip('_')} of {len(work.rows)} rows"
