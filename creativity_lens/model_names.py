"""Model names: what a user types, and which built-in model, folder or hub repository it means.

A name that could mean two repositories is refused with both named; a misspelt one with the nearest. Beyond the short
names written here, the list of models that TransformerLens supports (a JSON file inside that package, read without
importing it) resolves bare names such as `qwen2.5-7b-instruct` for the organisations that publish models.
"""

import functools
import importlib.util
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from creativity_lens.errors import InputError, nearest

BUILT_IN = ("pocket-base", "pocket-chat")

# What people type, where the rules below would not find it or would find more than one.
SHORT_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "gpt2": "openai-community/gpt2",
        "gpt2-small": "openai-community/gpt2",
        "gpt2-medium": "openai-community/gpt2-medium",
        "gpt2-large": "openai-community/gpt2-large",
        "gpt2-xl": "openai-community/gpt2-xl",
        "distilgpt2": "distilbert/distilgpt2",
        "pythia-70m": "EleutherAI/pythia-70m",
        "pythia-160m": "EleutherAI/pythia-160m",
        "pythia-410m": "EleutherAI/pythia-410m",
        "pythia-1b": "EleutherAI/pythia-1b",
        "pythia-1.4b": "EleutherAI/pythia-1.4b",
        "pythia-2.8b": "EleutherAI/pythia-2.8b",
        "pythia-6.9b": "EleutherAI/pythia-6.9b",
        "pythia-12b": "EleutherAI/pythia-12b",
        "llama-2-7b": "meta-llama/Llama-2-7b-hf",
        "llama-2-7b-chat": "meta-llama/Llama-2-7b-chat-hf",
        "llama-2-13b": "meta-llama/Llama-2-13b-hf",
        "llama-2-13b-chat": "meta-llama/Llama-2-13b-chat-hf",
        "llama-2-70b": "meta-llama/Llama-2-70b-hf",
        "llama-2-70b-chat": "meta-llama/Llama-2-70b-chat-hf",
        "llama-3-8b": "meta-llama/Meta-Llama-3-8B",
        "llama-3-8b-instruct": "meta-llama/Meta-Llama-3-8B-Instruct",
        "llama-3.1-8b": "meta-llama/Llama-3.1-8B",
        "llama-3.1-8b-instruct": "meta-llama/Llama-3.1-8B-Instruct",
        "llama-3.2-1b": "meta-llama/Llama-3.2-1B",
        "llama-3.2-1b-instruct": "meta-llama/Llama-3.2-1B-Instruct",
        "llama-3.2-3b": "meta-llama/Llama-3.2-3B",
        "llama-3.2-3b-instruct": "meta-llama/Llama-3.2-3B-Instruct",
        "llama-3.3-70b-instruct": "meta-llama/Llama-3.3-70B-Instruct",
        "mistral-7b": "mistralai/Mistral-7B-v0.1",
        "mistral-7b-instruct": "mistralai/Mistral-7B-Instruct-v0.1",
        "mistral-7b-v0.3": "mistralai/Mistral-7B-v0.3",
        "mistral-7b-instruct-v0.3": "mistralai/Mistral-7B-Instruct-v0.3",
        "mistral-nemo": "mistralai/Mistral-Nemo-Base-2407",
        "mistral-nemo-instruct": "mistralai/Mistral-Nemo-Instruct-2407",
        "mixtral-8x7b": "mistralai/Mixtral-8x7B-v0.1",
        "mixtral-8x7b-instruct": "mistralai/Mixtral-8x7B-Instruct-v0.1",
        "qwen2.5-0.5b": "Qwen/Qwen2.5-0.5B",
        "qwen2.5-0.5b-instruct": "Qwen/Qwen2.5-0.5B-Instruct",
        "qwen2.5-7b": "Qwen/Qwen2.5-7B",
        "qwen2.5-7b-instruct": "Qwen/Qwen2.5-7B-Instruct",
        "qwen3-0.6b": "Qwen/Qwen3-0.6B",
        "qwen3-0.6b-base": "Qwen/Qwen3-0.6B-Base",
        "qwen3-8b": "Qwen/Qwen3-8B",
        "qwen3-8b-base": "Qwen/Qwen3-8B-Base",
        "gemma-2-2b": "google/gemma-2-2b",
        "gemma-2-2b-it": "google/gemma-2-2b-it",
        "gemma-2-9b": "google/gemma-2-9b",
        "gemma-2-9b-it": "google/gemma-2-9b-it",
        "gemma-3-270m": "google/gemma-3-270m",
        "gemma-3-270m-it": "google/gemma-3-270m-it",
        "gemma-3-1b": "google/gemma-3-1b-pt",
        "gemma-3-1b-it": "google/gemma-3-1b-it",
        "gemma-3-4b": "google/gemma-3-4b-pt",
        "gemma-3-4b-it": "google/gemma-3-4b-it",
        "olmo-2-1b": "allenai/OLMo-2-0425-1B",
        "olmo-2-1b-instruct": "allenai/OLMo-2-0425-1B-Instruct",
        "olmo-2-7b": "allenai/OLMo-2-1124-7B",
        "olmo-2-7b-instruct": "allenai/OLMo-2-1124-7B-Instruct",
        "olmo-3-7b": "allenai/Olmo-3-1025-7B",
        "olmo-3-7b-instruct": "allenai/Olmo-3-7B-Instruct",
        "olmo-3-32b": "allenai/Olmo-3-1125-32B",
        "smollm2-135m": "HuggingFaceTB/SmolLM2-135M",
        "smollm2-135m-instruct": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "smollm2-1.7b": "HuggingFaceTB/SmolLM2-1.7B",
        "smollm2-1.7b-instruct": "HuggingFaceTB/SmolLM2-1.7B-Instruct",
        "smollm3-3b": "HuggingFaceTB/SmolLM3-3B",
        "tinyllama": "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T",
        "tinyllama-chat": "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
        "phi-1.5": "microsoft/phi-1_5",
        "phi-2": "microsoft/phi-2",
        "phi-3-mini": "microsoft/Phi-3-mini-4k-instruct",
        "phi-3.5-mini": "microsoft/Phi-3.5-mini-instruct",
        "phi-4": "microsoft/phi-4",
        "phi-4-mini": "microsoft/Phi-4-mini-instruct",
        "zephyr-7b": "HuggingFaceH4/zephyr-7b-beta",
    }
)

# Whose bare names are trusted: anybody may upload a repository called "llama-2-7b". The first one wins a tie.
_PUBLISHERS = (
    "meta-llama", "mistralai", "qwen", "google", "allenai", "eleutherai", "openai-community", "microsoft", "tinyllama",
    "huggingfacetb", "deepseek-ai", "facebook", "bigscience", "tiiuae", "stabilityai", "01-ai", "ibm-granite",
    "swiss-ai", "roneneldan", "stanford-crfm", "huggingfaceh4", "lmsys", "codellama", "nousresearch", "utter-project",
)  # fmt: skip

_CHAT_WORDS = frozenset({"chat", "it", "instruct"})
_TUNED_WORDS = _CHAT_WORDS | {"think", "thinking", "reasoning", "sft", "dpo", "assistant"}
_BASE_WORDS = frozenset({"base", "pt"})
_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*", re.ASCII)
_HUB_PAGE = re.compile(r"^(https?://)?(www\.)?(huggingface\.co|hf\.co)/")


def resolve_name(name: str | Path) -> tuple[str, Path | None]:
    """Return (id, None) for a hub repository, (name, None) for a built-in model, or (path, path) for a local folder.

    Case, `-`, `_` and spaces do not matter; `chat`, `instruct` and `it` are one word; `-hf`, `meta-`, release dates and
    `base` may be left out where one repository answers. Raises `InputError` for a name of nothing or of two things.

    >>> resolve_name("Llama-2-7B")
    ('meta-llama/Llama-2-7b-hf', None)
    """
    typed = _HUB_PAGE.sub("", str(name).strip())
    if not typed or len(typed) > 1000 or not typed.isprintable():
        raise InputError("model: expected a name or a folder, got no readable text; `clens models` lists the names.")
    for built_in in BUILT_IN:
        if _fold(typed) == _fold(built_in):
            return built_in, None
    path = Path(os.path.expanduser(typed))
    spelt_as_path = isinstance(name, Path) or typed[0] in "./~\\" or typed.count("/") > 1 or "\\" in typed
    if spelt_as_path or os.path.isfile(path / "config.json") or ("/" in typed and os.path.isdir(path)):
        return os.path.realpath(path), _existing_folder(path)
    found = _from_tables(typed)
    if found:
        return found, None
    if os.path.isdir(path):
        return os.path.realpath(path), _existing_folder(path)
    if _HUB_ID.fullmatch(typed):
        return typed, None
    raise InputError(
        f"model: expected a built-in name, a short name, a hub id OWNER/NAME or a local folder; got '{typed}'."
        f"{nearest_model(typed)} `clens models` lists the names."
    )


def _existing_folder(path: Path) -> Path:
    if os.path.isdir(path):  # os.path, not Path: it answers False for a name too long for the file system
        return path.resolve()
    if os.path.exists(path):
        raise InputError(f"{path}: expected a folder in Hugging Face format, got a file; give the folder it lies in.")
    raise InputError(
        f"{path}: no such folder; expected a model folder in Hugging Face format (or a name: `clens models`)."
    )


def _from_tables(typed: str) -> str | None:
    short = {_fold(key): value for key, value in SHORT_NAMES.items()}
    if _fold(typed) in short:
        return short[_fold(typed)]
    if "/" in typed:  # a hub id in another case; the hub itself is case-sensitive
        return _by_lowered_id().get(typed.lower())
    for level, index in enumerate(_bare_names()):
        candidates = index.get(_key(typed, level), ())
        if len(candidates) > 1:
            raise InputError(f"model: '{typed}' could mean {' or '.join(candidates[:4])}; give one of them in full.")
        if candidates:
            return candidates[0]
    return None


def nearest_model(name: str) -> str:
    """A hint " Did you mean ...?" over built-in, short, and listed names; "" when nothing is near."""
    if "/" in name:
        return nearest(name, _by_lowered_id().values())
    hint = nearest(name, [*BUILT_IN, *SHORT_NAMES])
    return hint or nearest(name, [repo.split("/")[1] for repo in listed_models() if _rank(repo) < len(_PUBLISHERS)])


def is_base(name: str) -> bool:
    """Whether a name says that the model is not tuned for chat, so that a chat template it may carry is not its own.

    Some base models ship the template of their tuned sibling. A name is a base model's if it says so (`-base`, `-pt`),
    or if the same publisher lists the same name with `chat`, `instruct` or `it` in it.
    """
    if name in BUILT_IN:
        return name == "pocket-base"
    repo = name if "/" in name and not Path(name).is_absolute() else _listed_like(Path(name).name)
    owner, _, own = (repo or Path(name).name).rpartition("/")
    words = _words(own)
    if _TUNED_WORDS & set(words):
        return False
    if _BASE_WORDS & set(words):
        return True
    plain = _key(own, 2)
    others = [other.split("/")[1] for other in listed_models() if other.lower().startswith(f"{owner.lower()}/")]
    if any("base" in _words(other) and _key(other, 2) == plain for other in others):
        return False  # "Qwen3-8B" beside "Qwen3-8B-Base"
    tuned = (_key(other, 2) for other in others if {*_CHAT_WORDS, "think"} & set(_words(other)))
    return any(re.sub("instruct|think", "", other) == plain for other in tuned)


def _listed_like(folder: str) -> str | None:
    """The published model after which a local folder is named, if it is."""
    found = _bare_names()[0].get(_key(folder, 0), ())
    return found[0] if found else None


@functools.cache
def listed_models() -> Mapping[str, str]:
    """Hub id -> architecture of every model that TransformerLens lists; empty if it does not ship its list."""
    spec = importlib.util.find_spec("transformer_lens")
    places = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    for place in places:
        path = Path(place) / "tools" / "model_registry" / "data" / "supported_models.json"
        if path.is_file():
            rows = json.loads(path.read_text(encoding="utf-8"))["models"]
            return MappingProxyType({row["model_id"]: row["architecture_id"] for row in rows})
    return MappingProxyType({})


def supported_architectures() -> frozenset[str]:
    """Names of the architectures that TransformerLens lists; empty if it does not ship its list."""
    return frozenset(listed_models().values())


@functools.cache
def _by_lowered_id() -> Mapping[str, str]:
    return MappingProxyType({repo.lower(): repo for repo in listed_models()})


@functools.cache
def _bare_names() -> tuple[Mapping[str, tuple[str, ...]], ...]:
    """For each level of tolerance: folded bare name -> the publishers' repositories of that name."""
    indexes: list[dict[str, list[str]]] = [{}, {}, {}]
    for repo in sorted((repo for repo in listed_models() if _rank(repo) < len(_PUBLISHERS)), key=_rank):
        for level, index in enumerate(indexes):
            same = index.setdefault(_key(repo.split("/")[1], level), [])
            if not same or _rank(same[0]) == _rank(repo):
                same.append(repo)
    return tuple(MappingProxyType({key: tuple(repos) for key, repos in index.items()}) for index in indexes)


def _rank(repo: str) -> int:
    owner = repo.split("/")[0].lower()
    return _PUBLISHERS.index(owner) if owner in _PUBLISHERS else len(_PUBLISHERS)


def _words(name: str) -> list[str]:
    return re.split(r"[-_\s]+", name.lower().strip())


def _fold(name: str) -> str:
    return "".join(_words(name))


def _key(name: str, level: int) -> str:
    """A name to compare by: 0 as spelt; 1 without `hf`, `meta`, one word for chat; 2 without dates, `base`, `pt`."""
    words: Iterable[str] = _words(name)
    if level >= 1:
        words = ["instruct" if word in _CHAT_WORDS else word for word in words if word not in ("hf", "meta")]
    if level >= 2:
        words = [word for word in words if word not in _BASE_WORDS and not re.fullmatch(r"\d{4}", word)]
    return "".join(words)
