"""Files: written whole or not at all, hashed, and found again (the package's data, the user's cache, run folders)."""

import hashlib
import json
import math
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import platformdirs

from creativity_lens.errors import InputError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success it is flushed to disk and renamed, on any exception removed.

    A reader therefore sees the old file or the new one, never a half. Raises `InputError` for a place that cannot be
    written, also where that shows only while writing (a full disk), and for a folder or a device at `path`: the rename
    would put a file in its place.
    """
    path = Path(path)
    temporary = path.parent / f".{path.name[:50]}.{secrets.token_hex(4)}.partial"  # a long name must still fit
    try:
        _refuse_irregular(path)
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be written ({_reason(error)}); choose another place.") from None
    mode = stat.S_IMODE(os.fstat(handle).st_mode)  # what the user's umask leaves of 0666
    os.close(handle)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.chmod(mode)  # some writers put a file of their own, mode 0600, in the place of the temporary one
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: could not be written ({_reason(error)}); nothing was changed.") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _refuse_irregular(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
        raise InputError(f"{path}: expected the name of a file to write, got {what}; choose another name.")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole, line ends as they are; a lone surrogate, which UTF-8 has no bytes for, is escaped."""
    with whole_file(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write(temporary)` produce the file, then put it in place whole: for writers that want a file name."""
    with whole_file(path) as temporary:
        write(temporary)


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole, keys in the given order; NaN and infinities become null, since JSON has no name for them.

    Numbers and arrays of numpy and torch are written as plain numbers and lists.
    """
    write_text(path, json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """The value as JSON holds it: lists, dicts by string, numbers, None for what is not finite."""
    if hasattr(value, "tolist"):  # numpy's and torch's scalars and arrays
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def read_text(path: Path, what: str) -> str:
    """Read a UTF-8 file, or say in one line why it cannot be read. `what` names its role ("the pairs file")."""
    path = Path(path)
    try:
        if path.is_dir():  # raises for an over-long name
            raise InputError(f"{path}: expected {what}, got a folder.")
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected {what}.") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read ({_reason(error)}); expected {what}.") from None
    if b"\0" in data[:4096]:
        raise InputError(f"{path}: expected {what} as UTF-8 text, got a binary file.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        byte = len(data) - len(error.object) + error.start  # the object lacks the byte order mark
        raise InputError(f"{path}:{line}: not UTF-8 (byte {byte}); save the file as UTF-8.") from None


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_text(*parts: str) -> str:
    """Hex SHA-256 of several strings, each length-prefixed, so that ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def data_folder() -> Path:
    """The data that ship with the package: inside it when installed, beside it in a checkout."""
    inside = Path(__file__).parent / "data"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "data"


def cache_folder() -> Path:
    """Where activations are cached: `CLENS_CACHE`, or the user's cache folder. It is made when first written to."""
    chosen = os.environ.get("CLENS_CACHE")
    return Path(os.path.expanduser(chosen)) if chosen else Path(platformdirs.user_cache_dir("creativity-lens"))
