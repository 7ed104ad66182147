"""What folders of runs hold, whatever state the runs are in. Nothing is written; no damage keeps a run off the list."""

import json
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError, nearest
from creativity_lens.runs import AUDIT_FILE, CELLS, LEASE, LOCK, RUN_FILE, TABLE_FILE
from creativity_lens.storage import Folder, Storage, is_url, open_storage

AUDIT, SWEEP = "audit", "sweep"  # kinds of runs
RUNS = "runs"  # the folder that runs are made in
PARTIAL = ".partial"  # the end of a file's name while it is written
FINISHED, BROKEN_OFF, RUNNING, DAMAGED = "finished", "broken off", "running", "damaged"
LARGEST = 2**26  # bytes of a run.json


@dataclass(frozen=True)
class RunEntry:
    """A run as a line of a list. Whatever its run.json does not say is empty."""

    name: str  # its folder in the folder of runs
    place: str  # where it is, as `open_storage` takes it
    status: str  # finished, broken off, running, damaged
    kind: str  # sweep, audit, gamma
    model: str
    outcome: str  # of the verdict
    chosen: str  # the chosen layer and strength
    created: str  # UTC
    cells: int  # kept results
    size: int | None  # bytes; None where the storage does not say
    problem: str  # what is damaged


def list_runs(place: str | Path = RUNS) -> list[RunEntry]:
    """The runs in a folder or below a storage URL, or the one run that it is itself; the newest first.

    A run is a folder with run.json, whatever state that is in. Raises `InputError` where there is no such folder.

    >>> [(run.name, run.status) for run in list_runs("runs")]        # doctest: +SKIP
    [('pocket-chat-002', 'running'), ('pocket-chat-001', 'finished')]
    """
    found = [describe_place(each) for each in run_places(place)]
    return sorted(found, key=lambda run: (run.created, run.name), reverse=True)


def run_places(place: str | Path) -> list[str]:
    """Where the runs of a folder are, each as `open_storage` takes it, by name."""
    if root_of(place) is None:
        top = str(place).rstrip("/")
        names = open_storage(top).names()
        if RUN_FILE in names:
            return [top]
        folders = (name.split("/") for name in names)
        return [f"{top}/{parts[0]}" for parts in folders if parts[1:] == [RUN_FILE]]
    folder = root_of(place) or Path(place)
    try:
        if not folder.is_dir():
            what = "a file" if folder.exists() else "no such folder"
            raise InputError(f"{folder}: expected a folder that holds runs, got {what}; `clens sweep` makes {RUNS}.")
        if os.path.lexists(folder / RUN_FILE):
            return [str(folder)]
        return [str(each) for each in sorted(folder.iterdir()) if os.path.lexists(each / RUN_FILE)]
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{folder}: cannot be looked into ({reason}); expected a folder that holds runs.") from None


def find_place(run: str | Path) -> str:
    """Where a run is that was named: a folder, a storage URL, or the name of one in `runs`.

    Raises `InputError` where there is none, with the nearest name that there is.
    """
    if is_url(run):
        if not open_storage(run).has(RUN_FILE):
            raise InputError(f"{run}: expected a run with {RUN_FILE}, as `clens sweep` writes; there is none.")
        return str(run).rstrip("/")
    candidates = [Path(run), *([Path(RUNS) / run] if len(Path(run).parts) == 1 else [])]
    for folder in candidates:
        if os.path.lexists(folder / RUN_FILE):
            return str(folder)
    parent = candidates[-1].parent
    names = [path.parent.name for path in parent.glob(f"*/{RUN_FILE}")] if parent.is_dir() else []
    hint = nearest(Path(run).name, names)
    raise InputError(f"{run}: expected a run's folder with {RUN_FILE}, as `clens sweep` writes; there is none.{hint}")


def root_of(place: str | Path) -> Path | None:
    """The local folder that a place is; None of one on object storage."""
    if not is_url(place):
        return Path(place)
    storage = open_storage(place)
    return storage.root if isinstance(storage, Folder) else None


def files_of(place: str | Path) -> dict[str, int | None]:
    """The files of a run by name in it, sorted, with their bytes; None of those on object storage.

    Links are left out and never followed.
    """
    root = root_of(place)
    if root is None:
        return dict.fromkeys(open_storage(place).names())
    found: dict[str, int | None] = {}
    for top, _, names in os.walk(root, followlinks=False):
        for name in names:
            path = Path(top) / name
            with suppress(OSError):  # gone meanwhile
                about = path.lstat()
                if stat.S_ISREG(about.st_mode):
                    found[path.relative_to(root).as_posix()] = about.st_size
    return dict(sorted(found.items()))


def cells_of(files: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """The names of kept results among the names of a run's files."""
    return [name for name in files if name.startswith(f"{CELLS}/") and name.endswith(".cell")]


def leftovers_of(files: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """The names of files that were being written when their process ended."""
    return [name for name in files if name.rsplit("/", 1)[-1].startswith(".") and name.endswith(PARTIAL)]


def read_description(storage: Storage, name: str = RUN_FILE) -> dict[str, Any]:
    """What run.json says, or another file of an object. Raises `InputError`, saying what is damaged."""
    file = f"{storage.place}/{name}"
    data = storage.read(name)
    if data is None:
        raise InputError(f"{file}: no such file.")
    if len(data) > LARGEST:
        raise InputError(f"{file}: damaged ({len(data):,} bytes, expected at most {LARGEST:,}).")
    try:
        run = json.loads(data)
    except (ValueError, RecursionError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:80]
        raise InputError(f"{file}: damaged ({reason}).") from None
    if not isinstance(run, dict):
        raise InputError(f"{file}: damaged (expected an object).")
    return run


def status_of(place: str | Path, run: Mapping[str, Any]) -> str:
    """Finished, running now, or broken off."""
    if is_held(place):
        return RUNNING
    # audits of before they had a status wrote run.json last
    return FINISHED if run.get("status", FINISHED if "files" in run else "") == FINISHED else BROKEN_OFF


def is_held(place: str | Path) -> bool:
    """Whether a process is writing the run. The lock is looked at, never taken or broken.

    A lock that cannot be looked at counts as held, and so does a lease on object storage that was not given back: its
    process may be dead, which only the next one that wants to write there finds out.
    """
    root = root_of(place)
    if root is None:
        return _is_leased(open_storage(place).within(LEASE))
    file = root / LOCK
    if not os.path.lexists(file):
        return False
    try:
        import fcntl
    except ImportError:  # Windows has no shared lock
        return _is_held_elsewhere(file)
    try:
        with file.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def describe_place(place: str | Path) -> RunEntry:
    """A run as a line of a list; never an error for what is damaged."""
    about: dict[str, Any] = dict.fromkeys(("kind", "model", "outcome", "chosen", "created", "problem"), "")
    files: dict[str, int | None] = {}
    try:
        files = files_of(place)
        run = read_description(open_storage(place))
        about |= {"status": status_of(place, run), **_about(run, files)}
    except (InputError, OSError) as error:
        about |= {"status": RUNNING if is_held(place) else DAMAGED, "problem": str(error)}
    sizes = list(files.values())
    return RunEntry(
        name=str(place).rstrip("/").rsplit("/", 1)[-1] if is_url(place) else Path(place).resolve().name,
        place=str(place),
        cells=len(cells_of(files)),
        size=sum(size for size in sizes if size is not None) if None not in sizes else None,
        **about,
    )


def kind_of(run: Mapping[str, Any], files: Sequence[str] | Mapping[str, Any] = ()) -> str:
    """What a run is: "audit", "gamma" or "sweep"; "" where nothing tells."""
    known = run.get("kind")
    if isinstance(known, str):
        return known
    return AUDIT if AUDIT_FILE in files else SWEEP if "options" in run or TABLE_FILE in files else ""


def size_text(size: int | None) -> str:
    """Bytes in words: powers of ten.

    >>> size_text(532), size_text(12_345), size_text(6_970_000), size_text(None)
    ('532 B', '12 kB', '7.0 MB', '')
    """
    if size is None:
        return ""
    for unit, of in (("GB", 10**9), ("MB", 10**6)):
        if size >= of:
            return f"{size / of:.1f} {unit}"
    return f"{round(size / 1000)} kB" if size >= 1000 else f"{size} B"


def _about(run: Mapping[str, Any], files: Mapping[str, Any]) -> dict[str, str]:
    model, choice, verdict = (run.get(name) for name in ("model", "choice", "verdict"))
    stages = run.get("models")
    name = model.get("name") if isinstance(model, Mapping) else ""
    if isinstance(stages, Mapping):
        names = [about.get("name") for about in stages.values() if isinstance(about, Mapping)]
        name = " -> ".join(map(str, names))
    chosen = ""
    if isinstance(choice, Mapping) and choice.get("layer") is not None:
        strength = choice.get("strength")
        dose = f" x {strength:g}" if isinstance(strength, int | float) else ""
        chosen = f"layer {choice['layer']}{dose}"
    outcome = verdict.get("outcome") if isinstance(verdict, Mapping) else ""
    created = run.get("created")
    return {
        "kind": kind_of(run, files), "model": str(name or ""), "outcome": str(outcome or ""), "chosen": chosen,
        "created": created if isinstance(created, str) else "",
    }  # fmt: skip


def _is_leased(files: Storage) -> bool:
    """Whether the newest file of a lease does not say that it is free."""
    names = files.names()
    try:
        found = json.loads(files.read(names[-1]) or b"{}") if names else {"free": True}
    except (ValueError, RecursionError):
        return True
    return not (isinstance(found, dict) and found.get("free") is True)


def _is_held_elsewhere(file: Path) -> bool:
    from filelock import FileLock, Timeout

    try:
        with FileLock(file, timeout=0):
            return False
    except (Timeout, OSError):
        return True
