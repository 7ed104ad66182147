"""One process at a time on one run folder where no file can be locked: a lease, kept as a file and renewed while held.

What is guaranteed:

- A holder writes a new number into its file every `interval`. Another process takes over only where it has watched the
  file for three intervals of its own clock without a change. Clocks of two machines are never compared, and the time
  of day is not read at all: a clock that is set back changes nothing.
- Leases are numbered, and a number is created once: of several processes that take over, one gets it. Who takes over
  first creates the next number and then looks whether the old holder moved; a holder first writes and then looks for
  a higher number. So one of the two always sees the other.
- A holder that was stopped for long (a laptop that slept, a suspended process) looks before it writes again.

A number stays behind, marked as free, when the holder is done: numbers never come twice.
"""

import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError
from creativity_lens.storage import Storage

_SILENT = 3  # intervals without a change, after which a holder counts as dead
_LOOKS = 4  # at the file in each interval of watching
_TRIES = 5  # at a free lease that others take first
_NUMBER = re.compile(r"(\d{8})\.json")


@contextmanager
def hold(
    storage: Storage,
    name: str = "lease",
    *,
    interval: float = 20.0,
    wait: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    say: Callable[[str], object] | None = None,
) -> Iterator["Lease"]:
    """Hold the lease of a storage while the block runs; a background thread renews it every `interval` seconds.

    `name` is the folder in the storage where the lease is. Where another process seems to hold it, `say` is told so,
    and its file is watched by `wait` and `clock` until it changes or counts as dead; a holder on this machine whose
    process is gone is taken over at once. Raises `InputError` where another process holds it (the line says who), and,
    at the end of the block, where it was lost meanwhile.

    >>> with hold(open_storage("s3://bucket/runs/mine")) as lease:     # doctest: +SKIP
    ...     lease.check()                                              # before each write
    """
    lease = _taken(storage, name, interval, wait, clock, say or (lambda line: None))
    done = threading.Event()
    thread = threading.Thread(target=_keep, args=(lease, done), name="creativity-lens lease", daemon=True)
    thread.start()
    try:
        yield lease
        lease.check()
    finally:
        done.set()
        lease.release()
        thread.join()


@dataclass(eq=False)
class Lease:
    """A lease that this process holds, or held. Made by `hold`."""

    storage: Storage  # the run's
    name: str  # of the lease's folder in it
    number: int
    interval: float  # seconds
    content: dict[str, Any]  # of its file: who holds it, and how often it was renewed
    lost: str = ""  # the line that says so
    _renewed: float = field(default_factory=lambda: _now())
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """Raises `InputError` where another process has taken the lease over: nothing may be written then.

        It asks the storage only where the lease was not renewed for two intervals.
        """
        if not self.lost and _now() - self._renewed > 2 * self.interval:
            self.renew()
        if self.lost:
            raise InputError(self.lost)

    def renew(self) -> None:
        """Write the next number, then look whether this process still holds the lease. Sets `lost` where not."""
        with self._lock:
            if self.lost or self.content.get("free"):
                return
            began = _now()
            files = self.storage.within(self.name)
            mine = _parsed(files.read(_file(self.number)))
            if mine.get("token") == self.content["token"]:
                self.content["renewed"] += 1
                files.write(_file(self.number), _bytes(self.content))
            newest, other = _newest(files)
            if newest == self.number and mine.get("token") == self.content["token"]:
                self._renewed = began
                return
            who = f"to {_who(other)}" if newest > self.number else "since its file was removed or replaced"
            self.lost = (
                f"{self.storage.place}: this process lost its hold on the run {who}; expected to be the only one: it "
                "writes nothing more there, and what is finished is kept. Start it again once no other works on it."
            )

    def release(self) -> None:
        """Mark the lease as free. Where that fails it stays as of a dead process, and is taken over later."""
        with self._lock:
            if self.lost or self.content.get("free"):
                return
            self.content["free"] = True
            with suppress(InputError):
                files = self.storage.within(self.name)
                mine = _parsed(files.read(_file(self.number)))
                if mine.get("token") == self.content["token"]:
                    files.write(_file(self.number), _bytes(self.content))

    def guard(self, storage: Storage) -> "Guarded":
        """The same storage, which asks the lease before every write."""
        return Guarded(storage, self)


@dataclass(frozen=True, eq=False)
class Guarded:
    """A storage whose files are written only while a lease is held. See `Storage` for what the methods guarantee."""

    storage: Storage
    lease: Lease

    @property
    def place(self) -> str:
        """The place as the user gave it."""
        return self.storage.place

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None where there is none."""
        return self.storage.read(name)

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return self.storage.has(name)

    def write(self, name: str, data: bytes) -> None:
        """Write a file. Raises `InputError` where the lease is lost."""
        self.lease.check()
        self.storage.write(name, data)

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one of that name. Raises `InputError` where the lease is lost."""
        self.lease.check()
        return self.storage.create(name, data)

    def names(self, folder: str = "") -> list[str]:
        """Names of all files below `folder`, sorted."""
        return self.storage.names(folder)

    def delete(self, name: str) -> None:
        """Delete a file. Raises `InputError` where the lease is lost."""
        self.lease.check()
        self.storage.delete(name)

    def within(self, folder: str) -> "Guarded":
        """The place of a folder in this one, guarded as well."""
        return Guarded(self.storage.within(folder), self.lease)


def _keep(lease: Lease, done: threading.Event) -> None:
    while not done.wait(lease.interval) and not lease.lost:
        with suppress(InputError):  # the store does not answer: `check` asks again, and says so
            lease.renew()


def _taken(
    storage: Storage,
    name: str,
    interval: float,
    wait: Callable[[float], object],
    clock: Callable[[], float],
    say: Callable[[str], object],
) -> Lease:
    files = storage.within(name)
    for _ in range(_TRIES):
        number, held = _newest(files)
        before = files.read(_file(number)) if number else None
        content = _parsed(before)
        free = not number or content.get("free") is True
        if number and before is None:
            continue  # gone between two looks
        if not free and not _is_gone(content):
            say(
                f"{storage.place}: held by {_who(content)}; waiting up to {_SILENT * interval:.0f} s to see whether it "
                "still works."
            )
            if not _watch(storage, files, number, before, interval, wait, clock):
                continue
        mine = _of_this_process()
        lease = Lease(storage, name, number + 1, interval, mine)
        if not files.create(_file(number + 1), _bytes(mine)):
            continue  # another one was first
        if not free and files.read(_file(number)) not in (before, None):
            files.delete(_file(number + 1))  # it lives after all
            raise _is_held(storage, content)
        lease.renew()  # of stores that let two create one name, each reads here whose bytes remained
        if lease.lost:
            continue
        for older in _numbers(files):
            if older < lease.number:
                files.delete(_file(older))
        return lease
    raise _is_held(storage, held)


def _watch(
    storage: Storage,
    files: Storage,
    number: int,
    before: bytes | None,
    interval: float,
    wait: Callable[[float], object],
    clock: Callable[[], float],
) -> bool:
    """True once the file did not change for three intervals, False where it is free or gone by now.

    Raises `InputError` where its holder lives.
    """
    began = clock()
    while True:
        elapsed = clock() - began  # before the look: the file is known to be unchanged for that long
        now = files.read(_file(number))
        if now is None or _parsed(now).get("free") is True:
            return False
        if now != before:
            raise _is_held(storage, _parsed(now))
        if elapsed > _SILENT * interval:
            return True
        wait(interval / _LOOKS)


def _is_held(storage: Storage, content: dict[str, Any]) -> InputError:
    return InputError(
        f"{storage.place}: {_who(content)} works on this run; expected one process at a time: wait until it has ended, "
        "stop it, or choose another folder."
    )


def _numbers(files: Storage) -> list[int]:
    return [int(found[1]) for name in files.names() if (found := _NUMBER.fullmatch(name))]


def _newest(files: Storage) -> tuple[int, dict[str, Any]]:
    """The highest number, 0 where there is none, and what its file says."""
    number = max(_numbers(files), default=0)
    return number, _parsed(files.read(_file(number))) if number else {}


def _file(number: int) -> str:
    return f"{number:08d}.json"


def _bytes(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


def _parsed(data: bytes | None) -> dict[str, Any]:
    """What a lease's file says; nothing where it is damaged, which counts as held by someone unknown."""
    with suppress(ValueError, RecursionError):
        found = json.loads(data or b"")
        if isinstance(found, dict):
            return found
    return {}


def _who(content: dict[str, Any]) -> str:
    host, process = content.get("host"), content.get("process")
    if not isinstance(host, str) or not isinstance(process, int):
        return "an unknown process"
    return f"process {process} on {host[:100]}"


def _of_this_process() -> dict[str, Any]:
    token = secrets.token_hex(16)
    return {
        "host": socket.gethostname(), "process": os.getpid(), "machine": _machine(), "token": token, "renewed": 0,
    }  # fmt: skip


def _machine() -> str:
    """Names this start of this machine and the space of its process ids (containers have their own); "" if unknown."""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{socket.gethostname()} {start} {os.readlink('/proc/self/ns/pid')}"
    except (OSError, ValueError):
        return ""


def _is_gone(content: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that is no more: known at once, without watching."""
    process = content.get("process")
    if not _machine() or content.get("machine") != _machine() or not isinstance(process, int) or process <= 0:
        return False
    try:
        os.kill(process, 0)  # signal 0 only asks
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _now() -> float:
    """Seconds on a clock that nobody sets, and that, where the system has one, goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
