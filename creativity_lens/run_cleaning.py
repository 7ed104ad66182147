"""What may be removed from run folders, and removing it: kept results that nothing needs any more, and what broke.

A removal is planned first and carried out later. In between nothing is trusted: the run is locked, and left alone
where it has changed. Links are never followed.
"""

import fnmatch
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from creativity_lens.cell_store import CellStore
from creativity_lens.errors import InputError, nearest
from creativity_lens.run_checks import check_run
from creativity_lens.run_listing import (
    BROKEN_OFF,
    DAMAGED,
    FINISHED,
    RUNNING,
    RunEntry,
    cells_of,
    describe_place,
    files_of,
    leftovers_of,
    root_of,
    run_places,
)
from creativity_lens.runs import CELLS, LOCK, RUN_FILE
from creativity_lens.storage import open_storage

# What a run's folder holds beside its kept results; anything else is somebody's own, and stays.
OWN = (
    "run.json", "sweep.csv", "generations.parquet", "scores.parquet", "directions.safetensors", "scorer.safetensors",
    "scoring.safetensors", "report.html", "audit.csv", "audit.parquet", "gamma.csv", "texts.jsonl", "ratings.csv",
    "ratings.parquet", "ratings.json", LOCK,
)  # fmt: skip


@dataclass(frozen=True)
class Removal:
    """Files of one run that may go, and why."""

    place: str
    name: str
    what: str
    files: tuple[str, ...]
    size: int
    seen: str  # SHA-256 of run.json when this was planned
    whole: bool = False  # whether the run itself goes


@dataclass(frozen=True)
class Cleaning:
    """What may go, and a sentence for each run that is left alone though something could have gone."""

    removals: tuple[Removal, ...]
    left: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes that removing it all sets free."""
        return sum(removal.size for removal in self.removals)


def plan_cleaning(place: str | Path, *, broken: Sequence[str] = ()) -> Cleaning:
    """What may be removed from the runs in a folder; nothing is removed.

    Kept results of finished runs whose every file passes its check; damaged results; leftovers of broken writes; and
    the runs that were broken off, or whose run.json is damaged, where a pattern of `broken` fits their name. A run that
    a process is writing is left alone. Raises `InputError` for a pattern that fits no such run.

    >>> plan_cleaning("runs", broken=["gpt2-*"]).size          # doctest: +SKIP
    """
    if root_of(place) is None:
        raise InputError(f"{place}: expected a local folder; remove what lies on object storage with its own tools.")
    entries = []
    left = []
    for each in run_places(place):
        if Path(each).is_symlink():
            left.append(f"{Path(each).name}: a link, which is not followed")
        else:
            entries.append(describe_place(each))
    named = _named(entries, broken)
    removals: list[Removal] = []
    for entry in entries:
        if entry.status == RUNNING:
            left.append(f"{entry.name}: is being written now")
        elif entry.name in named:
            found, said = _whole(entry)
            removals.append(found)
            left += said
        else:
            own, said = _parts(entry)
            removals += own
            left += said
    return Cleaning(tuple(removals), tuple(left))


def carry_out(removal: Removal) -> str:
    """Remove it; the answer is "" or why it was left alone. Raises `InputError` for a file that cannot be removed."""
    root = Path(removal.place)
    with _locked(root) as refused:
        if refused:
            return f"{removal.name}: {refused}"
        if _seen(root) != removal.seen:
            return f"{removal.name}: has changed meanwhile"
        for name in removal.files:
            if name != LOCK:
                _remove(root, name)
        with suppress(OSError):
            (root / CELLS).rmdir()  # where nothing is left in it
    if removal.whole:
        with suppress(OSError):
            root.rmdir()
    return ""


def _named(entries: Sequence[RunEntry], broken: Sequence[str]) -> set[str]:
    """The names of broken-off runs that were asked for."""
    able = {entry.name for entry in entries if entry.status in (BROKEN_OFF, DAMAGED)}
    others = {entry.name: entry.status for entry in entries if entry.name not in able}
    found: set[str] = set()
    for pattern in broken:
        fits = {name for name in able if fnmatch.fnmatchcase(name, pattern)}
        if not fits and pattern in others:
            said = "is being written now" if others[pattern] == RUNNING else "is finished: delete its folder yourself"
            raise InputError(f"--broken {pattern}: expected a run that was broken off; this one {said}.")
        if not fits:
            raise InputError(f"--broken {pattern}: fits no run that was broken off here.{nearest(pattern, able)}")
        found |= fits
    return found


def _whole(entry: RunEntry) -> tuple[Removal, list[str]]:
    """The whole run, but for files that no run writes."""
    files = files_of(entry.place)
    known = {name for name in files if name in OWN} | {*cells_of(files), *leftovers_of(files)}
    others = [name for name in files if name not in known]
    more = " ..." if len(others) > 1 else ""
    said = [f"{entry.name}: {len(others)} files that no run writes stay ({others[0]}{more})"] if others else []
    last = sorted(known, key=lambda name: (name == RUN_FILE, name))  # as long as it is there, this can be done again
    what = "a run that was broken off" if entry.status == BROKEN_OFF else "a run whose run.json is damaged"
    return _removal(entry, f"{what}, with {entry.cells} results", last, files, whole=True), said


def _parts(entry: RunEntry) -> tuple[list[Removal], list[str]]:
    """What nothing needs: of a finished run all cells, of others those that are damaged; leftovers of both."""
    files = files_of(entry.place)
    cells, leftovers = cells_of(files), leftovers_of(files)
    found, left = [], []
    if leftovers:
        found.append(_removal(entry, f"{len(leftovers)} leftovers of broken writes", leftovers, files))
    linked = (Path(entry.place) / CELLS).is_symlink()
    if linked:
        left.append(f"{entry.name}: {CELLS} is a link, which is not followed")
    if entry.status == FINISHED and cells:
        wrong = [said for said in check_run(entry.place).wrong if not said.startswith(f"{CELLS}/")]
        if not wrong:
            found.append(_removal(entry, f"{len(cells)} results of a finished run", cells, files))
            return found, left
        left.append(f"{entry.name}: its results stay, for the run needs them to be mended ({wrong[0]})")
    store = CellStore(open_storage(entry.place).within(CELLS))
    damaged = [name for name in cells if _is_damaged(store, name.removeprefix(f"{CELLS}/"))]
    if damaged:
        found.append(_removal(entry, f"{len(damaged)} damaged results", damaged, files))
    return found, left


def _is_damaged(store: CellStore, name: str) -> bool:
    try:
        return bool(store.check(name))
    except (InputError, OSError):  # one that cannot be read is not known to be damaged
        return False


def _removal(
    entry: RunEntry, what: str, names: Sequence[str], files: Mapping[str, int | None], *, whole: bool = False
) -> Removal:
    size = sum(files[name] or 0 for name in names)
    return Removal(entry.place, entry.name, what, tuple(names), size, _seen(Path(entry.place)), whole)


def _seen(root: Path) -> str:
    try:
        return hashlib.sha256((root / RUN_FILE).read_bytes()).hexdigest()
    except OSError as error:
        return f"cannot be read: {error.errno}"


@contextmanager
def _locked(root: Path) -> Iterator[str]:
    """Hold the run's lock, so that no process begins to write meanwhile; yields why that cannot be, or ""."""
    lock = FileLock(root / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        yield "is being written now"
        return
    except (OSError, NotImplementedError) as error:
        yield f"cannot be locked ({getattr(error, 'strerror', None) or error})"
        return
    try:
        yield ""
    finally:
        with suppress(OSError):
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _remove(root: Path, name: str) -> None:
    path = root / name
    if path.parent.is_symlink():  # turned into a link since it was planned
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be removed ({error.strerror or error}); what is left stays as it is."
        ) from None
