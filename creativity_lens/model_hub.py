"""Where a model's files are: shipped with the package, in a folder, in the hub's local cache, or on the hub.

The cache is looked at first and the network only when something is missing: one request with a timeout and no retries,
then the checks (licence, architecture, memory, disk), and only then the download. The hub's own progress bar is left
on for that, since gigabytes take minutes; it is silent where standard error is no terminal.
"""

import errno
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError
from creativity_lens.files import data_folder
from creativity_lens.memory import free_memory
from creativity_lens.model_files import (
    ModelFiles,
    bytes_needed,
    check_config,
    describe_config,
    has_chat_template,
    is_complete,
    one_line,
    pickled,
    read_config,
    read_model,
    stored_dtype,
)  # fmt: skip
from creativity_lens.model_names import BUILT_IN, SHORT_NAMES, is_base, listed_models, nearest_model, resolve_name

_TIMEOUT = 10.0  # seconds for the one request that decides whether the hub can be reached
_WANTED = ["*.json", "*.jinja", "*.txt", "*.model", "model.safetensors", "model-*.safetensors"]
_CANNOT_WRITE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}
_RENAMED_OWNERS = (
    "openai-community",
    "distilbert",
)  # their repositories once had no owner, and old caches still say so


@dataclass(frozen=True)
class Found:
    """A model whose files are all on this machine and passed the checks."""

    id: str  # built-in name, hub id, or folder
    files: ModelFiles
    commit: str | None  # of the hub's repository


@dataclass(frozen=True)
class Listing:
    """What the hub says of a repository before anything large is fetched."""

    repo: str
    commit: str
    config: Mapping[str, Any]
    stored: Mapping[str, int]  # safetensors type -> how many numbers
    download: int  # bytes


def find_model(
    name: str | Path, *, revision: str | None = None, before_download: Callable[[Listing], None] | None = None
) -> Found:
    """Resolve a name, fetch what is missing from the hub, and check it; `before_download` may refuse a large model.

    Raises `InputError` in one line for every way in which this can fail.
    """
    model_id, folder = resolve_name(name)
    if model_id in BUILT_IN:
        folder = _built_in_folder(model_id)
    if folder is not None:
        if revision is not None:
            raise InputError(
                f"{model_id}: expected no revision for a model on this machine, got '{revision}'; leave it out."
            )
        return Found(model_id, read_model(folder, model_id), None)
    cached = cached_folder(model_id, revision)
    if cached is None or not is_complete(cached):
        listing = look_up(model_id, revision, in_part=cached is not None)
        check_config(listing.config, model_id)
        if before_download is not None:
            before_download(listing)
        cached = fetch(listing)
    return Found(model_id, read_model(cached, model_id), cached.name)


def _built_in_folder(name: str) -> Path:
    return data_folder() / "pocket" / name.removeprefix("pocket-")


def local_folder(name: str | Path, revision: str | None = None) -> Path | None:
    """Where a model's files are on this machine, complete or not; None for one of the hub that no cache holds.

    Nothing is fetched. Raises `InputError` for a name that means nothing, and for a folder that is not there.
    """
    model_id, folder = resolve_name(name)
    if model_id in BUILT_IN:
        return _built_in_folder(model_id)
    return folder if folder is not None else cached_folder(model_id, revision)


def cached_folder(repo: str, revision: str | None = None) -> Path | None:
    """The snapshot of a repository in the hub's local cache, complete or not; None where there is none."""
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    owner, _, bare = repo.partition("/")
    for candidate in [repo, bare] if owner in _RENAMED_OWNERS else [repo]:
        try:
            config = try_to_load_from_cache(
                candidate, "config.json", cache_dir=constants.HF_HUB_CACHE, revision=revision
            )
        except HFValidationError:
            return None
        if isinstance(config, str):
            return Path(config).parent
    return None


def cached_ids() -> list[str]:
    """Hub ids of the models of which the local cache holds every file that is needed, sorted."""
    from huggingface_hub import constants

    folders = Path(constants.HF_HUB_CACHE).glob("models--*")
    ids = sorted(folder.name.removeprefix("models--").replace("--", "/") for folder in folders)
    return [repo for repo in ids if (folder := cached_folder(repo)) is not None and is_complete(folder)]


def look_up(repo: str, revision: str | None = None, *, in_part: bool = False) -> Listing:
    """Ask the hub once about a repository, and fetch its config.json."""
    from huggingface_hub import HfApi, constants, hf_hub_download

    try:
        info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=_TIMEOUT)
        path = hf_hub_download(repo, "config.json", cache_dir=constants.HF_HUB_CACHE, revision=info.sha)
    except Exception as error:
        raise InputError(_refusal(error, repo, revision, in_part)) from error
    config = read_config(Path(path).parent, repo)
    sizes = {file.rfilename: int(file.size or 0) for file in info.siblings or []}
    weights = [name for name in sizes if name.endswith(".safetensors") and name.startswith("model")]
    if not weights:
        pickles = sorted(name for name in sizes if name.endswith((".bin", ".pt", ".pth")))
        raise InputError(
            pickled(repo, pickles[0]) if pickles else f"{repo}: expected weights as safetensors, found none."
        )
    total = sum(sizes[name] for name in weights)
    stored = dict(info.safetensors.parameters) if info.safetensors else {"BF16": total // 2}
    return Listing(repo, str(info.sha), config, stored, total)


def fetch(listing: Listing) -> Path:
    """Download what a model needs (never pickles, never code) and return its snapshot folder in the cache."""
    from huggingface_hub import constants, snapshot_download

    place = Path(constants.HF_HUB_CACHE)
    disk = shutil.disk_usage(next(parent for parent in [place, *place.parents] if parent.exists())).free
    if disk < listing.download:
        raise InputError(
            f"{listing.repo}: expected {readable(listing.download)} free on disk to download it, got {readable(disk)} "
            f"in {place}; free some, or set HF_HOME to a larger disk."
        )
    try:
        return Path(
            snapshot_download(
                listing.repo,
                revision=listing.commit,
                cache_dir=constants.HF_HUB_CACHE,
                allow_patterns=_WANTED,
                ignore_patterns=["*/*"],
            )
        )
    except Exception as error:
        raise InputError(_refusal(error, listing.repo, listing.commit, in_part=True)) from error


def list_models() -> dict[str, Any]:
    """Built-in names, short names with their hub ids, and which models the hub's cache holds."""
    cached = set(cached_ids())
    places = {repo: cached_folder(repo) for repo in SHORT_NAMES.values()}
    here = {repo for repo, folder in places.items() if folder is not None and is_complete(folder)}
    short = [{"name": name, "id": repo, "cached": repo in here} for name, repo in SHORT_NAMES.items()]
    old = {repo.split("/")[1] for repo in here if repo not in cached}  # here under the name without an owner
    return {"built_in": list(BUILT_IN), "short_names": short, "other_cached": sorted(cached - here - old)}


def describe_model(name: str | Path, revision: str | None = None) -> dict[str, Any]:
    """What a name resolves to, and what its files say; the hub is asked once for what is not on this machine.

    Raises `InputError` for a name that means nothing and for a model that could not be loaded. A listed model that is
    neither here nor to be reached is described as far as its name goes, with the reason in "note".
    """
    model_id, folder = resolve_name(name)
    kind = "built in" if model_id in BUILT_IN else "folder" if folder else "hub"
    if kind == "built in":
        folder = _built_in_folder(model_id)
    elif kind == "hub":
        cached = cached_folder(model_id, revision)
        folder = cached if cached is not None and is_complete(cached) else None
    about: dict[str, Any] = {"name": str(name), "id": model_id, "kind": kind, "folder": str(folder) if folder else None}
    config: Mapping[str, Any] = {}
    stored: Mapping[str, int] = {}
    fused = 0
    if folder is not None:
        files = read_model(folder, model_id)
        config, stored, fused = files.config, files.stored, files.fused
        about["template"] = "chat" if has_chat_template(folder) and not is_base(model_id) else "none"
    else:
        about["template"] = "none" if is_base(model_id) else None  # whether there is one, its files will tell
        try:
            listing = look_up(model_id, revision)
        except InputError as error:
            if model_id not in listed_models():
                raise
            about["note"] = str(error)
        else:
            check_config(listing.config, model_id)
            config, stored = listing.config, listing.stored
            about["download_bytes"] = listing.download
    architectures = config.get("architectures") or [listed_models().get(model_id)]
    about |= {"architecture": architectures[0], **describe_config(config)}
    about["stored_dtype"] = stored_dtype(stored) if stored else None
    sizes = ("float32", "bfloat16", "float16") if stored else ()
    about["memory_bytes"] = {dtype: bytes_needed(stored, dtype, fused=fused) for dtype in sizes}
    return about | {"free_bytes": free_memory()}


def readable(size: int) -> str:
    """Bytes as gigabytes or megabytes, in powers of ten."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _refusal(error: Exception, repo: str, revision: str | None, in_part: bool) -> str:
    """What to do about an error of the hub, in one line."""
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{repo}"
    if isinstance(error, errors.GatedRepoError):  # before the next: it is a kind of it
        return (
            f"{repo}: expected an account that has accepted its licence (the repository is gated); accept it at "
            f"{page}, then run `hf auth login` or set HF_TOKEN."
        )
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return (
            f"{repo}: no such repository on the hub (or a private one: `hf auth login`).{nearest_model(repo)} "
            "`clens models` lists the names."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo}: expected a branch, tag or commit of it, got revision '{revision}'; see {page}/tree/main."
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        return f"{repo}: expected config.json in the repository, found none; choose one in Hugging Face format."
    if isinstance(error, OSError) and error.errno in _CANNOT_WRITE:
        return (
            f"{repo}: cannot be written to the cache ({constants.HF_HUB_CACHE}: {error.strerror}); mend that, or set "
            "HF_HOME to another place."
        )
    reason = "HF_HUB_OFFLINE is set" if isinstance(error, errors.OfflineModeIsEnabled) else one_line(error)
    wanted = f"revision '{revision}'" if revision else "it"
    part = ", where it is only in part," if in_part else ""
    return (
        f"{repo}: expected {wanted} in the cache ({constants.HF_HUB_CACHE}){part} or on the hub, which does not answer "
        f"({reason}); connect once to fetch it, set HF_HOME to a cache that has it, or give a local folder."
    )
