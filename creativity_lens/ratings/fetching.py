"""Getting a published set: pinned addresses, checksums, and a broken download that goes on where it stopped.

It guarantees that nothing is put in place that is not the pinned file: a file whose checksum differs is kept aside
under another name and never read. What has arrived of a broken download is kept beside it as NAME.part.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError
from creativity_lens.files import sha256_of
from creativity_lens.progress import track
from creativity_lens.ratings.sets import RatedSet, RemoteFile

ATTEMPTS = 3  # at a connection that breaks; each goes on where the last one stopped
TIMEOUT = 30.0  # seconds without an answer or a further byte
_CHUNK = 2**12  # of the last one, what had arrived when the connection broke is lost
_LARGEST = 64 * 2**20  # bytes, as of any file that is read


class _Broken(Exception):  # noqa: N818  it is no error yet: there may be another attempt
    """A download that did not come to its end, in the words for it."""


class _Refused(_Broken):
    """The server answered, and it was a no."""


def fetch(known: RatedSet, *, say: Callable[[str], object] = print) -> Path:
    """Download the files of a set into the user's cache and return their folder; files that are there are checked.

    `say` gets a line per file. Raises `InputError` for a set whose checksums are not known, an address that cannot be
    reached, with what to do by hand, and a file that is not the pinned one, which is kept aside as NAME.rejected.

    >>> fetch(SETS["ttcw"])                                      # doctest: +SKIP
    """
    import pooch

    if not known.can_be_fetched and known.is_fetched:
        say(f"{known.name}: there already, put there by hand; its published checksum is not known here.")
        return known.folder
    if not known.can_be_fetched:
        raise InputError(
            f"{known.name}: cannot be fetched, since its published checksum is not known here; {by_hand(known)}"
        )
    try:
        known.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{known.folder}: cannot be made ({error.strerror}); set CLENS_CACHE to another place."
        ) from None
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # what it tells at each download is said by `say`
    try:
        for file in known.files:
            _fetch_file(known, file, say)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("what had arrived is kept, and the same command goes on there") from None
    finally:
        logger.setLevel(level)
    return known.folder


def by_hand(known: RatedSet) -> str:
    """What to do where a set cannot be fetched: the addresses, the folder they go to, or a folder of one's own."""
    addresses = " and ".join(file.address for file in known.files)
    return (
        f"get {addresses} by hand, into {known.folder} (then --ratings {known.name}) or into a folder of your own "
        f"(then --ratings {known.name}=FOLDER)."
    )


def _fetch_file(known: RatedSet, file: RemoteFile, say: Callable[[str], object]) -> None:
    import pooch

    target = known.folder / file.name
    part, rejected = (target.with_name(f"{file.name}.{kind}") for kind in ("part", "rejected"))
    if target.is_file() and sha256_of(target) == file.sha256:
        say(f"{file.name}: there already, checked.")
        return

    def download(url: str, output_file: str, _: object) -> None:
        _into(part, url, file)
        shutil.copyfile(part, output_file)

    try:
        pooch.retrieve(file.address, file.sha256, file.name, known.folder, downloader=download)
    except _Broken as problem:
        kept = f" ({_size(part):,} bytes are kept: the same command goes on there)" if _size(part) else ""
        raise InputError(f"{known.name}: {file.name} could not be fetched: {problem}{kept}; {by_hand(known)}") from None
    except ValueError:  # pooch's word for another checksum; its temporary file is gone, ours is not
        part.replace(rejected)
        raise InputError(
            f"{known.name}: {file.name} is not the file that was published: its checksum differs; it is kept aside as "
            f"{rejected}, and nothing was imported. Try again, or {by_hand(known)}"
        ) from None
    except OSError as error:
        raise InputError(f"{known.folder}: cannot be written ({error.strerror}); set CLENS_CACHE elsewhere.") from None
    part.unlink(missing_ok=True)
    say(f"{file.name}: {_size(target):,} bytes, checked.")


def _into(part: Path, url: str, file: RemoteFile) -> None:
    """Bring `part` to its end from where it stands; raises `_Broken` with the reason where that fails."""
    import requests

    for attempt in range(1, ATTEMPTS + 1):
        before = _size(part)
        try:
            with requests.Session() as session:
                _go_on(session, part, url, file)
            return
        except _Refused:
            raise
        except (requests.RequestException, _Broken) as error:
            if attempt == ATTEMPTS or _size(part) == before:
                raise _Broken(_reason(error)) from None


def _go_on(session: Any, part: Path, url: str, file: RemoteFile) -> None:
    """One request for what is missing."""
    there = _size(part)
    if there and there == file.size:
        return
    # ranges count the bytes that are sent: compressed ones would not be those of the file
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={there}-"} if there else {})
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 416 and there:  # no such range: what is there is not the beginning of this file
            part.unlink()
            raise _Broken("the download was begun with another file")
        if answer.status_code not in (200, 206):
            raise _Refused(f"the server answered {answer.status_code}")
        goes_on = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {there}-")
        start = there if goes_on else 0
        length = answer.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        with part.open("ab" if goes_on else "wb") as out, track(f"fetching {file.name}", file.size or 0) as advance:
            advance(start)
            for chunk in answer.iter_content(_CHUNK):
                out.write(chunk)
                advance(len(chunk))
                if out.tell() > (file.size or _LARGEST):  # its checksum differs, whatever follows
                    return
            if total is not None and out.tell() < total:
                raise _Broken(f"the connection broke after {out.tell():,} of {total:,} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _reason(error: Exception) -> str:
    """Why a request failed, in few words."""
    import requests

    if isinstance(error, _Broken):
        return str(error)
    if isinstance(error, requests.Timeout):
        return f"no answer in {TIMEOUT:.0f} seconds"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke"
    return "no connection" if isinstance(error, requests.ConnectionError) else type(error).__name__
