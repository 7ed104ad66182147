"""Run folders: `runs/NAME/`, held by one process at a time, never mixed with another run's, never left behind empty.

A run that was broken off, by whatever, is gone on with: its kept results are read, and what is missing is done.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from creativity_lens.cell_store import CELLS, CellStore
from creativity_lens.errors import InputError
from creativity_lens.files import cache_folder, sha256_text, whole_file, write_text
from creativity_lens.inputs import described, differences
from creativity_lens.storage import Storage, is_url, open_storage

RUN_FILE = "run.json"
DIRECTIONS_FILE = "directions.safetensors"
SCORER_FILE = "scorer.safetensors"  # of a run in which a layer reads the concept
SCORING_FILE = "scoring.safetensors"  # directions that score, at every layer; the scorer's is one of them
TABLE_FILE = "sweep.csv"  # there as soon as anything was measured
AUDIT_FILE = "audit.csv"  # the same, of an audit
LOCK, LEASE = ".lock", "lease.json"  # who writes a run: on a file system, on object storage


_HELD: dict[Path, Storage] = {}  # folders that this process writes, and where what is written there belongs


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
        with _remote_run(str(out), model_name, resume=resume) as folder:
            yield folder
        return
    folder = Path(out) if out is not None else _next_number(model_name)
    if _is_held(folder):
        yield folder
        return
    made, lock = _claim(folder, resume=resume)
    _HELD[folder.resolve()] = open_storage(folder)
    try:
        yield folder
    except BaseException as error:
        kept = any((folder / name).exists() for name in (TABLE_FILE, AUDIT_FILE)) or any(folder.glob(f"{CELLS}/*"))
        if not kept:
            _leave(folder, made)
        if isinstance(error, KeyboardInterrupt):
            again = f"; go on with --out {folder}" if resume else ""
            said = f"{folder} holds what was finished{again}" if kept else "nothing was written"
            raise KeyboardInterrupt(said) from None
        raise
    finally:
        del _HELD[folder.resolve()]
        _unlock(lock)


@contextmanager
def _remote_run(url: str, model_name: str, *, resume: bool) -> Iterator[Path]:
    """A local folder that stands for one on object storage: what is there comes here first, what is here goes there."""
    storage = open_storage(url)
    names = [name for name in storage.names() if "/" not in name and not name.startswith((".", LEASE))]
    if names and RUN_FILE not in names:
        raise InputError(f"--out {url}: holds other files; choose another folder.")
    if names and not resume:
        raise InputError(f"--out {url}: holds another run; choose another folder.")
    folder = cache_folder() / "runs" / sha256_text(url)[:16]
    with hold(storage, LEASE):
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier process; the storage has what counts
        folder.mkdir(parents=True)
        fetch(storage, folder, names)
        with new_run(folder, model_name, resume=True):
            _HELD[folder.resolve()] = storage
            try:
                yield folder
            finally:
                publish(folder, storage, sorted(path.name for path in folder.iterdir() if path.name[0] != "."))


def store_of(folder: Path) -> CellStore:
    """The kept results of a run whose folder this process holds, wherever they lie."""
    return CellStore(_HELD[folder.resolve()].within(CELLS))


def begun(folder: Path, run: Mapping[str, Any]) -> dict[str, Any] | None:
    """What run.json holds of the run that `run` goes on with; None where it is a new one, or that file is damaged.

    Raises `InputError` where the folder holds a run with other inputs: results of two runs are never mixed.
    """
    try:
        earlier = json.loads((folder / RUN_FILE).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(earlier, dict) or "created" not in earlier:
        return None
    if earlier.get("format") != run["format"]:
        raise InputError(
            f"--out {folder}: holds a run of format {earlier.get('format')}, expected {run['format']}; choose another "
            "folder."
        )
    if found := differences(earlier, run):
        name, theirs, ours = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise InputError(
            f"--out {folder}: holds a run with other inputs: {described(name)}{more}, expected {_short(theirs)} to go "
            f"on, got {_short(ours)}; choose another one."
        )
    return earlier


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def check_file(path: str | Path) -> None:
    """Refuse a file that could not be written later, before work is spent on it; nothing is left there."""

    class _Tried(Exception):  # noqa: N818  it is no error
        pass

    with suppress(_Tried), whole_file(Path(path)):
        raise _Tried


def owned_folder(folder: str | Path, created: str) -> Path:
    """A folder that the run of that creation time may write into: its own, an empty one, or a new one."""
    folder = Path(folder)
    if not _is_held(folder) and _creation(folder) != created:
        _unlock(_claim(folder, resume=False)[1])
    return folder


def find_run(folder: str | Path) -> Path:
    """The folder of a finished or broken-off run, or an `InputError` that says what is missing."""
    folder = Path(folder)
    if not (folder / RUN_FILE).is_file():
        raise InputError(f"{folder}: expected a run folder with {RUN_FILE}, as `clens sweep` writes.")
    return folder


def newest_run(file: str, within: str | Path = "runs") -> Path | None:
    """The folder below `within` whose run began last among those that hold `file`; None where there is none."""
    folders = (path.parent for path in Path(within).glob(f"*/{file}"))
    return max(folders, key=lambda folder: _creation(folder) or "", default=None)


def _marker() -> str:
    return json.dumps({"status": "running", "process": os.getpid()}) + "\n"


def _is_held(folder: Path) -> bool:
    try:
        return folder.resolve() in _HELD
    except (OSError, ValueError):  # no path at all
        return False


def _creation(folder: Path) -> str | None:
    try:
        created = json.loads((folder / RUN_FILE).read_text("utf-8"))["created"]
        return created if isinstance(created, str) else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _next_number(model_name: str) -> Path:
    stem = re.sub(r"[^a-z0-9]+", "-", model_name.lower().rstrip("/").rsplit("/", 1)[-1]).strip("-")[:60] or "run"
    tails = [path.name[len(stem) + 1 :] for path in Path("runs").glob(f"{stem}-*")]
    return Path("runs") / f"{stem}-{max((int(t) for t in tails if re.fullmatch('[0-9]{1,9}', t)), default=0) + 1:03d}"


def _claim(folder: Path, *, resume: bool) -> tuple[list[Path], FileLock]:
    """Make the folder, lock it, mark it; returns the folders that were made, the innermost first, and the lock."""
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--out {folder}: expected a folder, got a file; choose another name.")
        if folder.is_dir() and any(path.name != LOCK for path in folder.iterdir()):
            is_run = any((folder / name).exists() for name in (RUN_FILE, CELLS))
            if not (is_run and resume):
                what = "another run" if is_run else "other files"
                raise InputError(
                    f"--out {folder}: holds {what}; choose another folder, delete this one, or leave --out away to get "
                    "a new numbered one."
                )
        made = [path for path in (folder, *folder.parents) if not path.exists()]
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--out {folder}: cannot be looked into ({reason}); choose another place.") from None
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        if not (folder / RUN_FILE).exists():
            write_text(folder / RUN_FILE, _marker())  # what cannot be written, or a full disk, is found before the run
        else:
            check_file(folder / RUN_FILE)
    except Timeout:
        raise InputError(
            f"--out {folder}: another process is writing this run; wait until it has ended, or choose another folder."
        ) from None
    except InputError:
        _leave(folder, made)
        _unlock(lock)
        raise
    except (OSError, ValueError, NotImplementedError) as error:
        _leave(folder, made)
        _unlock(lock)
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--out {folder}: cannot be made ({reason}); choose another place.") from None
    return made, lock


def _unlock(lock: FileLock) -> None:
    if lock.is_locked:
        with suppress(OSError):
            Path(lock.lock_file).unlink(missing_ok=True)  # while it is held; who opened it meanwhile opens it again
    lock.release()


def _leave(folder: Path, made: list[Path]) -> None:
    """Take away what was made, as far as it is still empty."""
    with suppress(OSError, ValueError):
        if (folder / RUN_FILE).read_text("utf-8") == _marker():
            (folder / RUN_FILE).unlink()
    with suppress(OSError, ValueError):
        (folder / CELLS).rmdir()
    with suppress(OSError, ValueError):
        if made:
            (folder / LOCK).unlink(missing_ok=True)
        for path in made:
            path.rmdir()
