"""One process at a time: a second is refused, a dead one is taken over, and who lost the lease writes nothing more."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from fake_pairs import refusal
from fsspec.implementations.memory import MemoryFileSystem
from object_store import object_store

from creativity_lens import leases
from creativity_lens.errors import InputError
from creativity_lens.leases import Guarded, hold
from creativity_lens.storage import Folder, Storage, open_storage

ELSEWHERE = {"host": "gpu7", "process": 4242, "machine": "another", "token": "theirs", "renewed": 5}
FOREVER = 1e6  # seconds: the thread that renews does not come to it


@pytest.fixture(autouse=True)
def _empty_memory() -> Iterator[None]:
    yield
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture
def storage() -> Storage:
    return open_storage("memory://runs/mine")


class Clock:
    """A clock that goes on only while someone waits for it; `then` runs whenever it did."""

    def __init__(self, then: Callable[[float], object] = lambda now: None):
        self.now = 1000.0
        self.then = then

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.then(self.now - 1000.0)

    def options(self) -> dict:
        return {"wait": self.wait, "clock": self}


def never(*_args: object) -> None:
    pytest.fail("it waited")


def left_by(storage: Storage, number: int = 1, **changes: object) -> None:
    """The lease that another process holds, or held when it died."""
    storage.write(f"lease/{number:08d}.json", json.dumps(ELSEWHERE | changes).encode())


@contextmanager
def losing(storage: Storage, **options: object) -> Iterator[leases.Lease]:
    """A lease that is lost in the block: a run must not end as if it had been alone."""
    with pytest.raises(InputError, match="lost its hold on the run"), hold(storage, **options) as lease:
        yield lease


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "lease" in thread.name]


# -- taken, held, given back -----------------------------------------------------------------------------------------


def test_a_free_lease_is_taken_at_once_and_given_back(storage):
    for number in (1, 2, 3):
        with hold(storage, wait=never, say=never) as lease:
            assert lease.number == number, "numbers never come twice"
            assert storage.names() == [f"lease/{number:08d}.json"]
            held = json.loads(storage.read(f"lease/{number:08d}.json"))
            assert set(held) == {"host", "process", "machine", "token", "renewed"}
            lease.check()
            assert threads() == ["creativity-lens lease"]
        assert threads() == []
        assert json.loads(storage.read(f"lease/{number:08d}.json"))["free"] is True


@pytest.mark.parametrize("error", [RuntimeError("inside"), KeyboardInterrupt()])
def test_it_is_given_back_whatever_happens(storage, error):
    def fail():
        with hold(storage):
            raise error

    with pytest.raises(type(error)):
        fail()
    assert threads() == []
    with hold(storage, wait=never):
        pass


def test_it_is_renewed_in_the_background(storage):
    with hold(storage, interval=0.005):
        seen, until = set(), time.monotonic() + 20
        while len(seen) < 4 and time.monotonic() < until:
            seen.add(storage.read("lease/00000001.json"))
        assert len(seen) == 4


def test_names_and_places_are_free(tmp_path):
    with hold(Folder("here", tmp_path), "locks/run") as lease:
        lease.check()
        assert [path.name for path in (tmp_path / "locks/run").iterdir()] == ["00000001.json"]


# -- two contenders --------------------------------------------------------------------------------------------------


def test_a_second_process_is_refused(storage):
    said = []
    left_by(storage)
    clock = Clock(lambda now: left_by(storage, renewed=6) if now >= 59 else None)  # slow, but alive
    with pytest.raises(InputError) as caught, hold(storage, say=said.append, **clock.options()):
        pytest.fail("two hold it")
    assert str(caught.value) == (
        "memory://runs/mine: process 4242 on gpu7 works on this run; expected one process at a time: wait until it has "
        "ended, stop it, or choose another folder."
    )
    assert said == [
        "memory://runs/mine: held by process 4242 on gpu7; waiting up to 60 s to see whether it still works."
    ]
    assert storage.names() == ["lease/00000001.json"], "nothing is left of the attempt"


def test_a_second_one_in_the_same_process_is_refused(storage):
    with hold(storage, interval=FOREVER) as first:
        clock = Clock(lambda now: first.renew())
        with pytest.raises(InputError, match="works on this run"), hold(storage, **clock.options()):
            pytest.fail("two hold it")
        first.check()
        assert clock.now - 1000 < 60
    with hold(storage, wait=never):
        pass


def test_one_that_ends_meanwhile_makes_room(storage):
    left_by(storage)
    clock = Clock(lambda now: left_by(storage, free=True) if now >= 12 else None)
    with hold(storage, **clock.options()) as lease:
        assert lease.number == 2
    assert 12 <= clock.now - 1000 < 20


def test_of_many_that_find_a_dead_one_one_takes_over(tmp_path):
    """On a real file system, eight threads as eight processes; each has a clock of its own."""
    storage = Folder("here", tmp_path)
    left_by(storage)
    ready, over, won, lost = threading.Barrier(8), threading.Event(), [], []

    def contend() -> None:
        def then(now: float) -> None:
            time.sleep(0.001)
            for lease in won:
                lease.renew()

        ready.wait()
        try:
            with hold(storage, **Clock(then).options()) as lease:
                won.append(lease)
                over.wait(30)
                lease.check()
        except InputError as error:
            lost.append(str(error))
        if len(lost) == 7:
            over.set()

    contenders = [threading.Thread(target=contend) for _ in range(8)]
    for thread in contenders:
        thread.start()
    for thread in contenders:
        thread.join()
    assert len(won) == 1
    assert len(lost) == 7
    assert not won[0].lost


# -- a dead holder ---------------------------------------------------------------------------------------------------


def test_a_dead_holder_is_taken_over_after_three_intervals_and_not_before(storage):
    left_by(storage, number=7)
    clock = Clock()
    with hold(storage, interval=20.0, **clock.options()) as lease:
        assert lease.number == 8
        assert 60 < clock.now - 1000 <= 70
        assert storage.names() == ["lease/00000008.json"]


def test_a_killed_process_of_this_machine_is_taken_over_at_once(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from creativity_lens.leases import hold\n"
        "from creativity_lens.storage import open_storage\n"
        "with hold(open_storage(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        watched = Clock(lambda now: never() if now > 10 else (tmp_path / "lease/00000001.json").write_text("moved"))
        with pytest.raises(InputError), hold(open_storage(tmp_path), **watched.options()):
            pytest.fail("the process still runs")
        (tmp_path / "lease/00000001.json").write_text(json.dumps(_as_of(holder.pid)))
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    if not leases._machine():
        pytest.skip("this system does not tell its start and its processes")
    with hold(open_storage(tmp_path), wait=never, say=never) as lease:
        assert lease.number == 2


def _as_of(process: int) -> dict:
    return leases._of_this_process() | {"process": process}


@pytest.mark.parametrize("process", [0, -1, "4242", None, 10**30])
def test_odd_process_numbers_are_watched(storage, process):
    left_by(storage, **leases._of_this_process() | {"process": process})
    clock = Clock()
    with hold(storage, **clock.options()):
        assert clock.now - 1000 > 60


@pytest.mark.parametrize("data", [b"", b"\xff\0", b"[1]", b"{", b"[" * 100_000, b'{"host": 3, "free": "yes"}'])
def test_a_damaged_lease_is_watched_like_another(storage, data):
    said = []
    storage.write("lease/00000001.json", data)
    storage.write("lease/notes.txt", b"of others")
    clock = Clock()
    with hold(storage, say=said.append, **clock.options()) as lease:
        assert lease.number == 2
        assert clock.now - 1000 > 60
    assert "held by an unknown process" in said[0]
    assert storage.has("lease/notes.txt")


def test_a_foreign_name_cannot_drive_the_terminal(storage):
    left_by(storage, host="x\x1b[2J\n" * 99)
    clock = Clock(lambda now: left_by(storage, host="x\x1b[2J\n" * 99, renewed=6))
    with pytest.raises(InputError) as caught, hold(storage, **clock.options()):
        pass
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 700


def test_the_time_of_day_is_never_asked(storage, monkeypatch):
    """So a clock that is set back, or two machines whose clocks differ, change nothing."""
    left_by(storage)
    clock = Clock()
    with monkeypatch.context() as patch:
        for name in ("time", "time_ns", "localtime", "gmtime"):
            patch.setattr(leases.time, name, never)
        with hold(storage, **clock.options()) as lease:
            lease.renew()
            lease.check()
        assert lease.number == 2


# -- a stolen lease --------------------------------------------------------------------------------------------------


def test_who_lost_the_lease_writes_nothing_more(storage):
    with losing(storage, interval=FOREVER) as old:
        guarded = old.guard(storage)
        cells = guarded.within("cells")
        assert isinstance(guarded, Storage)
        assert isinstance(cells, Guarded)
        cells.write("a", b"old")
        assert cells.create("b", b"old")
        left_by(storage, number=2)
        old.renew()
        for write in (
            old.check,
            lambda: cells.write("a", b"x"),
            lambda: guarded.create("c", b""),
            lambda: cells.delete("a"),
        ):
            assert refusal(write) == (
                "memory://runs/mine: this process lost its hold on the run to process 4242 on gpu7; expected to be the "
                "only one: it writes nothing more there, and what is finished is kept. Start it again once no other "
                "works on it."
            )
        assert cells.read("a") == b"old"
        assert cells.names() == ["a", "b"]
        assert guarded.has("cells/b")
        assert cells.place == "memory://runs/mine/cells"
    assert json.loads(storage.read("lease/00000002.json")) == ELSEWHERE, "the other's lease is left alone"


@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_a_lease_that_is_gone_is_lost(storage, what):
    with losing(storage) as lease:
        storage.delete("lease/00000001.json") if what == "removed" else left_by(storage)
        lease.renew()
        assert "lost its hold on the run since its file was removed or replaced" in refusal(lease.check)
    assert storage.names() == ([] if what == "removed" else ["lease/00000001.json"])


def test_who_slept_looks_before_it_writes(storage, monkeypatch):
    """A check asks the storage only where the lease was not renewed for two intervals."""
    with losing(storage, interval=FOREVER) as lease:
        left_by(storage, number=2)
        lease.check()
        woken = leases._now() + 2.1 * FOREVER
        monkeypatch.setattr(leases, "_now", lambda: woken)
        assert "lost its hold on the run" in refusal(lease.check)


def test_who_slept_alone_goes_on(storage, monkeypatch):
    with hold(storage, interval=FOREVER) as lease:
        woken = leases._now() + 2.1 * FOREVER
        monkeypatch.setattr(leases, "_now", lambda: woken)
        lease.check()
        assert json.loads(storage.read("lease/00000001.json"))["renewed"] == 2


class Watched(Folder):
    """A folder in which something happens right after a file was written or made."""

    def then(self, name: str) -> None:
        pass

    def write(self, name: str, data: bytes) -> None:
        super().write(name, data)
        self.then(f"{self.root.name}/{name}")

    def create(self, name: str, data: bytes) -> bool:
        made = super().create(name, data)
        self.then(f"{self.root.name}/{name}")
        return made


def test_a_holder_that_wakes_while_it_is_taken_over_keeps_it(tmp_path, monkeypatch):
    plain, storage = Folder("here", tmp_path), Watched("here", tmp_path)
    left_by(plain)
    moved = []

    def then(self: Watched, name: str) -> None:
        if name == "lease/00000002.json" and not moved:
            moved.append(name)
            left_by(plain, renewed=6)

    monkeypatch.setattr(Watched, "then", then)
    clock = Clock()
    with pytest.raises(InputError, match="process 4242 on gpu7 works on this run"), hold(storage, **clock.options()):
        pytest.fail("two hold it")
    assert moved
    assert plain.names() == ["lease/00000001.json"]


def test_a_holder_that_is_taken_over_while_it_renews_sees_it(tmp_path, monkeypatch):
    plain, storage = Folder("here", tmp_path), Watched("here", tmp_path)
    with losing(storage, interval=FOREVER) as lease:
        monkeypatch.setattr(Watched, "then", lambda self, name: left_by(plain, number=2))
        lease.renew()
        assert lease.lost


def test_of_two_that_a_store_let_create_one_name_one_goes_on(tmp_path, monkeypatch):
    """A store that does not know exclusive writes: the bytes of the last remain."""
    plain, storage = Folder("here", tmp_path), Watched("here", tmp_path)
    monkeypatch.setattr(Watched, "then", lambda self, name: left_by(plain))
    clock = Clock(lambda now: left_by(plain, renewed=6))
    with pytest.raises(InputError, match="process 4242 on gpu7"), hold(storage, **clock.options()):
        pytest.fail("two hold it")
    assert json.loads(plain.read("lease/00000001.json")) == ELSEWHERE | {"renewed": 6}


# -- a store that does not answer ------------------------------------------------------------------------------------


def test_a_store_that_is_away_for_a_while_does_not_end_the_run(tmp_path, monkeypatch):
    storage, away = Folder("here", tmp_path), threading.Event()
    real, tried = Folder.read, []

    def read(self: Folder, name: str) -> bytes | None:
        tried.append(name)
        if away.is_set():
            raise InputError("here: cannot be reached")
        return real(self, name)

    monkeypatch.setattr(Folder, "read", read)
    with hold(storage, interval=FOREVER) as lease:
        away.set()
        with pytest.raises(InputError, match="cannot be reached"):
            lease.renew()
        lease.check()  # not lost: renewed shortly before
        woken = leases._now() + 2.1 * FOREVER
        monkeypatch.setattr(leases, "_now", lambda: woken)
        assert refusal(lease.check) == "here: cannot be reached", "then it must know"
        away.clear()
        lease.check()
        away.set()
    assert not lease.lost
    assert "free" not in json.loads(Path(tmp_path / "lease/00000001.json").read_bytes()), "it could not be given back"


# -- an object store -------------------------------------------------------------------------------------------------


def test_on_an_object_store(endpoint_of_leases):
    storage = open_storage("s3://bucket/runs/mine")
    with ExitStack() as stack:
        first = stack.enter_context(hold(storage, interval=0.05))
        with pytest.raises(InputError, match=r"s3://bucket/runs/mine: process \d+ on .* works on this run"):
            stack.enter_context(hold(storage, interval=20.0, wait=lambda seconds: time.sleep(0.02)))
        first.check()
    left_by(storage, number=2)  # died elsewhere
    clock = Clock()
    with losing(storage, **clock.options()) as lease:
        assert lease.number == 3
        assert clock.now - 1000 > 60
        assert storage.names() == ["lease/00000003.json"]
        left_by(storage, number=4)
        lease.renew()
        assert "process 4242 on gpu7" in lease.lost


@pytest.fixture
def endpoint_of_leases() -> Iterator[str]:
    with object_store() as endpoint:
        yield endpoint
