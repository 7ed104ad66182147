"""Workers: programs that import and load once, then take one task at a time, a JSON object on a line, and answer it.

So imports and loading lie outside of every measurement, and sides that need different environments can take turns. This
file is read by both ends and in both environments; it needs nothing but the standard library.
"""

import contextlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

LAST_LINES = 5  # of what a worker wrote before it died


class WorkerError(RuntimeError):
    """A worker could not do a task, or is gone."""


class Worker:
    """A program at the other end of two pipes. What it writes to standard error goes to a file."""

    def __init__(
        self, name: str, command: Sequence[str], *, log: Path, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.name, self._log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                encoding="utf-8", cwd=folder, env={**os.environ, **environment},
            )  # fmt: skip

    def send(self, task: Mapping[str, Any]) -> None:
        """Give it a task; `receive` waits for the answer."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is gone: `receive` says so
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """Its answer. Raises `WorkerError` where it failed or died, with the last that it wrote."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            said = " | ".join(self._log.read_text(errors="replace").splitlines()[-LAST_LINES:])
            raise WorkerError(f"{self.name}: ended with status {status}: {said or 'it wrote nothing'}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{self.name}: {answer['error']}")
        return answer

    def ask(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Give it a task and wait for the answer."""
        self.send(task)
        return self.receive()

    def close(self) -> None:
        """Let it end: its standard input is over."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def serve(tasks: Mapping[str, Callable[..., Mapping[str, Any]]], *, answers: TextIO | None = None) -> None:
    """Do what the lines of standard input ask for, until there are no more: `{"do": NAME, ...arguments}`."""
    out = answers or _own_output()
    for line in sys.stdin:
        try:
            task = json.loads(line)
            answer: Mapping[str, Any] = tasks[task.pop("do")](**task)
        except Exception as error:  # whatever four libraries may raise
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        out.write(json.dumps(answer) + "\n")
        out.flush()


def _own_output() -> TextIO:
    """The pipe to the other end; whatever libraries print goes to standard error instead."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out
