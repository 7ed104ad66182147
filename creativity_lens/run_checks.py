"""Whether a run is as it was written: every file and kept result against its checksum, and the whole as it is read.

Also the one way to load a run of any kind, from a folder or from object storage.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from creativity_lens.audit.audit import Audit
from creativity_lens.cell_store import CellStore
from creativity_lens.errors import InputError
from creativity_lens.files import sha256_of
from creativity_lens.run_listing import (
    AUDIT,
    BROKEN_OFF,
    FINISHED,
    RUNNING,
    SWEEP,
    cells_of,
    files_of,
    kind_of,
    leftovers_of,
    read_description,
    root_of,
    status_of,
)
from creativity_lens.runs import (
    AUDIT_FILE,
    CELLS,
    DIRECTIONS_FILE,
    RUN_FILE,
    SCORER_FILE,
    SCORING_FILE,
    TABLE_FILE,
)
from creativity_lens.storage import Storage, fetch, open_storage
from creativity_lens.tables import SCORES_FILE, TEXTS_FILE, read_run
from creativity_lens.validation.validation import META_FILE as RATINGS_FILE

# What a finished run's tables are in, whether or not its run.json vouches for them.
UNSIGNED = (
    TABLE_FILE, TEXTS_FILE, SCORES_FILE, DIRECTIONS_FILE, SCORER_FILE, SCORING_FILE, AUDIT_FILE, "gamma.csv",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """A run with its tables; an unfinished one has its description alone, and empty tables."""

    place: str
    kind: str  # sweep, audit, or another, whose tables are not read
    status: str
    run: dict[str, Any]  # run.json, `files` with its checksums included
    table: pd.DataFrame
    texts: pd.DataFrame

    @property
    def hashes(self) -> dict[str, str]:
        """The SHA-256 of the run's files, by name."""
        files = self.run.get("files")
        return {str(name): str(sha) for name, sha in files.items()} if isinstance(files, Mapping) else {}


@dataclass(frozen=True)
class Check:
    """What was checked and what was found: `wrong` has one line for each damage, `notes` what is no damage."""

    wrong: tuple[str, ...]
    notes: tuple[str, ...]
    files: int
    cells: int


def load_run(place: str | Path) -> LoadedRun:
    """The run in a folder or at a storage URL, its tables checked as they are read.

    Raises `InputError` where a finished run is damaged.

    >>> load_run("runs/pocket-chat-001").table             # doctest: +SKIP
    """
    run = read_description(open_storage(place))
    kind, status = kind_of(run), status_of(place, run)
    table, texts = pd.DataFrame(), pd.DataFrame()
    if status == FINISHED and kind in (AUDIT, SWEEP):
        with _local(place, run) as folder:
            table, texts = _tables(folder, kind)
    return LoadedRun(str(place), kind, status, run, table, texts)


def check_run(place: str | Path) -> Check:
    """Check every file of a run that it has a checksum of, and that the whole can be read. Nothing is changed.

    An unfinished run's kept results are checked too. Never an error: what is wrong is in the answer.
    """
    wrong: list[str] = []
    notes: list[str] = []
    storage = open_storage(place)
    try:
        files = files_of(place)
        run = read_description(storage)
    except (InputError, OSError) as error:
        return Check((_without(place, str(error)),), (), 0, 0)
    status = status_of(place, run)
    hashes = _hashes(run, wrong)
    if status == FINISHED and (unknown := [name for name in files if name in UNSIGNED and name not in hashes]):
        notes.append(f"{', '.join(unknown)}: not checked, for {RUN_FILE} holds no checksum of it")
    if status == FINISHED:
        # while a run goes on, or where it broke off, tables and run.json may be of two moments
        wrong += [said for name, expected in hashes.items() if (said := _differs(storage, place, name, expected))]
    if RATINGS_FILE in files:
        try:
            rated = _hashes(read_description(storage, RATINGS_FILE), wrong)
            wrong += [said for name, expected in rated.items() if (said := _differs(storage, place, name, expected))]
        except InputError as error:
            wrong.append(_without(place, str(error)))
    if not wrong and status == FINISHED:
        try:
            load_run(place)
        except InputError as error:
            wrong.append(_without(place, str(error)))
    cells = cells_of(files)
    store = CellStore(storage.within(CELLS))
    for name in cells:
        try:
            said = store.check(name.removeprefix(f"{CELLS}/"))
        except (InputError, OSError) as error:
            said = f"cannot be read ({error})"
        if said:
            wrong.append(f"{name}: {said}")
    if status == RUNNING:
        notes.append("it is being written now")
    else:
        notes += [f"{name}: left over from a write that broke off; harmless" for name in leftovers_of(files)]
    if status == BROKEN_OFF:
        notes.append(f"it was broken off; {len(cells)} results are kept")
    return Check(tuple(wrong), tuple(notes), len(hashes), len(cells))


def _tables(folder: Path, kind: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    if kind == AUDIT:
        audit = Audit.load(folder)
        return audit.table, audit.texts
    table, texts, _, _ = read_run(folder)
    return table, texts


@contextmanager
def _local(place: str | Path, run: Mapping[str, Any]) -> Iterator[Path]:
    """The run's folder; where that is on object storage, a folder with copies of its files for as long as needed."""
    root = root_of(place)
    if root is not None:
        yield root
        return
    with tempfile.TemporaryDirectory() as made:
        fetch(open_storage(place), Path(made), [RUN_FILE, *_hashes(run, [])])
        try:
            yield Path(made)
        except InputError as error:
            raise InputError(str(error).replace(made, str(place).rstrip("/"))) from None


def _hashes(run: Mapping[str, Any], wrong: list[str]) -> dict[str, str]:
    """The checksums that run.json holds, of names in its own folder alone."""
    files = run.get("files")
    if files is None:
        return {}
    if not isinstance(files, Mapping):
        wrong.append(f"{RUN_FILE}: damaged ('files' is no object)")
        return {}
    found = {}
    for name, sha in files.items():
        if len(PurePosixPath(name).parts) != 1 or name in ("..", RUN_FILE) or "\\" in name or "\0" in name:
            wrong.append(f"{RUN_FILE}: damaged (it names {name!r}, which is no file of this run)")
        else:
            found[name] = str(sha)
    return found


def _differs(storage: Storage, place: str | Path, name: str, expected: str) -> str:
    """What is wrong with a file; "" where its bytes are those that were written."""
    try:
        root = root_of(place)
        if root is None:
            data = storage.read(name)
            if data is None:
                raise FileNotFoundError
            found = hashlib.sha256(data).hexdigest()
        else:
            found = sha256_of(root / name)
    except FileNotFoundError:
        return f"{name}: no such file, though the run is finished"
    except (OSError, ValueError) as error:
        return f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})"
    return "" if found == expected else f"{name}: damaged (not as the run wrote it)"


def _without(place: str | Path, said: str) -> str:
    """A message without the folder before the file's name, and without what follows from it."""
    return said.removeprefix(f"{str(place).rstrip('/')}/").split("; run `clens")[0].rstrip(".")
