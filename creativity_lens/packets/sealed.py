"""JSON objects that carry a digest of themselves, so that a file that was cut or edited by accident is noticed.

The digest is no defence against a forger: whoever can edit a file can also compute its digest.
"""

import hashlib
import json
import stat
from collections import Counter
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError
from creativity_lens.files import read_text

SEAL = "digest"


def canonical(value: Any) -> str:
    """JSON that a browser writes the same way: keys sorted by UTF-16 units, no spaces, all but ASCII escaped.

    Numbers must be whole: JavaScript and Python write fractions differently.

    >>> canonical({"b": [1, "é"], "a": None})
    '{"a":null,"b":[1,"\\\\u00e9"]}'
    """
    return json.dumps(_ordered(value), separators=(",", ":"), ensure_ascii=True)


def digest_of(value: Any) -> str:
    """Hex SHA-256 of the canonical JSON; the field "digest" of an object is left out."""
    if isinstance(value, dict):
        value = {key: each for key, each in value.items() if key != SEAL}
    return hashlib.sha256(canonical(value).encode("ascii")).hexdigest()


def read_object(path: Path, what: str, *, largest: int, remedy: str) -> dict[str, Any]:
    """The JSON object in a file of at most `largest` bytes.

    `what` names the file's role ("an answers file"); `remedy` says what to do about one that is damaged.

    Raises `InputError` for a folder, a device, a file that is missing, too large, binary, no JSON (a file that was cut
    is none) or no object, for a field that stands twice, and for NaN and infinities, which JSON has no names for.
    """
    path = Path(path)
    _check_size(path, what, largest)
    try:
        found = json.loads(read_text(path, what), object_pairs_hook=_each_once, parse_constant=_no_number)
    except InputError:
        raise
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{path}: not JSON ({error.msg}, {where}): the file was cut or edited; {remedy}.") from None
    except RecursionError:
        raise InputError(f"{path}: not JSON that can be read (nested too deep); expected {what}: {remedy}.") from None
    except ValueError as error:  # a field twice, NaN, or a number of too many digits
        said = str(error).split("\n")[0].split(";")[0][:120]
        raise InputError(f"{path}: not JSON that can be read ({said}); expected {what}: {remedy}.") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected {what}, a JSON object {{...}}; got something else.")
    return found


def check_seal(path: Path, value: dict[str, Any], remedy: str) -> None:
    """The object's digest is that of its other fields: the file was neither cut nor edited."""
    try:
        intact = value.get(SEAL) == digest_of(value)
    except (RecursionError, ValueError):
        intact = False
    if not intact:
        raise InputError(f"{path}: its digest does not fit its content: the file was cut or edited; {remedy}.")


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: str(key).encode("utf-16-be", "surrogatepass"))
        return {key: _ordered(value[key]) for key in keys}
    return [_ordered(each) for each in value] if isinstance(value, list | tuple) else value


def _check_size(path: Path, what: str, largest: int) -> None:
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        problem = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({problem})"
        raise InputError(f"{path}: {problem}; expected {what}.") from None
    if not stat.S_ISREG(found.st_mode):
        got = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or a pipe"
        raise InputError(f"{path}: expected {what}, got {got}.")
    if found.st_size > largest:
        raise InputError(f"{path}: larger than {largest // 2**20} MiB; expected {what}.")


def _each_once(items: list[tuple[str, Any]]) -> dict[str, Any]:
    for name, count in Counter(name for name, _ in items).items():
        if count > 1:
            raise ValueError(f"the field {name[:40]!r} stands {count} times in one object")
    return dict(items)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")
