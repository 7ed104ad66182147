"""A place that a URL names, through fsspec: object stores, and whatever else it knows."""

import functools
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from creativity_lens.errors import InputError, nearest
from creativity_lens.storage import failures
from creativity_lens.storage.folder import Folder
from creativity_lens.storage.places import Storage, checked, is_name, split_url

INSTALL = "pip install 'creativity-lens[storage]'"
_USUAL = ("s3", "gs", "az", "memory", "file", "sftp", "http", "https")  # that a message names
_STORES = ("s3", "gs", "az")  # whose first part is a bucket
_OURS = ("s3", "gs")  # whose packages the extra installs
_WAITS = (1.0, 4.0, 16.0)  # seconds before a request that failed in passing is made again
_BLOCK = 8 * 2**20  # bytes copied at a time
# botocore asks three times by itself, after under a second each: a mistyped address is told in seconds, also where
# packets vanish. Files are read in one request (max_concurrency) rather than asked for their size first.
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {
        "use_listings_cache": False,
        "max_concurrency": 1,
        "config_kwargs": {
            "retries": {"total_max_attempts": 3, "mode": "standard"},
            "connect_timeout": 5,
            "read_timeout": 30,
        },
    },
    "gs": {"use_listings_cache": False},
    "az": {"use_listings_cache": False},
}
_CREATING = threading.Lock()  # memory:// looks and then writes
T = TypeVar("T")


def open_storage(place: str | Path) -> Storage:
    """The storage at a local path or a URL. A URL is tried at once; a local folder is made with its first file.

    Raises `InputError` for an unknown scheme (the nearest is offered), a package that is missing, a URL without
    a bucket or with a password, a bucket that does not exist, credentials that are missing or do not suffice, and
    a store that cannot be reached.

    >>> open_storage("runs/mine")
    Folder(place='runs/mine', root=PosixPath('runs/mine'))
    """
    storage = without_trying(place)
    if isinstance(storage, Remote):
        storage.try_once()
    return storage


def without_trying(place: str | Path) -> "Folder | Remote":
    """The storage at a place, whatever is there: wrong URLs are refused, but nothing is asked."""
    found = split_url(place)
    if found is None:
        return Folder(str(place), Path(place))
    scheme, rest = found
    if scheme in ("file", "local"):
        if not rest.startswith("/"):
            raise InputError(
                f"{place}: expected a local folder as file:///folder/run; got a host, '{rest.split('/')[0]}'."
            )
        return Folder(str(place), Path(rest))
    url = f"{scheme}://{rest}".rstrip("/") if rest.strip("/") else f"{scheme}://"
    if "@" in rest.split("/")[0] and ":" in rest.split("@")[0]:
        shown = f"{scheme}://...@{rest.split('@', 1)[1]}"
        raise InputError(
            f"{shown}: holds a password, which would be written down with the run; expected a URL without one: give it "
            "by the environment or a file of the store's package."
        )
    if failures.store_of(scheme) in _STORES and not rest.split("/")[0]:
        raise InputError(f"{place}: expected a bucket, as in {scheme}://bucket/runs/mine.")
    top = f"{scheme}://{rest.split('/')[0]}"
    return Remote(url, scheme, top, _connected(top, scheme, os.getpid())._strip_protocol(url).rstrip("/"))


@dataclass(frozen=True)
class Remote:
    """A place that a URL names. See `Storage` for what the methods guarantee.

    It holds no connection, so that it can be sent to other processes; each has one of its own.

    An object store puts a file whole. Elsewhere (`sftp://`) a reader may meet a half of it while it is written.
    """

    place: str
    scheme: str
    top: str  # scheme and bucket or host: what a connection is made to
    root: str  # the folder's path as the file system names it

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None where there is none."""
        path = self._path(name)
        try:
            return self._asked("be read", lambda system: system.cat_file(path))
        except FileNotFoundError as error:
            self._check_bucket(error)
            return None

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""
        path = self._path(name)
        try:
            return self._asked("be read", lambda system: system.info(path))["type"] == "file"
        except FileNotFoundError as error:
            self._check_bucket(error)
            return False

    def write(self, name: str, data: bytes) -> None:
        """Write a file, in the place of an older one."""
        path = self._path(name)
        try:
            self._asked("be written", lambda system: system.pipe_file(path, data))
        except FileNotFoundError:
            self._make_folder(path)
            self._asked("be written", lambda system: system.pipe_file(path, data))

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one of that name.

        S3 and Google Cloud Storage decide between several processes, and `memory://` between threads. Of stores that
        do not know or do not heed the condition, the last one's bytes remain: who must be sure reads them again.
        """
        if self.has(name):
            return self.read(name) == data
        path = self._path(name)
        try:
            self._asked("be written", lambda system: _put_new(system, path, data))
        except FileNotFoundError:
            self._make_folder(path)
            self._asked("be written", lambda system: _put_new(system, path, data))
        except FileExistsError:
            return self.read(name) == data
        return True

    def names(self, folder: str = "") -> list[str]:
        """Names of all files below `folder`, as seen from the place, sorted; others' files of unsafe names left out."""
        try:
            found = self._asked(
                "be listed", lambda system: _listed(system, self._path(folder) if folder else self.root)
            )
        except FileNotFoundError as error:
            self._check_bucket(error)
            return []
        inside = (path.removeprefix(f"{self.root}/") for path in found if path.startswith(f"{self.root}/"))
        return sorted(name for name in inside if is_name(name))

    def delete(self, name: str) -> None:
        """Delete a file; nothing where there is none."""
        path = self._path(name)
        try:
            self._asked("be deleted", lambda system: system.rm_file(path))
        except FileNotFoundError as error:
            self._check_bucket(error)

    def within(self, folder: str) -> "Remote":
        """The place of a folder in this one. It need not exist."""
        return replace(self, place=f"{self.place}/{checked(folder)}", root=f"{self.root}/{folder}")

    def copy_to(self, path: Path, largest: int) -> None:
        """Copy the file at this place into a new local file. Refuses a file of more than `largest` bytes."""
        try:
            self._asked("be read", lambda system: _copied(system, self, path, largest))
        except FileNotFoundError as error:
            self._check_bucket(error)
            which = "no such file" if self._has_buckets else "no such file, or no answer"  # not all packages tell
            raise InputError(f"{self.place}: {which}; check the URL.") from None

    def try_once(self) -> None:
        """Ask for a name that is not there: tells missing buckets and credentials, and stores that do not answer."""
        try:
            self._asked("be listed", lambda system: _listed(system, f"{self.root}/.none"), waits=())
        except FileNotFoundError as error:
            if self._has_buckets:
                raise failures.no_bucket(self.place, self.scheme) from None
            self._check_bucket(error)

    @property
    def _has_buckets(self) -> bool:
        return failures.store_of(self.scheme) in _STORES

    def _path(self, name: str) -> str:
        return f"{self.root}/{checked(name)}"

    def _check_bucket(self, error: FileNotFoundError) -> None:
        if failures.is_missing_bucket(error):
            raise failures.no_bucket(self.place, self.scheme) from None

    def _make_folder(self, path: str) -> None:
        """Stores have no folders: there it is the bucket that is missing, and that is the user's to make."""
        if self._has_buckets:
            raise failures.no_bucket(self.place, self.scheme) from None
        self._asked("be written", lambda system: system.makedirs(path.rsplit("/", 1)[0], exist_ok=True))

    def _asked(self, doing: str, ask: Callable[[Any], T], waits: tuple[float, ...] | None = None) -> T:
        """What the file system answers; what fails in passing is asked again. All else becomes one line.

        `FileNotFoundError` and `FileExistsError` pass: what they mean depends on what was asked.
        """
        system = _connected(self.top, self.scheme, os.getpid())
        left = list(_WAITS if waits is None else waits)
        while True:
            try:
                return ask(system)
            except (FileNotFoundError, FileExistsError, InputError):
                raise
            except Exception as error:  # each package raises errors of its own
                if not left or not failures.passes(error):
                    raise failures.refused(self.place, self.scheme, doing, error) from None
            time.sleep(left.pop(0))


@functools.cache
def _connected(top: str, scheme: str, process: int) -> Any:
    """The file system of a URL's scheme and host, once per process: connections do not outlive a fork."""
    import fsspec
    from fsspec.registry import known_implementations, registry

    store = failures.store_of(scheme)
    known = {*known_implementations, *registry}
    if scheme not in known:
        hint = nearest(scheme, [*_USUAL, *sorted(known)])
        raise InputError(f"{top}: unknown scheme '{scheme}'; expected one of {', '.join(_USUAL)}.{hint}")
    for package in ("gcsfs", "s3fs"):  # what is wrong is told once, by us; who set up logging still sees theirs
        logging.getLogger(package).addHandler(logging.NullHandler())
    try:
        system, _ = fsspec.url_to_fs(f"{top}/a", skip_instance_cache=True, **_OPTIONS.get(store, {}))
    except ImportError as error:
        do = f"run {INSTALL}" if store in _OURS else " ".join(str(error).split())
        raise InputError(f"{top}: expected the package that reads {scheme}://, which is not installed; {do}.") from None
    except Exception as error:  # each package raises errors of its own
        raise failures.refused(top, scheme, "be opened", error) from None
    if store == "s3":
        system.retries = 1  # botocore has asked three times, and `Remote` asks again
    return system


def _listed(system: Any, path: str) -> list[str]:
    system.invalidate_cache()  # for those that keep listings all the same: other workers write there too
    return list(system.find(path))


def _put_new(system: Any, path: str, data: bytes) -> None:
    """Raises `FileExistsError` where the name is taken, as far as the store can tell."""
    with _CREATING:
        try:
            system.pipe_file(path, data, mode="create")
        except Exception as error:  # each package raises errors of its own
            if failures.is_taken(error):
                raise FileExistsError(path) from None
            if not failures.is_unsupported(error):
                raise
            system.pipe_file(path, data)


def _copied(system: Any, remote: Remote, path: Path, largest: int) -> None:
    """A block at a time, so that a file is bounded by what was read of it, whatever its server said of it."""
    if system.info(remote.root)["type"] != "file":  # a folder could be read as an empty file
        raise FileNotFoundError(remote.place)
    done = 0
    with system.open(remote.root, "rb") as source, path.open("wb") as target:
        while block := source.read(_BLOCK):
            done += len(block)
            if done > largest:
                raise InputError(
                    f"{remote.place}: larger than {largest:,} bytes, the most that is fetched; give a smaller file."
                )
            target.write(block)
