"""The files of a run's folder, `runs/NAME/`, and how a run is found again and known to be the same."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError
from creativity_lens.files import whole_file
from creativity_lens.inputs import described, differences

RUN_FILE = "run.json"
DIRECTIONS_FILE = "directions.safetensors"
SCORER_FILE = "scorer.safetensors"  # of a run in which a layer reads the concept
SCORING_FILE = "scoring.safetensors"  # directions that score, at every layer; the scorer's is one of them
TABLE_FILE = "sweep.csv"  # there as soon as anything was measured
AUDIT_FILE = "audit.csv"  # the same, of an audit
CELLS = "cells"  # the folder of kept results in a run's folder
LOCK, LEASE = ".lock", "lease"  # who writes a run: on a file system, on object storage


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


def find_run(folder: str | Path) -> Path:
    """The folder of a finished or broken-off run, or an `InputError` that says what is missing."""
    folder = Path(folder)
    if not (folder / RUN_FILE).is_file():
        raise InputError(f"{folder}: expected a run folder with {RUN_FILE}, as `clens sweep` writes.")
    return folder


def newest_run(file: str, within: str | Path = "runs") -> Path | None:
    """The folder below `within` whose run began last among those that hold `file`; None where there is none."""
    folders = (path.parent for path in Path(within).glob(f"*/{file}"))
    return max(folders, key=lambda folder: created_at(folder) or "", default=None)


def created_at(folder: Path) -> str | None:
    """When a folder's run began, as its run.json says; None where there is no such run."""
    try:
        created = json.loads((folder / RUN_FILE).read_text("utf-8"))["created"]
        return created if isinstance(created, str) else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
