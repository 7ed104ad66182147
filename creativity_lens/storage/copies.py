"""Files of a local run folder sent to a storage, brought back, and one file of a URL read as a local one."""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from creativity_lens.errors import InputError
from creativity_lens.files import sha256_of
from creativity_lens.storage.folder import Folder
from creativity_lens.storage.places import Storage, checked
from creativity_lens.storage.remote import without_trying

PUBLISHED = "published.json"  # the sums of what was sent, beside it
_LARGEST = 2**30  # bytes of one file of a URL


def publish(folder: Path, storage: Storage, names: Iterable[str]) -> tuple[str, ...]:
    """Copy files of a local folder to a storage; returns the names that were sent.

    Those that are not in the folder, and those whose content was sent before, are left out. SHA-256 sums of what was
    sent are kept in `published.json` beside it; while a file is on its way it has none, so that a broken-off `publish`
    leaves no wrong sum. Raises `InputError` where the storage cannot be written.

    >>> publish(Path("runs/mine"), open_storage("s3://bucket/runs/mine"), ["run.json"])   # doctest: +SKIP
    ('run.json',)
    """
    sums = _sums(storage)
    wanted = [checked(name) for name in names if name != PUBLISHED]
    found = {name: sha256_of(folder / name) for name in wanted if (folder / name).is_file()}
    new = {name: digest for name, digest in found.items() if sums.get(name) != digest or not storage.has(name)}
    if not new:
        return ()
    if any(name in sums for name in new):
        _write_sums(storage, {name: digest for name, digest in sums.items() if name not in new})
    for name in new:
        data = (folder / name).read_bytes()
        storage.write(name, data)
        sums[name] = hashlib.sha256(data).hexdigest()
    _write_sums(storage, sums)
    return tuple(new)


def fetch(storage: Storage, folder: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Bring published files back into a local folder; returns the names that were brought.

    Those that the storage does not hold, and those that the folder holds with the same content, are left out. Raises
    `InputError` for a file whose bytes are not those that were published, and where either place cannot be used.
    """
    sums, local = _sums(storage), Folder(str(folder), folder)
    brought = []
    for name in (name for name in names if name != PUBLISHED):
        if name in sums and local.has(name) and sha256_of(folder / name) == sums[name]:
            continue
        data = storage.read(name)
        if data is None:
            continue
        if name in sums and hashlib.sha256(data).hexdigest() != sums[name]:
            raise InputError(
                f"{storage.place}/{name}: its bytes are not those that were published; expected the file unchanged: "
                "publish it again, or delete it."
            )
        local.write(name, data)
        brought.append(name)
    return tuple(brought)


@contextmanager
def local_copy(place: str | Path, *, largest: int = _LARGEST) -> Iterator[Path]:
    """A local file with the content of `place`, for readers of files; a copy of a URL is gone after the block.

    A local path is given back as it is, whatever is there. What an `InputError` in the block says of the copy, it says
    of the URL. Raises `InputError` for a URL without such a file, or with one of more than `largest` bytes.

    >>> with local_copy("s3://bucket/pairs.jsonl") as file:   # doctest: +SKIP
    ...     pairs = load_pairs(file)
    """
    source = without_trying(place)
    if isinstance(source, Folder):
        yield source.root
        return
    with tempfile.TemporaryDirectory(prefix="creativity-lens-") as folder:
        # the ending says what kind of file it is; other letters of a foreign name are not needed
        file = Path(folder) / re.sub(r"[^A-Za-z0-9._-]", "_", source.root.rsplit("/", 1)[-1])[-100:]
        source.copy_to(file, largest)
        try:
            yield file
        except InputError as error:
            raise InputError(str(error).replace(str(file), source.place)) from None


def _sums(storage: Storage) -> dict[str, str]:
    data = storage.read(PUBLISHED)
    try:
        found = json.loads(data) if data is not None else {}
        return {str(name): str(digest) for name, digest in found["sha256"].items()}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}  # then everything is sent again, and nothing can be checked


def _write_sums(storage: Storage, sums: dict[str, str]) -> None:
    storage.write(PUBLISHED, (json.dumps({"sha256": sums}, indent=2, sort_keys=True) + "\n").encode())
