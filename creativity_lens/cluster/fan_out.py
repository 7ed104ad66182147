"""Fanning out: jobs over workers that may be lost, the costliest job first. It knows neither Ray nor models.

A worker holds two jobs at most: the one that it does and the next, so that it never waits for the way there and back.
A lost worker is replaced and what it held is done again. Of the jobs that a lost worker held, the first is blamed: a
worker does them in the order they came. A job that loses its worker too often is an error that names it.
"""

import heapq
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from creativity_lens.errors import InputError

HOLD = 2  # jobs that a worker has at a time
LOSSES = 5  # of workers by the same job, or in a row while they start
PATIENCE = 120.0  # seconds in which at least one worker must have got its place


class Lost(Exception):  # noqa: N818  the worker is lost, whatever the error
    """A worker is gone, with the jobs that it held. The text says why."""


@dataclass(frozen=True, eq=False)
class Job:
    """What is sent to a worker; `name` is for the one who reads an error."""

    cost: float | int
    name: str
    parcel: Any


@runtime_checkable
class Crew(Protocol):
    """How workers are reached. A promise is a value that `wait` and `take` know."""

    def hire(self) -> tuple[Any, Any]:
        """A new worker, and the promise of its place."""

    def greet(self, worker: Any, promise: Any) -> Any | None:
        """Take what a starting worker promised; the promise of its next preparation, None once it is ready."""

    def send(self, worker: Any, parcel: Any) -> Any:
        """The promise of a job's reply. Jobs of one worker are done in the order they were sent."""

    def wait(self, promises: Sequence[Any], seconds: float | None) -> Sequence[Any]:
        """Promises that are kept or broken, at least one; none where `seconds` have passed."""

    def take(self, promise: Any) -> Any:
        """What was promised. Raises `Lost`."""

    def dismiss(self, worker: Any) -> None:
        """End a worker, whatever it is doing, and break its promises."""

    def why_waiting(self) -> str:
        """Why no worker gets a place, and what to do about it."""


@dataclass(eq=False)
class Seat:
    """One worker, and what it holds."""

    worker: Any
    starting: Any | None  # the promise that it keeps before its first job
    placed: bool = False
    held: list[tuple[Any, int]] = field(default_factory=list)  # promise and number of each job, in the order sent

    def promises(self) -> list[Any]:
        """Everything that may come from it."""
        return [*([] if self.starting is None else [self.starting]), *(promise for promise, _ in self.held)]

    def release(self, promise: Any) -> int:
        """Number of the job of a promise that was kept."""
        number = next(number for each, number in self.held if each == promise)
        self.held = [pair for pair in self.held if pair[0] != promise]
        return number


class Roster:
    """As many workers as wanted, replaced as they are lost; they stay from one run to the next."""

    def __init__(self, crew: Crew, size: int) -> None:
        self.crew, self.size = crew, size
        self.seats: list[Seat] = []
        self.stillborn = 0  # workers lost in a row while they started

    def ready(self) -> None:
        """Wait until a worker is ready. Raises `InputError` where none gets a place, or none starts."""
        while True:
            self._fill()
            if any(seat.starting is None for seat in self.seats):
                return
            for promise in self._wait():
                for _ in self._settle(promise, (), [], Counter()):
                    raise AssertionError("a reply to no job")

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Any]]:
        """Every job's number and reply, once each, as they come.

        Workers that still hold a job when this ends early (an error, Ctrl-C) are dismissed. Raises `InputError` for a
        job that loses its worker every time, and whatever a reply raises when it is taken.
        """
        queue = [(-job.cost, number) for number, job in enumerate(jobs)]
        heapq.heapify(queue)
        lost, left = Counter[int](), len(jobs)
        try:
            while left:
                self._fill()
                self._hand_out(jobs, queue)
                for promise in self._wait():
                    for number, reply in self._settle(promise, jobs, queue, lost):
                        left -= 1
                        self._hand_out(jobs, queue)  # before the reply is worked on, so that nobody waits for that
                        yield number, reply
        finally:
            for seat in [seat for seat in self.seats if seat.held]:
                self._remove(seat)

    def prepare(self, begin: Callable[[Any], Any | None]) -> None:
        """Have ready workers prepare for something more: `begin(worker)` gives the promise, None where all is done."""
        for seat in self.seats:
            if seat.starting is None:
                seat.starting = begin(seat.worker)

    def close(self) -> None:
        """Dismiss everyone."""
        for seat in list(self.seats):
            self._remove(seat)

    def _fill(self) -> None:
        while len(self.seats) < self.size:
            self.seats.append(Seat(*self.crew.hire()))

    def _hand_out(self, jobs: Sequence[Job], queue: list[tuple[float | int, int]]) -> None:
        """The next job always goes to who has least to do."""
        while queue:
            free = [seat for seat in self.seats if seat.starting is None and len(seat.held) < HOLD]
            if not free:
                return
            seat = min(free, key=lambda seat: (len(seat.held) > 0, sum(jobs[number].cost for _, number in seat.held)))
            _, number = heapq.heappop(queue)
            seat.held.append((self.crew.send(seat.worker, jobs[number].parcel), number))

    def _wait(self) -> Sequence[Any]:
        seconds = None if any(seat.placed for seat in self.seats) else PATIENCE
        found = self.crew.wait([promise for seat in self.seats for promise in seat.promises()], seconds)
        if not found:
            raise InputError(f"workers: none got a place in {PATIENCE:.0f} s; {self.crew.why_waiting()}")
        return found

    def _settle(
        self, promise: Any, jobs: Sequence[Job], queue: list[tuple[float | int, int]], lost: Counter[int]
    ) -> Iterator[tuple[int, Any]]:
        seat = next((seat for seat in self.seats if promise in seat.promises()), None)
        if seat is None:  # of a worker that was dismissed since
            return
        if promise == seat.starting:
            self._welcome(seat)
            return
        try:
            reply = self.crew.take(promise)
        except Lost as loss:
            yield from self._bury(seat, loss, jobs, queue, lost)
            return
        except BaseException:
            seat.release(promise)  # its worker is well, whatever the reply
            raise
        yield seat.release(promise), reply

    def _welcome(self, seat: Seat) -> None:
        try:
            seat.starting = self.crew.greet(seat.worker, seat.starting)
        except InputError:
            self._remove(seat)
            raise
        except Lost as loss:
            self._remove(seat)
            self.stillborn += 1
            if self.stillborn < LOSSES:
                return
            if not any(each.starting is None for each in self.seats):
                raise InputError(
                    f"workers: {self.stillborn} in a row were lost while they started ({loss}); "
                    "use fewer workers, a smaller model, or hosts with more memory."
                ) from None
            self.stillborn, self.size = 0, self.size - 1
            warnings.warn(f"a worker could not be replaced ({loss}); {self.size} go on.", stacklevel=2)
            return
        seat.placed = True
        if seat.starting is None:
            self.stillborn = 0

    def _bury(
        self, seat: Seat, loss: Lost, jobs: Sequence[Job], queue: list[tuple[float | int, int]], lost: Counter[int]
    ) -> Iterator[tuple[int, Any]]:
        """Put back what a lost worker held, but for what it had finished."""
        self._remove(seat)  # also where it only could not be reached: what it still does is done again
        blamed: int | None = None
        done: list[tuple[int, Any]] = []
        for promise, number in seat.held:
            try:
                done.append((number, self.crew.take(promise)))
            except Lost:
                heapq.heappush(queue, (-jobs[number].cost, number))
                if blamed is None:
                    blamed = number
        yield from done
        if blamed is None:
            return
        lost[blamed] += 1
        if lost[blamed] >= LOSSES:
            raise InputError(
                f"{jobs[blamed].name}: lost its worker {lost[blamed]} times ({loss}); expected it to be done. What is "
                "finished is kept: use smaller batches, or workers with more memory, and start again."
            )
        warnings.warn(f"a worker was lost ({loss}); what it held is done again.", stacklevel=2)

    def _remove(self, seat: Seat) -> None:
        self.seats.remove(seat)
        self.crew.dismiss(seat.worker)
