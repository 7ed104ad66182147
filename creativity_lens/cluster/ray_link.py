"""The way to Ray: a cluster that runs already, or a Ray of our own on this machine; and how many workers fit on it.

A Ray of our own listens on the loopback alone, asks for a token that lives as long as this process, keeps its files in
a folder of its own and ends with this process, also where that is killed. A cluster that runs already is joined and
left again, and stays as it was.
"""

import atexit
import importlib.util
import logging
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from creativity_lens.errors import InputError

REACH_SECONDS = 5.0  # for a connection to the head's port
ANSWER_SECONDS = 20.0  # for Ray's answer; by itself it waits for two minutes and then ends the process
STORE_BYTES = 512 << 20  # of shared memory for results on their way, in a Ray of our own; what is more goes to disk

# Set while Ray is imported and started, unless the user has set them; then put back.
_QUIET = {
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # it reports lost workers on standard out, which is for results
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # no GPU for workers that asked for none
}
# On Linux too, node addresses are then 127.0.0.1, where alone its servers listen: without it, on every interface.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_TOKENS = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")  # how a user chooses one
_PROBE = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)"
_OPTIONS: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "logging_level": "ERROR"}


@dataclass(frozen=True)
class Link:
    """A connection that was made here, with the folder of a Ray that was started for it."""

    folder: str | None = None

    def close(self) -> None:
        """Leave the cluster, or end the Ray of our own with everything that runs in it."""
        atexit.unregister(self.close)
        import ray

        ray.shutdown()
        _forget_token()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def connect(address: str | None) -> Link | None:
    """Connect this process to Ray; None where it was connected before.

    `address` is HOST:PORT of a cluster's head, "auto" for the cluster that runs on this machine, or None: what
    RAY_ADDRESS says, else a Ray of our own. Raises `InputError` within half a minute where nothing answers.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError("engine ray: expected the package ray; run `pip install 'creativity-lens[ray]'`.")
    with _environment(_QUIET):
        import ray
    if ray.is_initialized():
        here = ray.get_runtime_context().gcs_address
        if address not in (None, "auto", here):
            raise InputError(f"address: this process is connected to the Ray at {here} already, got '{address}'.")
        return None
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    link = _start() if address == "local" else _join(address)
    atexit.register(link.close)
    return link


def _start() -> Link:
    import ray

    folder = tempfile.mkdtemp(prefix="clens-ray-")
    own = {} if any(name in os.environ for name in _TOKENS) else {"RAY_AUTH_TOKEN": _token()}
    try:
        with _environment(_QUIET | _LOOPBACK | own), _on_loopback(), _silence():
            _forget_token()
            ray.init(
                address="local", include_dashboard=False, object_store_memory=STORE_BYTES,
                # sockets lie in it, whose paths may have 107 letters
                _temp_dir=folder if len(folder) < 40 else None, **_OPTIONS,
            )  # fmt: skip
    except (Exception, SystemExit) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise InputError(f"engine ray: Ray does not start on this machine ({_short(error)}).") from None
    return Link(folder)


def _join(address: str) -> Link:
    if "://" in address:
        raise InputError(
            f"address: expected HOST:PORT of a Ray head or 'auto', got '{address}'; run clens on a machine of the "
            "cluster, which needs no Ray Client."
        )
    if address != "auto":
        _reach(address)
    import ray

    with _environment(_QUIET):
        try:  # in a process of its own, since a Ray that does not answer ends the one that asks
            done = subprocess.run(
                [sys.executable, "-c", _PROBE, address], timeout=ANSWER_SECONDS, capture_output=True, text=True
            )
            said, failed = done.stderr, done.returncode != 0
        except subprocess.TimeoutExpired as error:
            said, failed = (error.stderr or b"").decode("utf-8", "replace"), True
        if failed:
            raise InputError(_refusal(address, said))
        try:
            with _silence():
                ray.init(address=address, **_OPTIONS)
        except (Exception, SystemExit) as error:
            raise InputError(f"address: Ray at '{address}' cannot be joined ({_short(error)}).") from None
    return Link()


def _reach(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not re.fullmatch(r"\d{1,5}", port) or int(port) > 65535:
        raise InputError(
            f"address: expected HOST:PORT of a Ray head (such as 10.0.0.1:6379) or 'auto', got '{address}'."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_SECONDS).close()
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"address: no Ray can be reached at {address} ({why}); start one there with `ray start --head`, or leave "
            "the address out for this machine alone."
        ) from None


def _refusal(address: str, said: str) -> str:
    if "Auth" in said and "oken" in said:
        return (
            f"address: Ray at '{address}' asks for another token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to "
            "the file that its head was started with."
        )
    if "Could not find any running Ray" in said:
        return "address: expected a Ray that runs on this machine for 'auto', found none; run `ray start --head`."
    last = next((line.strip() for line in reversed(said.splitlines()) if "Error: " in line), "")
    reason = last[:200] or f"no answer in {ANSWER_SECONDS:.0f} s"
    return f"address: no Ray of this version answers at '{address}' ({reason}); check the port, and `ray status` there."


def _short(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


@cache
def _token() -> str:
    """Made once a process: Ray remembers the first that it sees."""
    return secrets.token_hex(32)


def _forget_token() -> None:
    """Have Ray look for a token anew: what it remembers may be that of another Ray."""
    from ray import _raylet

    loader = getattr(_raylet, "AuthenticationTokenLoader", None)  # no public way, and none before Ray 2.52
    if loader is not None:
        loader.instance().reset_cache()


@contextmanager
def _on_loopback() -> Iterator[None]:
    """What `_LOOPBACK` says, also for a Ray that was imported before."""
    from ray._private import ray_constants

    before = getattr(ray_constants, "ENABLE_RAY_CLUSTER", None)
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def _silence() -> Iterator[None]:
    """Keep to itself what Ray says while it starts; its `log_to_driver` is about workers alone."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set what is not set, and put it back: Ray and its processes read their settings from there."""
    before = {name: os.environ.get(name) for name in (*values, *_TOKENS)}  # Ray sets the mode of the token itself
    os.environ.update({name: value for name, value in values.items() if before[name] is None})
    try:
        yield
    finally:
        for name in (name for name, value in before.items() if value is None):
            os.environ.pop(name, None)


def living(nodes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, float]]:
    """Resources of the nodes that are alive, of what `ray.nodes()` lists."""
    return [node["Resources"] for node in nodes if node["Alive"]]


def choose_gpus(nodes: Sequence[Mapping[str, float]], gpus: int | None, device: str) -> int:
    """GPUs of a worker: as asked, else one where the cluster has any and `device` allows.

    Raises `InputError` where no node has that many, or where `device` contradicts it.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device: expected auto, cpu or cuda for workers, got '{device}'; Ray chooses which GPU.")
    most = int(max((node.get("GPU", 0) for node in nodes), default=0))
    if gpus is None:
        gpus = 0 if device == "cpu" or (most == 0 and device == "auto") else 1
    if gpus < 0:
        raise InputError(f"gpus-per-worker: expected 0 or more, got {gpus}.")
    if gpus and device == "cpu":
        raise InputError(f"gpus-per-worker: expected 0 for device 'cpu', got {gpus}.")
    if not gpus and device == "cuda":
        raise InputError("gpus-per-worker: expected 1 or more for device 'cuda', got 0.")
    if gpus > most:
        found = f"the largest node has {most}" if most else "the cluster has none"
        raise InputError(f"gpus-per-worker: expected GPUs for {gpus} a worker, {found}; use a lower number, or 0.")
    return gpus


def choose_workers(nodes: Sequence[Mapping[str, float]], workers: int | None, *, threads: int, gpus: int) -> int:
    """How many workers: as asked, else as many as fit, each wholly on one node.

    Raises `InputError` for fewer than one, and for more than the cluster has GPUs or processors for.
    """
    if threads < 1:
        raise InputError(f"threads: expected 1 or more, got {threads}.")
    kind, each = ("GPU", gpus) if gpus else ("CPU", threads)
    fit = sum(int(node.get(kind, 0)) // each for node in nodes)
    if workers is not None and workers < 1:
        raise InputError(f"workers: expected 1 or more, got {workers}.")
    if fit < (workers or 1):
        total = int(sum(node.get(kind, 0) for node in nodes))
        what = "GPU" if gpus else "processor"
        asked = f"{workers} workers need {workers * each}" if workers else f"a worker needs {each}"
        raise InputError(
            f"workers: {asked} {what}s ({each} each, on one node), the cluster has {total} on {len(nodes)} "
            f"node{'s' * (len(nodes) != 1)}; use fewer workers, or {'fewer GPUs' if gpus else 'threads'} for each."
        )
    return workers or fit
