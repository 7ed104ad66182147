"""Run folders: `runs/NAME/`, claimed before anything runs, never mixed with another run's, never left behind empty."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from creativity_lens.errors import InputError
from creativity_lens.files import whole_file, write_text

RUN_FILE = "run.json"
DIRECTIONS_FILE = "directions.safetensors"
SCORER_FILE = "scorer.safetensors"  # of a run in which a layer reads the concept
SCORING_FILE = "scoring.safetensors"  # directions that score, at every layer; the scorer's is one of them
TABLE_FILE = "sweep.csv"  # there as soon as anything was measured
AUDIT_FILE = "audit.csv"  # the same, of an audit


@contextmanager
def new_run(out: str | Path | None, model_name: str) -> Iterator[Path]:
    """A folder for a new run: `out`, or the next free `runs/MODEL-001`. It is made and tried at once.

    Where the block fails before anything was measured, the folder is gone again. A folder that this process claimed by
    an outer `new_run` is taken as it is. Raises `InputError` where `out` holds another run or anything else, or cannot
    be written; a `KeyboardInterrupt` passes on with what became of the run as its message.

    >>> with new_run("runs/mine", "gpt2") as folder:      # doctest: +SKIP
    ...     sweep.save(folder)
    """
    folder = Path(out) if out is not None else _next_number(model_name)
    claimed = _is_claimed(folder)
    made = [] if claimed else _claim(folder)
    try:
        yield folder
    except BaseException as error:
        kept = any((folder / name).exists() for name in (TABLE_FILE, AUDIT_FILE))
        if not kept and not claimed:
            _leave(folder, made)
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"{folder} holds what was finished" if kept else "nothing was written") from None
        raise


def check_file(path: str | Path) -> None:
    """Refuse a file that could not be written later, before work is spent on it; nothing is left there."""

    class _Tried(Exception):  # noqa: N818  it is no error
        pass

    with suppress(_Tried), whole_file(Path(path)):
        raise _Tried


def owned_folder(folder: str | Path, created: str) -> Path:
    """A folder that the run of that creation time may write into: its own, an empty one, or a new one."""
    folder = Path(folder)
    if not _is_claimed(folder) and _creation(folder) != created:
        _claim(folder)
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


def _is_claimed(folder: Path) -> bool:
    try:
        return (folder / RUN_FILE).read_text("utf-8") == _marker()
    except (OSError, ValueError):
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


def _claim(folder: Path) -> list[Path]:
    """Make the folder and write its marker; returns the folders that were made, the innermost first."""
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--out {folder}: expected a folder, got a file; choose another name.")
        if folder.is_dir() and any(folder.iterdir()):
            what = "another run" if (folder / RUN_FILE).exists() else "other files"
            raise InputError(
                f"--out {folder}: holds {what}; choose another folder, delete this one, or leave --out away to get a "
                "new numbered one."
            )
        made = [path for path in (folder, *folder.parents) if not path.exists()]
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--out {folder}: cannot be looked into ({reason}); choose another place.") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / RUN_FILE, _marker())  # what cannot be written, or a full disk, is found before the run
    except InputError:
        _leave(folder, made)
        raise
    except (OSError, ValueError) as error:
        _leave(folder, made)
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--out {folder}: cannot be made ({reason}); choose another place.") from None
    return made


def _leave(folder: Path, made: list[Path]) -> None:
    with suppress(OSError, ValueError):
        if _is_claimed(folder):
            (folder / RUN_FILE).unlink()
        for path in made:
            path.rmdir()
