"""Holding a run's folder: one process at a time, on a file system or on object storage, for as long as a command runs.

A folder is made and tried at once, never left behind empty, and never taken from a process that still writes to it.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from creativity_lens.cell_store import CellStore
from creativity_lens.errors import InputError
from creativity_lens.files import cache_folder, sha256_text, write_text
from creativity_lens.leases import hold
from creativity_lens.runs import AUDIT_FILE, CELLS, LEASE, LOCK, RUN_FILE, TABLE_FILE, check_file, created_at
from creativity_lens.storage import Storage, fetch, is_url, open_storage, publish

_HELD: dict[Path, Storage] = {}  # folders that this process writes, and where their cells belong


@contextmanager
def new_run(out: str | Path | None, model_name: str, *, resume: bool = False) -> Iterator[Path]:
    """A folder for a run, which no other process writes: `out`, or the next free `runs/MODEL-001`.

    It is made and tried at once. With `resume`, a run that lies in `out` is gone on with. Where the block fails before
    anything was kept, a new folder is gone again. A folder that this process holds by an outer `new_run` is taken as it
    is. An `out` on object storage ("s3://...") stands for a local folder whose files are copied there in the end.

    Raises `InputError` where another process writes to `out`, where it holds another run or anything else, or cannot be
    written; a `KeyboardInterrupt` passes on with what became of the run as its message.

    >>> with new_run("runs/mine", "gpt2") as folder:      # doctest: +SKIP
    ...     sweep.save(folder)
    """
    if out is not None and is_url(out):
        with _remote(str(out), resume=resume) as folder:
            yield folder
        return
    folder = Path(out) if out is not None else _next_number(model_name)
    if _is_held(folder):
        yield folder
        return
    with _local(folder, open_storage(folder), str(folder), resume=resume):
        yield folder


@contextmanager
def _local(folder: Path, storage: Storage, shown: str, *, resume: bool) -> Iterator[None]:
    """Hold a local folder whose cells belong into `storage`; messages call it `shown`."""
    made, is_new, lock = _claim(folder, resume=resume)
    place = folder.resolve()
    _HELD[place] = storage
    try:
        yield
    except BaseException as error:
        kept = any((folder / name).exists() for name in (TABLE_FILE, AUDIT_FILE)) or _has_cells(storage)
        if not kept and is_new:
            _leave(folder, made, own=True)
        if isinstance(error, KeyboardInterrupt):
            again = f"; the same command with --out {shown} goes on" if resume else ""
            said = f"{shown} holds what was finished{again}" if kept else "nothing was written"
            raise KeyboardInterrupt(said) from None
        raise
    finally:
        del _HELD[place]
        _unlock(lock)


def _has_cells(storage: Storage) -> bool:
    """Whether anything was kept; where the place cannot be asked any more, nothing is taken away."""
    try:
        return bool(storage.names(CELLS))
    except InputError:
        return True


@contextmanager
def _remote(url: str, *, resume: bool) -> Iterator[Path]:
    """A local folder that stands for one on object storage: what is there comes here first, what is here goes there."""
    storage = open_storage(url)
    there = storage.names()
    names = [name for name in there if "/" not in name]
    if RUN_FILE not in names and any(not name.startswith((f"{CELLS}/", f"{LEASE}/")) for name in there):
        raise InputError(f"--out {url}: holds other files; choose another folder.")
    if names and not resume:
        raise InputError(f"--out {url}: holds another run; choose another folder.")
    folder = cache_folder() / "runs" / sha256_text(url)[:16]
    with hold(storage, LEASE, say=lambda line: print(line, file=sys.stderr)) as lease:
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier process; what counts is on the storage
        folder.mkdir(parents=True)
        fetch(storage, folder, (name for name in storage.names() if "/" not in name))
        with _local(folder, storage, url, resume=True):
            try:
                yield folder
            finally:
                own = (path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
                publish(folder, lease.guard(storage), sorted(own))


def store_of(folder: Path) -> CellStore:
    """The kept results of a run whose folder this process holds, wherever they lie."""
    return CellStore(_HELD[folder.resolve()].within(CELLS))


def owned_folder(folder: str | Path, created: str) -> Path:
    """A folder that the run of that creation time may write into: its own, an empty one, or a new one."""
    folder = Path(folder)
    if not _is_held(folder) and created_at(folder) != created:
        _unlock(_claim(folder, resume=False)[-1])
    return folder


def _marker() -> str:
    return json.dumps({"status": "running", "process": os.getpid()}) + "\n"


def _is_held(folder: Path) -> bool:
    try:
        return folder.resolve() in _HELD
    except (OSError, ValueError):  # no path at all
        return False


def _next_number(model_name: str) -> Path:
    stem = re.sub(r"[^a-z0-9]+", "-", model_name.lower().rstrip("/").rsplit("/", 1)[-1]).strip("-")[:60] or "run"
    tails = [path.name[len(stem) + 1 :] for path in Path("runs").glob(f"{stem}-*")]
    return Path("runs") / f"{stem}-{max((int(t) for t in tails if re.fullmatch('[0-9]{1,9}', t)), default=0) + 1:03d}"


def _claim(folder: Path, *, resume: bool) -> tuple[list[Path], bool, FileLock]:
    """Make the folder, lock it, mark it; returns the folders made, the innermost first, whether it is new, the lock."""
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--out {folder}: expected a folder, got a file; choose another name.")
        _check_own(folder, resume=resume)
        made = [path for path in (folder, *folder.parents) if not path.exists()]
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--out {folder}: cannot be looked into ({reason}); choose another place.") from None
    lock = FileLock(folder / LOCK, timeout=1)  # `clens runs` may look at it for a moment
    is_new = False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        _check_own(folder, resume=resume)  # another process may have begun, and ended, meanwhile
        is_new = not (folder / RUN_FILE).exists()
        if is_new:
            write_text(folder / RUN_FILE, _marker())  # what cannot be written, or a full disk, is found before the run
        else:
            check_file(folder / RUN_FILE)
    except Timeout:
        raise InputError(
            f"--out {folder}: another process is writing this run; wait until it has ended, or choose another folder."
        ) from None
    except InputError:
        _leave(folder, made, own=is_new)
        _unlock(lock)
        raise
    except (OSError, ValueError, NotImplementedError) as error:
        _leave(folder, made, own=is_new)
        _unlock(lock)
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--out {folder}: cannot be made ({reason}); choose another place.") from None
    return made, is_new, lock


def _check_own(folder: Path, *, resume: bool) -> None:
    """Refuse a folder that holds anything but a sweep to go on with; what a killed process was writing is nothing."""
    held = folder.is_dir() and any(p.name != LOCK and not p.name.endswith(".partial") for p in folder.iterdir())
    if held and not (resume and _is_sweep(folder)):
        what = "another run" if (folder / RUN_FILE).exists() else "other files"
        raise InputError(
            f"--out {folder}: holds {what}; choose another folder, delete this one, or leave --out away to get a new "
            "numbered one."
        )


def _is_sweep(folder: Path) -> bool:
    """Whether a sweep was begun there: by its run.json, or by what it kept where that file is damaged."""
    try:
        run = json.loads((folder / RUN_FILE).read_text("utf-8"))
        began = run["status"] == "running" or isinstance(run["created"], str)
        return bool(began) and run.get("kind", "sweep") == "sweep"
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return (folder / CELLS).is_dir()


def _unlock(lock: FileLock) -> None:
    if lock.is_locked:
        with suppress(OSError):
            Path(lock.lock_file).unlink(missing_ok=True)  # while it is held; who opened it meanwhile opens it again
    lock.release()


def _leave(folder: Path, made: list[Path], *, own: bool) -> None:
    """Take away what was made, as far as it is still empty; `own`: this process holds it and wrote its run.json."""
    with suppress(OSError, ValueError):
        if own:
            (folder / RUN_FILE).unlink()
    with suppress(OSError, ValueError):
        (folder / CELLS).rmdir()
    with suppress(OSError, ValueError):
        if made and own:
            (folder / LOCK).unlink(missing_ok=True)
        for path in made:
            path.rmdir()
