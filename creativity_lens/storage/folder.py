"""A local folder, also one on a shared file system."""

import errno
import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from creativity_lens.errors import InputError
from creativity_lens.files import whole_file
from creativity_lens.storage.places import checked

_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)  # what file systems without links say
_BROKEN_OFF = re.compile(r"\..*\.partial")  # what a killed process leaves of `whole_file`


@dataclass(frozen=True)
class Folder:
    """A local folder; it is made with the first file. See `Storage` for what the methods guarantee."""

    place: str
    root: Path

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None where there is none."""
        path = self.root / checked(name)
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({_reason(error)}); check the folder's rights.") from None

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return (self.root / checked(name)).is_file()

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all; flushed to disk before it gets its name."""
        with whole_file(self._placed(name)) as temporary:
            temporary.write_bytes(data)

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one of that name; of several processes one alone gets True."""
        path = self._placed(name)
        temporary = path.parent / f".{secrets.token_hex(8)}.partial"
        try:
            with temporary.open("xb") as written:
                written.write(data)
                written.flush()
                os.fsync(written.fileno())
            _named(temporary, path, data)
            return True
        except FileExistsError:
            return path.is_file() and self.read(name) == data
        except OSError as error:
            raise InputError(f"{path}: cannot be made ({_reason(error)}); choose another place.") from None
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def names(self, folder: str = "") -> list[str]:
        """Names of all files below `folder`, as seen from the place, sorted; none of a write that was broken off."""
        top = self.root / checked(folder) if folder else self.root
        found: list[str] = []
        for where, _, files in os.walk(top, onerror=_refuse):
            inside = Path(where).relative_to(self.root)
            found += [(inside / file).as_posix() for file in files if not _BROKEN_OFF.fullmatch(file)]
        return sorted(found)

    def delete(self, name: str) -> None:
        """Delete a file; nothing where there is none."""
        path = self.root / checked(name)
        try:
            path.unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise InputError(f"{path}: cannot be deleted ({_reason(error)}); check the folder's rights.") from None

    def within(self, folder: str) -> "Folder":
        """The place of a folder in this one. It need not exist."""
        return replace(self, place=f"{self.place.rstrip('/')}/{checked(folder)}", root=self.root / folder)

    def _placed(self, name: str) -> Path:
        path = self.root / checked(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            reason = _reason(error)
            raise InputError(f"{path.parent}: the folder cannot be made ({reason}); choose another place.") from None
        return path


def _named(temporary: Path, path: Path, data: bytes) -> None:
    """Give a written file its name. Raises `FileExistsError` where the name is taken."""
    try:
        os.link(temporary, path)  # never shows a half
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with path.open("xb") as written:
            written.write(data)


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise InputError(f"{error.filename}: cannot be listed ({_reason(error)}); check the folder's rights.") from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
