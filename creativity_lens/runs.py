"""Run folders: `runs/NAME/`, made before anything runs and never mixed with another run's."""

import re
from pathlib import Path

from creativity_lens.errors import InputError
from creativity_lens.files import write_text

RUN_FILE = "run.json"


def new_run_folder(out: str | Path | None, model_name: str) -> Path:
    """A folder for a new run: `out`, or the next free `runs/MODEL-001`. It is made and tried at once.

    Raises `InputError` where `out` holds another run or anything else, or cannot be written.
    """
    if out is None:
        stem = re.sub(r"[^a-z0-9]+", "-", model_name.lower().rsplit("/", 1)[-1]).strip("-") or "run"
        numbers = [int(p.name[len(stem) + 1 :]) for p in Path("runs").glob(f"{stem}-*") if p.name[len(stem) + 1 :].isdecimal()]
        folder = Path("runs") / f"{stem}-{max(numbers, default=0) + 1:03d}"
    else:
        folder = Path(out)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--out {folder}: expected a folder, got a file; choose another name.")
        if folder.is_dir() and any(folder.iterdir()):
            what = "another run" if (folder / RUN_FILE).exists() else "other files"
            raise InputError(
                f"--out {folder}: holds {what}; choose another folder, delete this one, or leave --out away to get a new numbered one."
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be made ({error.strerror}); choose another place.") from None
    write_text(folder / RUN_FILE, "{}\n")  # a folder that cannot be written, or a full disk, is found now and not after the run
    return folder


def find_run(folder: str | Path) -> Path:
    """The folder of a finished or broken-off run, or an `InputError` that says what is missing."""
    folder = Path(folder)
    if not (folder / RUN_FILE).is_file():
        raise InputError(f"{folder}: expected a run folder with {RUN_FILE}, as `clens sweep` writes.")
    return folder
