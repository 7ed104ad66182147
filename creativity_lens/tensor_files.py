"""Files of tensors: safetensors with metadata, written whole, read back only as they were written.

A checksum covers names, types, shapes and bytes of the tensors *and* the metadata: a layer number that changed on disk
would do as much harm as a changed vector. It finds damage; it is no signature.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from creativity_lens.errors import InputError
from creativity_lens.files import write_with
from creativity_lens.tensor_header import LENGTH, ordered


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], *, form: str) -> None:
    """Write float32 tensors and metadata whole, as format `form`, with a checksum; equal content gives equal bytes.

    Raises `InputError` where the file cannot be written, a full disk included.
    """
    own = {
        name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()
    }  # none may share memory
    described = {**metadata, "format": form}
    described["checksum"] = _checksum(own, described)

    def write(temporary: Path) -> None:
        try:
            save_file(own, temporary, described)
            with temporary.open("rb+") as written:
                length = int.from_bytes(written.read(LENGTH), "little")
                header = written.read(length)
                written.seek(LENGTH)
                written.write(ordered(header))
        except SafetensorError as error:  # its name for a full disk; it is no OSError
            raise OSError(str(error)) from error

    write_with(path, write)


def load_tensors(
    path: Path, names: Collection[str], *, form: str, what: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata as `save_tensors` wrote them; `what` is the file's role ("directions").

    Nothing is read beyond the header before format and names are known to be right. Raises `InputError` for a file
    that is missing, damaged, foreign, or of another format.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path}: expected {what}, got a folder.")
        with path.open("rb"):  # for its plain reasons: no such file, permission, name too long
            pass
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            found = metadata.get("format", "none")
            if found != form or set(file.keys()) != set(names):
                got = f"format '{found}'" if found != form else "other tensors"
                raise InputError(f"{path}: expected {what} of format '{form}', got a safetensors file of {got}.")
            if {file.get_slice(name).get_dtype() for name in names} != {"F32"}:
                raise SafetensorError("not float32")
            tensors = {name: file.get_tensor(name).clone() for name in names}  # not a view of the mapped file
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected {what}.") from None
    except SafetensorError:
        raise InputError(f"{path}: damaged or not a safetensors file; expected {what}.") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason}); expected {what}.") from None
    if metadata.pop("checksum", None) != _checksum(tensors, metadata):
        raise InputError(f"{path}: damaged (its checksum does not match); expected {what} as they were written.")
    return tensors, metadata


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).numpy().data)
    return digest.hexdigest()
