"""Workers as actors of Ray: how they are hired, sent works, waited for and lost."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from creativity_lens.cluster.fan_out import Lost
from creativity_lens.cluster.worker import Refused, Spec, Told, Worker
from creativity_lens.errors import InputError
from creativity_lens.work import fingerprint_of

TAKE_SECONDS = 600.0  # for a finished result to arrive


class RayCrew:
    """Workers as actors of the Ray that this process is connected to."""

    def __init__(self, *, threads: int, device: str, gpus: int) -> None:
        import ray

        self.ray = ray
        self.threads, self.device, self.gpus = threads, device, gpus
        actor: Any = ray.remote(Worker)
        self.actor = actor.options(
            num_cpus=0 if gpus else threads, num_gpus=gpus, max_restarts=0, max_task_retries=0,
            scheduling_strategy="SPREAD",
        )  # fmt: skip
        self.specs: list[Spec] = []  # of the models that a new worker loads before its first work
        self.told: dict[str, Told] = {}  # what the first worker said, by the fingerprint of the spec
        self.places: dict[Any, tuple[str, int]] = {}  # host and process of each worker
        self.to_load: dict[Any, list[Spec]] = {}  # by each that has its place; the first is being loaded
        self.refused: dict[str, str] = {}  # what a worker said instead

    def hire(self) -> tuple[Any, Any]:
        """A new actor, and the promise of its place."""
        worker = self.actor.remote(self.threads, self.device, self.gpus)
        return worker, worker.hello.remote()

    def greet(self, worker: Any, promise: Any) -> Any | None:
        """Note where a worker is, or check what it loaded; the promise of its next model, None when it has them all."""
        if worker not in self.places:
            self.places[worker] = self.take(promise)
            self.to_load[worker] = list(self.specs)
            return self.load_next(worker)
        spec = self.to_load[worker].pop(0)
        try:
            told = self.take(promise)
        except InputError as error:  # the worker can still be of use; a work that needs this model would be refused
            self.refused[fingerprint_of(spec)] = str(error)
        else:
            self.check(spec, told)
        return self.load_next(worker)

    def load_next(self, worker: Any) -> Any | None:
        """Have a worker load the next model of its list; None where it has them all."""
        return worker.load.remote(self.to_load[worker][0]) if self.to_load[worker] else None

    def want(self, spec: Spec) -> None:
        """Put a model on every worker's list, and on that of those to come."""
        self.refused.pop(fingerprint_of(spec), None)
        self.specs.append(spec)
        for waiting in self.to_load.values():
            waiting.append(spec)

    def forget(self, spec: Spec) -> None:
        """Have no worker to come load that model."""
        self.specs.remove(spec)

    def pin(self, spec: Spec) -> Told:
        """What the first worker said of a model; `InputError` where it refused.

        Workers to come load just that: a branch of the hub may move on.
        """
        name = fingerprint_of(spec)
        if name not in self.told:
            raise InputError(self.refused[name])
        self.specs[self.specs.index(spec)] = self.told[name].spec
        return self.told[name]

    def check(self, spec: Spec, told: Told) -> None:
        """Note what the first worker says of a model; `InputError` where another says otherwise."""
        first = self.told.setdefault(fingerprint_of(spec), told)
        refuse_another(first.identity, told.identity, first.host, told.host)
        self.told.setdefault(fingerprint_of(told.spec), first)

    def send(self, worker: Any, parcel: Any) -> Any:
        """The promise of a work's reply."""
        return worker.do.remote(*parcel)

    def wait(self, promises: Sequence[Any], seconds: float | None) -> Sequence[Any]:
        """Those that are through, once the first is."""
        promises = list(promises)
        first, _ = self.ray.wait(promises, timeout=seconds)
        return self.ray.wait(promises, num_returns=len(promises), timeout=0)[0] if first else []

    def take(self, promise: Any) -> Any:
        """A reply. Raises `Lost` where its worker is gone, `InputError` where it refused, and what a verb raised."""
        errors = self.ray.exceptions
        try:
            reply = self.ray.get(promise, timeout=TAKE_SECONDS)
        except errors.RayTaskError as error:
            if isinstance(error.cause, errors.RaySystemError):  # what was sent could not be read
                raise Lost(why_lost(error)) from None
            raise error.cause from error
        except errors.RayError as error:
            raise Lost(why_lost(error)) from None
        if isinstance(reply, Refused):
            raise InputError(reply.message)
        return reply

    def dismiss(self, worker: Any) -> None:
        """Kill an actor."""
        self.places.pop(worker, None)
        self.to_load.pop(worker, None)
        with suppress(Exception):  # it may be gone, and Ray too
            self.ray.kill(worker)

    def why_waiting(self) -> str:
        """What the cluster has free."""
        kind, each = ("GPU", self.gpus) if self.gpus else ("CPU", self.threads)
        free = self.ray.available_resources().get(kind, 0)
        return (
            f"expected {each} {kind}s for each, the cluster has {free:g} free in all. Wait for others, or ask for less."
        )


def why_lost(error: Exception) -> str:
    """Some words for the paragraphs that Ray writes; `InputError` for a worker that can never start."""
    said = " ".join(str(error).split())
    if "ModuleNotFoundError" in said:
        missing = said[said.rindex("ModuleNotFoundError") :][:80]
        raise InputError(
            f"workers: expected creativity-lens on every host of the Ray cluster, got a worker without it ({missing}); "
            "install the same version there."
        )
    lowered = said.lower()
    if "memory pressure" in lowered or "oom" in type(error).__name__.lower() or "OutOfMemory" in said:
        return "out of memory"
    if "node" in lowered and ("node died" in lowered or "node was" in lowered or "node has" in lowered):
        return "its node is gone"
    return "its process ended"


def refuse_another(one: Mapping[str, Any], other: Mapping[str, Any], host: str, other_host: str) -> None:
    """Raise `InputError` where two identities of one model differ; it names the first difference."""
    for name, value in one.items():
        there = other.get(name)
        if value == there:
            continue
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            name = next(key for key in {**value, **there} if value.get(key) != there.get(key))
            value, there = value.get(name), there.get(name)
        raise InputError(
            f"workers: expected the same model and packages everywhere, {name} is {value} on {host} and {there} on "
            f"{other_host}; install the same on every host."
        )
