"""Processes that start within milliseconds, to be killed: forks of one that has everything imported.

A nursery is a process of its own, started with modules to import and a function of them to call first. It reads orders,
one a line, and forks for each. Who is killed is waited for by the nursery, so its number is nobody else's until then.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

TESTS = Path(__file__).parent
_START = "import sys, nursery; nursery.serve(*sys.argv[1:])"
_CHANGING = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate")


class Nursery:
    """Starts jobs, "module.function" with plain arguments, as processes of their own; `end` kills and waits.

    `first` is a job whose result the jobs share: it runs once, before any of them. Two nurseries of different
    `hash_seed` order their sets differently.
    """

    def __init__(self, errors: Path, first: str, *, hash_seed: int = 1) -> None:
        known = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([str(TESTS), *([known] if known else [])])
        self.errors = errors  # a file: what the last job wrote to standard error
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, first], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": str(hash_seed), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def start(self, job: str, *arguments: object, crash: int | None = None, **options: object) -> int:
        """Start a job; its process id. With `crash` it kills itself at its nth change of a file or folder.

        A `crash` of 0 never comes; it is as fast as the others.
        """
        plain = [str(each) if isinstance(each, Path) else each for each in arguments]
        return self._ask(job=job, arguments=plain, options=options, crash=crash, errors=str(self.errors))

    def end(self, pid: int, how: int = signal.SIGKILL, *, after: float = 0.0) -> int:
        """Send a signal after some seconds, then wait: the exit status, or minus the signal that killed it."""
        return self._ask(end=pid, how=int(how), after=after)

    def wait(self, pid: int) -> int:
        """The same, without a signal."""
        return self._ask(end=pid, how=0, after=0.0)

    def run(self, job: str, *arguments: object, **options: Any) -> int:
        """Start a job and wait for it."""
        return self.wait(self.start(job, *arguments, **options))

    def said(self) -> str:
        """What the last job wrote to standard error."""
        return self.errors.read_text("utf-8")

    def _ask(self, **order: object) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.communicate()  # the end of its orders is the end of it
        assert self.process.returncode == 0


def serve(first: str) -> None:
    """What runs in the nursery itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the jobs
    job_of(first)()
    for line in sys.stdin:
        order = json.loads(line)
        if "end" in order:
            time.sleep(order["after"])
            os.kill(order["end"], order["how"])  # 0 sends nothing
            _, status = os.waitpid(order["end"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                _live(order)
        print(answer, flush=True)


def job_of(name: str) -> Any:
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(module), function)


def _live(order: dict[str, Any]) -> None:
    status = 1
    try:
        status = _do(order)
    except KeyboardInterrupt:
        status = 130
    finally:
        os._exit(status)


def _do(order: dict[str, Any]) -> int:
    handle = os.open(order["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 2)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    if order["crash"] is not None:
        _crash_at(order["crash"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        found = job_of(order["job"])(*order["arguments"], **order["options"])
        return found if isinstance(found, int) else 0
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        sys.stderr.flush()


def _crash_at(number: int) -> None:
    """Die at the nth change: before a file is made, renamed or removed, or a folder made; half through a rewriting.

    What is on disk is safe from a kill, so nothing waits for the disk here: that is for power cuts.
    """
    os.fsync = lambda handle: None
    left = number

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        flags = arguments[2] if event == "open" and isinstance(arguments[2], int) else 0
        if flags & (os.O_WRONLY | os.O_RDWR) or event in _CHANGING:
            left -= 1
            if left == 0:
                if flags & os.O_TRUNC and os.path.exists(arguments[0]):
                    os.truncate(arguments[0], os.path.getsize(arguments[0]) // 2)
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
