"""Where a command's models run: the options for it, and what loads a model there."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from creativity_lens.errors import InputError, check_choice

Engine = Annotated[
    str, typer.Option(metavar="local|ray", help="Do the work in this process, or on the workers of a Ray cluster.")
]
Address = Annotated[
    str | None, typer.Option(metavar="HOST:PORT|auto", help="The Ray cluster; default: one of our own, here.")
]
Workers = Annotated[int | None, typer.Option(help="Ray workers, each with the model; default: as many as fit.")]
GpusPerWorker = Annotated[
    int | None, typer.Option("--gpus-per-worker", help="GPUs that each Ray worker spreads the model over.")
]
Threads = Annotated[int | None, typer.Option(help="Threads of a processor that runs the model; default: PyTorch's.")]
Quantize = Annotated[str | None, typer.Option(metavar="4bit", help="Pack the weights as they load; needs a GPU.")]
Backend = Annotated[str, typer.Option(metavar="bridge|vllm", help="What draws the texts; vllm needs a GPU.")]


@dataclass(frozen=True)
class Place:
    """Where models are to run, as it was asked for and checked."""

    engine: str = "local"
    address: str | None = None
    workers: int | None = None
    gpus_per_worker: int | None = None
    threads: int | None = None
    device: str = "auto"
    devices: int | str | None = None
    backend: str = "bridge"

    def __post_init__(self) -> None:
        """Refuse options that do not go together."""
        check_choice("--engine", self.engine, ["local", "ray"])
        check_choice("--backend", self.backend, ["bridge", "vllm"])
        if self.threads is not None and self.threads < 1:
            raise InputError(f"--threads: expected 1 or more, got {self.threads}.")
        of_ray = {"address": self.address, "workers": self.workers, "gpus-per-worker": self.gpus_per_worker}
        given = next((name for name, value in of_ray.items() if value is not None), None)
        if self.engine == "local" and given is not None:
            raise InputError(f"--{given}: expected --engine ray with it, got --engine local; add it or leave it away.")
        if self.engine == "ray" and self.devices is not None:
            raise InputError(
                "--devices: expected --gpus-per-worker with --engine ray; name the GPUs of a worker by it."
            )
        if self.engine == "ray" and self.backend == "vllm":
            raise InputError("--backend vllm: expected --engine local, got ray; leave one of the two away.")


@contextmanager
def loader(place: Place) -> Iterator[Callable[..., Any]]:
    """What loads models there, `load(name, writes=False, **options)`; workers and writers end with the block.

    The model that `writes` draws the texts.
    """
    with ExitStack() as stack:
        if place.engine == "ray":
            from creativity_lens.cluster.ray import ray_engine

            engine = stack.enter_context(
                ray_engine(
                    address=place.address,
                    workers=place.workers,
                    gpus_per_worker=place.gpus_per_worker,
                    threads=place.threads,
                    device=place.device,
                )
            )
            yield lambda name, writes=False, **options: engine.model(name, **options)
            return
        if place.threads is not None:
            import torch

            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(place.threads)

        def load(name: str, *, writes: bool = False, **options: Any) -> Any:
            from creativity_lens.models import load_model

            model = load_model(name, device=place.device, devices=place.devices, **options)
            if not writes or place.backend != "vllm":
                return model
            from creativity_lens.backends import boot_writer

            writer = boot_writer(model)
            stack.callback(writer.close)
            return replace(model, writer=writer)

        yield load
