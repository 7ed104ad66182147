"""What a place to keep files offers, and which names and URLs it takes."""

import re
from pathlib import Path, PureWindowsPath
from typing import Protocol, runtime_checkable

from creativity_lens.errors import InputError

_LONGEST = 900  # bytes of a name: object stores take keys of 1,024, with the folder before it
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.:_-]+):(//.*)", re.DOTALL)  # two letters at least: C:// is a drive
_SQUEEZED = re.compile(r"(s3a?|gs|gcs|az|abfss?|memory|file):(/[^/].*)", re.DOTALL)  # what pathlib makes of a URL


@runtime_checkable
class Storage(Protocol):
    """A folder of files, by names with "/" between their parts.

    Names are relative, without "..": what a name says stays below the place. Every method raises `InputError` where the
    place cannot be reached or does not allow it.

    >>> storage = open_storage("s3://bucket/runs/mine")     # doctest: +SKIP
    >>> storage.write("run.json", b"{}")                    # doctest: +SKIP
    >>> storage.names()                                     # doctest: +SKIP
    ['run.json']
    """

    @property
    def place(self) -> str:
        """The place as the user gave it, for messages."""

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None where there is none."""

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all, in the place of an older one."""

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one of that name: True where it was written, False where one was there.

        Of several processes that create one name, one gets True where the store can decide it (a folder, S3, Google
        Cloud Storage). Bytes that are already there count as written, since an answer that was lost is asked for
        again: put something into them that no other process has.
        """

    def names(self, folder: str = "") -> list[str]:
        """Names of all files below `folder`, as seen from the place, sorted."""

    def delete(self, name: str) -> None:
        """Delete a file; nothing where there is none."""

    def within(self, folder: str) -> "Storage":
        """The place of a folder in this one. It need not exist."""


def is_url(place: str | Path) -> bool:
    """Whether a place is a URL ("s3://bucket/run") rather than a local path ("runs/mine", "C:\\runs").

    A URL that passed through `pathlib`, which makes "s3:/bucket/run" of it, is one too.

    >>> is_url("gs://bucket/run"), is_url("C:/runs")
    (True, False)
    """
    return split_url(place) is not None


def split_url(place: str | Path) -> tuple[str, str] | None:
    """Scheme in lower case and what stands behind "://"; None for a local path."""
    text = str(place)
    if found := _SCHEME.fullmatch(text):
        return found[1].lower(), found[2][2:]
    if found := _SQUEEZED.fullmatch(text):
        return found[1], found[2] if found[1] == "file" else found[2][1:]
    return None


def checked(name: str) -> str:
    """The name, if it is one that stays below its place, else an `InputError`."""
    parts = name.split("/")
    outside = any(part in ("", ".", "..") for part in parts) or PureWindowsPath(name).drive
    if outside or "\\" in name or not name.isprintable() or len(name.encode("utf-8", "replace")) > _LONGEST:
        raise InputError(
            f"'{name[:200]}': expected the name of a file inside its folder, such as cells/a.cell, without '..', "
            "without a leading '/' and without a backslash; rename it."
        )
    return name


def is_name(name: str) -> bool:
    """Whether `checked` would take it: others' files in a bucket may have any name."""
    try:
        return bool(checked(name))
    except InputError:
        return False
