"""A run survives whatever breaks it off: nothing finished is lost or done again, nothing wrong is kept.

The sweep of `survivor` goes through the same store, engine and run folder as a real one, without a model, so that it
can be started and killed often. The real one is in `test_survival_real`.
"""

import errno
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import survivor
from fake_pairs import refusal
from full_disk import full_disk
from nursery import TESTS, Nursery
from run_remains import cells, damage, is_leftover, leftovers, spoil

from creativity_lens import holding
from creativity_lens.cell_store import CellStore
from creativity_lens.files import write_json
from creativity_lens.holding import new_run
from creativity_lens.runs import CELLS
from creativity_lens.storage import open_storage

SMALL = {"layers": 2, "prompts": 3}  # three works
KILLS = 50


@pytest.fixture(scope="module")
def nursery(tmp_path_factory) -> Iterator[Nursery]:
    with Nursery(tmp_path_factory.mktemp("nursery") / "errors", "survivor.ready", hash_seed=1) as started:
        yield started


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[Path, Path]:
    """Two runs, one of them small, that nothing disturbed: by a process that orders its sets in another way."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with Nursery(folder / "errors", "survivor.ready", hash_seed=2) as other:
        assert other.run("survivor.sweep", folder / "whole", folder / "whole.log") == 0, other.said()
        assert other.run("survivor.sweep", folder / "small", folder / "small.log", **SMALL) == 0, other.said()
        assert other.run("survivor.light", folder / "heavy") == 0, other.said()
    return folder / "whole", folder / "small"


@pytest.fixture
def whole(undisturbed) -> dict[str, bytes]:
    return contents(undisturbed[0])


def contents(folder: Path) -> dict[str, bytes]:
    """Every file by its name, but for the lock, what broken writes left, and when the run began and how often."""
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock" and not is_leftover(path)
    }
    run = json.loads(found["run.json"])
    found["run.json"] = json.dumps({k: v for k, v in run.items() if k not in ("created", "resumed")}).encode()
    return found


def ran(log: Path) -> list[str]:
    """Keys of the works that were begun, in order."""
    return log.read_text("utf-8").split() if log.exists() else []


def test_the_worker_is_light_and_what_it_makes_is_worth_comparing(undisturbed):
    assert (undisturbed[0].parent / "heavy").read_text() == "", "else it would take seconds to start"
    whole, small = map(contents, undisturbed)
    assert sum(name.endswith(".cell") for name in whole) == 16
    assert sum(name.endswith(".cell") for name in small) == 3
    assert {"run.json", "sweep.csv", "texts.json", "directions.safetensors"} < set(whole)
    assert json.loads(whole["run.json"])["status"] == "finished"
    choice = json.loads(whole["run.json"])["choice"]
    assert f"test,{choice},7,".encode() in whole["sweep.csv"], "what follows hangs on what was chosen"
    assert len(ran(undisturbed[0].with_suffix(".log"))) == 16


# -- killed --------------------------------------------------------------------------------------------------------


def struck_until_done(nursery: Nursery, out: Path, chance: random.Random, how: int, most: int) -> int:
    """Start a run again and again and strike it at a random moment, until it is done; how often it was struck."""
    log, span = out.with_suffix(".log"), 0.04
    for hits in range(500):
        kept, before = cells(out), len(ran(log))
        pid = nursery.start("survivor.refused", out, log, pause=0.002)
        status = nursery.end(pid, how, after=chance.uniform(0, span)) if hits < most else nursery.wait(pid)
        begun = ran(log)[before:]
        assert not set(begun) & set(kept), "what was finished is not done again"
        assert len(set(begun)) == len(begun)
        after = cells(out)
        assert {key: after[key] for key in kept} == kept
        assert damage(out) == [], "a name that is there is whole"
        if status == 0:
            return hits
        said = nursery.said()
        if how == signal.SIGKILL:
            assert status == -how, said
        else:
            assert status == 130, said
            held = f"{out} holds what was finished; the same command with --out {out} goes on"
            assert said.splitlines()[-1:] in ([], ["nothing was written"], [held]), said
        spoil(leftovers(out), chance, out)
        span = 0.04 if len(after) > len(kept) else span * 1.5  # on a machine that has much to do
    raise AssertionError("it never came to its end")


def test_killed_at_fifty_random_moments(nursery, whole, tmp_path):
    chance, kills = random.Random(7), 0
    for number in itertools.count():
        out = tmp_path / f"run {number}"
        hits = struck_until_done(nursery, out, chance, signal.SIGKILL, KILLS - kills)
        kills += hits
        assert contents(out) == whole
        assert len(ran(out.with_suffix(".log"))) <= 16 + hits, "at most the work at hand is lost"
        if kills == KILLS:
            break


def test_interrupted_at_random_moments_it_says_so_and_leaves_nothing_half(nursery, whole, tmp_path):
    chance, stops = random.Random(8), 0
    for number in range(3):
        out = tmp_path / f"run {number}"
        stops += struck_until_done(nursery, out, chance, signal.SIGINT, 5)
        assert contents(out) == whole
    assert stops > 5


def test_killed_before_any_change_of_any_file(nursery, undisturbed, tmp_path):
    small, chance = contents(undisturbed[1]), random.Random(9)
    seen = {"no run.json": 0, "a broken write": 0, "works": 0, "all works": 0}
    for moment in itertools.count(1):
        out, log = tmp_path / str(moment), tmp_path / f"{moment}.log"
        status = nursery.run("survivor.sweep", out, log, crash=moment, **SMALL)
        if status == 0:
            break
        assert status == -signal.SIGKILL, nursery.said()
        assert damage(out) == []
        kept, broken = cells(out), leftovers(out)
        seen["no run.json"] += not (out / "run.json").exists()
        seen["a broken write"] += len(broken)
        seen["works"] += 0 < len(kept) < 3
        seen["all works"] += len(kept) == 3
        spoil(broken, chance, out)
        before = len(ran(log))
        assert nursery.run("survivor.sweep", out, log, crash=0, **SMALL) == 0, f"moment {moment}: {nursery.said()}"
        assert contents(out) == small, f"moment {moment}"
        assert not set(ran(log)[before:]) & set(kept)
        shutil.rmtree(out)
    assert moment > 60
    assert min(seen.values()) >= 4, seen


def test_what_is_finished_is_not_done_again(undisturbed, whole, tmp_path):
    out, log = copy(undisturbed, tmp_path)
    survivor.sweep(out, log)
    assert ran(log) == []
    assert contents(out) == whole


def copy(undisturbed: tuple[Path, Path], tmp_path: Path, *, broken_off: int | None = None) -> tuple[Path, Path]:
    """A copy of the whole run, and its log; `broken_off`: after so many works, in the order in which they were done."""
    out, log = tmp_path / "run", tmp_path / "run.log"
    shutil.copytree(undisturbed[0], out)
    if broken_off is not None:
        run = json.loads((out / "run.json").read_text("utf-8"))
        del run["files"]
        write_json(out / "run.json", run | {"status": "running"})
        for name in (survivor.TEXTS_FILE, survivor.DIRECTIONS_FILE):
            (out / name).unlink()
        for key in ran(undisturbed[0].with_suffix(".log"))[broken_off:]:
            (out / CELLS / f"{key}.cell").unlink()
    return out, log


def test_a_run_goes_on_where_it_broke_off(undisturbed, whole, tmp_path):
    out, log = copy(undisturbed, tmp_path, broken_off=5)
    run = survivor.sweep(out, log)
    assert ran(log) == ran(undisturbed[0].with_suffix(".log"))[5:]
    assert contents(out) == whole
    assert run["resumed"] == 1
    assert run["created"] == json.loads((undisturbed[0] / "run.json").read_text("utf-8"))["created"]


# -- two processes -------------------------------------------------------------------------------------------------


def test_a_second_process_is_refused_while_the_first_lives(nursery, whole, tmp_path):
    out, log = tmp_path / "run", tmp_path / "run.log"
    first = nursery.start("survivor.sweep", out, log, pause=60)
    until = time.monotonic() + 60
    while not ran(log):
        assert time.monotonic() < until
        time.sleep(0.005)
    before = contents(out)
    said = refusal(survivor.sweep, out, log)
    assert said == (
        f"--out {out}: another process is writing this run; wait until it has ended, or choose another folder."
    )
    assert contents(out) == before
    assert len(ran(log)) == 1
    assert nursery.end(first) == -signal.SIGKILL
    survivor.sweep(out, log)
    assert contents(out) == whole


def test_what_another_process_finished_meanwhile_is_gone_on_with(undisturbed, whole, tmp_path, monkeypatch):
    """It was not there when this process looked, and is when it may write."""
    out, log = tmp_path / "run", tmp_path / "run.log"
    acquire = holding.FileLock.acquire

    def late(lock, *arguments, **options):
        if not (out / "run.json").exists():
            shutil.copytree(undisturbed[0], out, dirs_exist_ok=True)
        return acquire(lock, *arguments, **options)

    monkeypatch.setattr(holding.FileLock, "acquire", late)
    run = survivor.sweep(out, log)
    assert run["created"] == json.loads((undisturbed[0] / "run.json").read_text("utf-8"))["created"]
    assert run["resumed"] == 1
    assert ran(log) == []
    assert contents(out) == whole
    shutil.rmtree(out)

    def enter():
        with new_run(out, "fake"):
            raise AssertionError("it was let in")

    assert "holds another run" in refusal(enter)
    assert contents(out) == whole


def test_of_many_that_want_a_folder_one_has_it(nursery, tmp_path):
    mixed = tmp_path / "mixed"
    started = [nursery.start("survivor.claim", tmp_path / "run", 100, mixed) for _ in range(4)]
    had = [nursery.wait(pid) for pid in started]
    assert not mixed.exists()
    assert nursery.said() == "", "who is not let in is told so in one line, whatever the others do just then"
    assert any(had)


# -- full, closed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [0, 100, 300, 420, 700, 1000])
def test_files_that_may_not_grow(room, whole, tmp_path):
    out, log = tmp_path / "run", tmp_path / "run.log"
    with full_disk(after=room):
        assert "could not be written (File too large)" in refusal(survivor.sweep, out, os.devnull)
    assert leftovers(tmp_path) == []
    assert out.exists() == bool(cells(out))
    kept = cells(out)
    assert damage(out) == []
    survivor.sweep(out, log)
    assert contents(out) == whole
    assert not set(ran(log)) & set(kept)


def mounting() -> str:
    """Why this process cannot have a disk of its own; "" where it can."""
    if shutil.which("unshare") is None:
        return "no `unshare` here"
    done = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False, timeout=60
    )
    return "" if done.returncode == 0 else f"mounting is not allowed here ({done.stderr.decode().strip()[:60]})"


def test_a_disk_that_is_full_and_grows(undisturbed, whole, tmp_path):
    if reason := mounting():
        pytest.skip(reason)
    place, told, out = tmp_path / "disk", tmp_path / "told", tmp_path / "copy"
    place.mkdir()
    script = "import sys, survivor; survivor.outgrow(*sys.argv[1:])"
    subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", script, place, tmp_path / "log", told, out],
        env={**os.environ, "PYTHONPATH": str(TESTS)}, check=True, timeout=120,
    )  # fmt: skip
    tries = json.loads(told.read_text("utf-8"))
    *failed, last = tries
    assert last["said"] == ""
    assert contents(out) == whole
    assert len(failed) > 8
    for each, later in itertools.pairwise(tries):
        reason = "Read-only file system" if each["options"] == "ro" else "No space left on device"
        assert reason in each["said"]
        assert each["said"].endswith(("; nothing was changed.", "; choose another place."))
        assert each["said"].isprintable()
        assert set(each["cells"].values()) <= {""}, "each that is there is whole"
        assert each["partial"] == []
        assert set(each["cells"]) <= set(later["cells"])
        began = later["ran"][len(each["ran"]) :]
        assert not {f"{key}.cell" for key in began} & set(each["cells"]), "what was finished is not done again"
    assert any(0 < len(each["cells"]) < 16 for each in failed), "in the middle"
    assert any(len(each["cells"]) == 16 for each in failed), "when all works were done"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(undisturbed, whole, tmp_path):
    out, log = copy(undisturbed, tmp_path, broken_off=5)
    for folder in (out, out / CELLS):
        folder.chmod(0o500)
        said = refusal(survivor.sweep, out, log)
        folder.chmod(0o700)
        assert "Permission denied" in said
    survivor.sweep(out, log)
    assert contents(out) == whole


@pytest.mark.parametrize("closed", ["run.json", CELLS, "sweep.csv"])
def test_a_place_that_the_system_does_not_let_be_written(undisturbed, whole, tmp_path, monkeypatch, closed):
    """As for root, who is let in anywhere: the system says no to this process alone."""
    out, log = copy(undisturbed, tmp_path, broken_off=5)
    kept, opened = cells(out), os.open

    def refuse(path, flags, *arguments, **options):
        file = str(path).removeprefix(str(out))
        if flags & os.O_CREAT and not file.endswith(".lock") and closed in file:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, flags, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        said = refusal(survivor.sweep, out, log)
    assert f"{closed}" in said
    assert said.endswith(": cannot be written (Permission denied); choose another place.")
    assert cells(out).items() >= kept.items()
    survivor.sweep(out, log)
    assert contents(out) == whole


def test_a_lock_that_cannot_be_made(undisturbed, whole, tmp_path, monkeypatch):
    out, log = copy(undisturbed, tmp_path, broken_off=5)
    opened = os.open

    def refuse(path, flags, *arguments, **options):
        if str(path).endswith(".lock"):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return opened(path, flags, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        said = refusal(survivor.sweep, out, log)
        refusal(survivor.sweep, tmp_path / "new" / "run", log)
    assert said == f"--out {out}: cannot be made (Read-only file system); choose another place."
    assert not (tmp_path / "new").exists()
    survivor.sweep(out, log)
    assert contents(out) == whole


# -- damaged -------------------------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def exchanged(path: Path) -> None:
    """Another work's result, whole, under this one's name."""
    store, other = CellStore(open_storage(path.parent)), "f" * 64
    store.write(other, store.read(path.stem))
    path.with_name(f"{other}.cell").rename(path)


@pytest.mark.parametrize("how", [cut, flipped, emptied, exchanged, Path.unlink])
@pytest.mark.parametrize("broken_off", [None, 9])
def test_a_result_that_is_not_as_it_was_written_is_made_again(undisturbed, whole, tmp_path, how, broken_off):
    out, log = copy(undisturbed, tmp_path, broken_off=broken_off)
    order = ran(undisturbed[0].with_suffix(".log"))
    spoilt = [order[0], order[3], order[8]]
    for key in spoilt:
        how(out / CELLS / f"{key}.cell")
    if how is Path.unlink:
        survivor.sweep(out, log)
    else:
        with pytest.warns(UserWarning, match=r"done again") as caught:
            survivor.sweep(out, log)
        assert sorted(str(each.message)[:12] for each in caught) == sorted(key[:12] for key in spoilt)
    assert sorted(ran(log)) == sorted({*spoilt, *(order[broken_off:] if broken_off else ())})
    assert contents(out) == whole


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"status": "running"', b"[]", b"\xff\x00", b"null", b'{"format": 9}', b"["]
)
def test_a_description_that_is_damaged_loses_no_result(undisturbed, whole, tmp_path, data):
    out, log = copy(undisturbed, tmp_path, broken_off=9)
    (out / "run.json").write_bytes(data)
    survivor.sweep(out, log)
    assert ran(log) == ran(undisturbed[0].with_suffix(".log"))[9:]
    assert contents(out) == whole


def test_results_without_any_description_are_gone_on_with(undisturbed, whole, tmp_path):
    out, log = copy(undisturbed, tmp_path, broken_off=9)
    (out / "run.json").unlink()
    survivor.sweep(out, log)
    assert len(ran(log)) == 7
    assert contents(out) == whole


# -- clocks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("now", [0.0, 4e9])
def test_nothing_hangs_on_the_clock(undisturbed, whole, tmp_path, monkeypatch, now):
    out, log = copy(undisturbed, tmp_path, broken_off=9)
    for place, path in enumerate(sorted(out.rglob("*"))):
        os.utime(path, (now + place % 3, now - place % 5))
    monkeypatch.setattr(time, "time", lambda: now)
    monkeypatch.setattr(time, "time_ns", lambda: int(now * 1e9))
    monkeypatch.setattr(time, "gmtime", lambda *_: time.struct_time((1970, 1, 1, 0, 0, 0, 3, 1, 0)))
    survivor.sweep(out, log)
    assert len(ran(log)) == 7
    assert contents(out) == whole


# -- memory --------------------------------------------------------------------------------------------------------


def halves(out: Path) -> list[int]:
    return json.loads((out / "run.json").read_text("utf-8"))["batches_halved"]


def test_batches_that_do_not_fit_are_halved_and_said_to_be(whole, tmp_path):
    out, log = tmp_path / "run", tmp_path / "run.log"
    survivor.sweep(out, log, fits=1)
    assert sorted(halves(out)) == [1] * (8 + 4 + 4), "of three rows in two steps, of two in one"
    assert {name: data for name, data in contents(out).items() if "/" not in name and name != "run.json"} == {
        name: data for name, data in whole.items() if "/" not in name and name != "run.json"
    }, "rows of this model do not depend on those beside them"
    before = len(ran(log))
    survivor.sweep(out, log)  # now all would fit
    assert len(ran(log)) == before
    assert sorted(halves(out)) == [1] * 16, "what is read says so too"


def test_a_run_that_goes_on_with_more_memory_says_what_was_halved_before(tmp_path, monkeypatch):
    out, log = tmp_path / "run", tmp_path / "run.log"
    with monkeypatch.context() as patch:
        interrupt_at(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            survivor.sweep(out, log, fits=2)
    kept = [store_in(out).read(key).halved for key in cells(out)]
    assert halves(out) == [], "as it was written when the run began"
    survivor.sweep(out, log)
    assert (1,) in kept
    assert halves(out) == [size for each in kept for size in each]


def store_in(out: Path) -> CellStore:
    return CellStore(open_storage(out / CELLS))


def test_a_single_row_that_does_not_fit_keeps_what_did(undisturbed, whole, tmp_path):
    out, log = copy(undisturbed, tmp_path, broken_off=9)
    kept = cells(out)
    assert refusal(lambda: survivor.sweep(out, log, fits=0)).startswith("fake: ran out of memory on a batch of one row")
    assert cells(out) == kept
    survivor.sweep(out, log)
    assert contents(out) == whole
    assert refusal(lambda: survivor.sweep(tmp_path / "new", log, fits=0)).startswith("fake: ran out of memory")
    assert not (tmp_path / "new").exists(), "nothing was finished"


# -- other inputs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken_off", [None, 9])
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"weights": "sha256:two"}, "the model's weights, expected sha256:one to go on, got sha256:two"),
        ({"version": "1.1"}, "the version of made, expected 1.0 to go on, got 1.1"),
        ({"layers": 4}, "--layers, expected 3 to go on, got 4"),
        ({"seed": 1}, "--seed, expected 0 to go on, got 1"),
        ({"weights": "sha256:two", "seed": 1}, "the model's weights (and 1 more), expected sha256:one"),
    ],
)
def test_a_run_with_other_inputs_is_refused_and_left_alone(undisturbed, tmp_path, broken_off, asked, said):
    out, log = copy(undisturbed, tmp_path, broken_off=broken_off)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    found = refusal(lambda: survivor.sweep(out, log, **asked))
    assert found.startswith(f"--out {out}: holds a run with other inputs: {said}")
    assert found.endswith("; choose another one.")
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert ran(log) == []


def test_a_run_of_another_format_is_refused(undisturbed, tmp_path):
    out, log = copy(undisturbed, tmp_path, broken_off=9)
    run = json.loads((out / "run.json").read_text("utf-8"))
    write_json(out / "run.json", run | {"format": 2})
    assert refusal(survivor.sweep, out, log) == (
        f"--out {out}: holds a run of format 2, expected 1; choose another folder."
    )


def test_results_of_another_model_are_not_read_even_where_no_description_says_so(undisturbed, tmp_path):
    """Their names are of another content."""
    out, log = copy(undisturbed, tmp_path, broken_off=9)
    (out / "run.json").unlink()
    survivor.sweep(out, log, weights="sha256:two")
    assert len(ran(log)) == 16
    survivor.sweep(tmp_path / "new", tmp_path / "new.log", weights="sha256:two")
    assert cells(tmp_path / "new").items() <= cells(out).items()
    assert contents(tmp_path / "new")["sweep.csv"] == contents(out)["sweep.csv"]


def test_under_hooks_of_others_nothing_is_read_or_kept(undisturbed, tmp_path, monkeypatch):
    out, log = copy(undisturbed, tmp_path, broken_off=9)
    kept = cells(out)
    monkeypatch.setattr(survivor.Fake, "is_hooked", True)
    survivor.sweep(out, log)
    assert len(ran(log)) == 16
    assert cells(out) == kept


# -- stopped from inside -------------------------------------------------------------------------------------------


def interrupt_at(patch: pytest.MonkeyPatch, number: int, error: BaseException | None = None) -> None:
    """The nth work is interrupted, or fails."""
    left = iter(range(number - 1, -1, -1))

    def sleep(seconds: float) -> None:
        if next(left) == 0:
            raise error or KeyboardInterrupt

    patch.setattr(survivor, "time", SimpleNamespace(sleep=sleep, strftime=time.strftime, gmtime=time.gmtime))


@pytest.mark.parametrize("number", [1, 2, 6, 16])
def test_ctrl_c_in_a_work_keeps_what_was_finished(whole, tmp_path, monkeypatch, number):
    out, log = tmp_path / "run", tmp_path / "run.log"
    with monkeypatch.context() as patch:
        interrupt_at(patch, number)
        with pytest.raises(KeyboardInterrupt) as caught:
            survivor.sweep(out, log)
    kept = cells(out)
    assert len(kept) == number - 1
    said = (
        f"{out} holds what was finished; the same command with --out {out} goes on" if kept else "nothing was written"
    )
    assert str(caught.value) == said
    assert out.exists() == bool(kept)
    survivor.sweep(out, log)
    assert contents(out) == whole
    assert len(ran(log)) == 17


def test_a_mistake_in_a_work_passes_as_it_is_and_keeps_what_was_finished(whole, tmp_path, monkeypatch):
    out, log = tmp_path / "run", tmp_path / "run.log"
    with monkeypatch.context() as patch:
        interrupt_at(patch, 6, ZeroDivisionError("mine"))
        with pytest.raises(ZeroDivisionError, match="mine"):
            survivor.sweep(out, log)
    assert len(cells(out)) == 5
    assert not (out / ".lock").exists()
    survivor.sweep(out, log)
    assert contents(out) == whole


def test_a_run_that_is_not_to_be_gone_on_with_is_another_run(undisturbed, tmp_path):
    out, _ = copy(undisturbed, tmp_path, broken_off=9)

    def enter():
        with new_run(out, "fake"):
            raise AssertionError("it was let in")

    assert "holds another run; choose another folder" in refusal(enter)
