"""A model's folder, checked before anything is loaded: what it holds, what it needs in memory, what it is hashed to.

Only JSON and the headers of safetensors files are read (the first kilobytes), so a wrong, damaged, pickled or oversized
model is refused within a second, whatever its size. Needs neither torch nor transformers.
"""

import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError
from creativity_lens.files import sha256_of, sha256_text
from creativity_lens.model_names import supported_architectures

# Bytes of one number, and the torch name, of the stored types that are read as they are.
DTYPES: Mapping[str, tuple[int, str]] = {
    "F64": (8, "float64"), "F32": (4, "float32"), "BF16": (2, "bfloat16"), "F16": (2, "float16"),
}  # fmt: skip
_OTHER_TYPES = {"BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "I32": 4, "U32": 4, "I64": 8, "U64": 8}
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.msgpack", "*.h5")
# Matrices of query, key and value in one; TransformerLens keeps a second, split copy.
_FUSED = ("c_attn.weight", "query_key_value.weight", "qkv_proj.weight", "Wqkv.weight", "W_pack.weight")
# In config.json, but of the program that wrote it, or of the run, rather than of the model.
_VOLATILE = {"transformers_version", "_name_or_path", "name_or_path", "torch_dtype", "dtype", "use_cache"}
_TEXT = ("ForCausalLM", "LMHeadModel")  # how the names of text-generating architectures end
_MARGIN = 1.05  # of the weights, for buffers and bookkeeping


@dataclass(frozen=True)
class ModelFiles:
    """What a model's folder holds, as far as its JSON files and safetensors headers tell."""

    folder: Path
    config: Mapping[str, Any]
    weights: tuple[Path, ...]
    stored: Mapping[str, int]  # safetensors type -> how many numbers
    fused: int  # how many of these lie in fused query-key-value matrices

    def bytes_needed(self, dtype: str) -> int:
        """Bytes that the loaded model takes in a torch dtype ("float32", "bfloat16", "float16")."""
        return bytes_needed(self.stored, dtype, fused=self.fused)


def stored_dtype(stored: Mapping[str, int]) -> str:
    """Torch name of the type that most of the weights are stored in."""
    return DTYPES[max(DTYPES, key=lambda kind: stored.get(kind, 0))][1]


def bytes_needed(stored: Mapping[str, int], dtype: str, *, fused: int = 0) -> int:
    """Bytes of weights stored as `stored` (type -> count) once they are loaded as `dtype`, with a margin of 5 %."""
    each = {torch_name: size for size, torch_name in DTYPES.values()}[dtype]
    floats = sum(count for kind, count in stored.items() if kind in DTYPES)
    others = sum(count * _OTHER_TYPES.get(kind, 1) for kind, count in stored.items() if kind not in DTYPES)
    return math.ceil(((floats + fused) * each + others) * _MARGIN)


def read_model(folder: Path, name: str) -> ModelFiles:
    """Check a folder in Hugging Face format and read what it says of itself; `name` is how errors call it.

    Raises `InputError` for a missing config, tokenizer or shard, weights that are missing, pickled, quantised or
    damaged, an architecture that TransformerLens lacks, and a model that brings its own Python code.
    """
    config = read_config(folder, name)
    check_config(config, name)
    weights = _weight_files(folder, name)
    if not _has_tokenizer(folder):
        raise InputError(f"{name}: expected a tokenizer (tokenizer.json) in the model's folder, found none; add it.")
    headers = [read_header(path, name) for path in weights]
    stored: dict[str, int] = {}
    fused = 0
    for tensor, entry in (item for header in headers for item in header.items()):
        numbers = math.prod(entry["shape"])
        stored[entry["dtype"]] = stored.get(entry["dtype"], 0) + numbers
        fused += numbers if tensor.endswith(_FUSED) else 0
    check_stored(stored, name)
    return ModelFiles(folder, config, weights, stored, fused)


def read_config(folder: Path, name: str) -> dict[str, Any]:
    """The folder's config.json."""
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{name}: expected config.json in the model's folder, found none{_hint(folder)}; add it.")
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: config.json is not readable JSON ({error}); fetch it again.") from None
    if not isinstance(config, dict):
        raise InputError(f"{name}: config.json holds no JSON object ({type(config).__name__}); fetch it again.")
    return config


def _hint(folder: Path) -> str:
    if any(folder.glob("*.gguf")):
        return " (only GGUF: use the repository it was made from)"
    if (folder / "adapter_config.json").is_file():
        return " (an adapter: merge it into its base model with peft's merge_and_unload, and save that)"
    if (folder / "params.json").is_file() or any(folder.glob("consolidated.*")):
        return " (the publisher's own format: take the repository whose name ends in -hf)"
    return ""


def check_config(config: Mapping[str, Any], name: str) -> None:
    """Refuse what cannot be run: foreign code, quantised weights, an architecture that is no supported language model.

    A config that names no architecture but a model type passes: transformers and TransformerLens decide on loading.
    """
    listed = config.get("architectures")
    architecture = str(listed[0]) if isinstance(listed, list) and listed else ""
    supported = supported_architectures()
    known = not supported or architecture in supported or (not architecture and "model_type" in config)
    if not known and "auto_map" in config:
        raise InputError(own_code(name))
    if not known or (architecture and not architecture.endswith((*_TEXT, "ForConditionalGeneration"))):
        raise InputError(
            f"{name}: expected a text-generating architecture that TransformerLens supports, got '{architecture}'; "
            "`clens models` lists models that work."
        )
    if config.get("is_encoder_decoder"):
        raise InputError(f"{name}: expected a decoder-only language model, got an encoder-decoder ({architecture}).")
    quantized = config.get("quantization_config")
    if quantized:
        method = quantized.get("quant_method", "unknown") if isinstance(quantized, dict) else "unknown"
        raise InputError(f"{name}: expected plain weights, got quantised ones ({method}); take the unquantised model.")


def own_code(name: str) -> str:
    """The one line that refuses a model which transformers can load only by running Python code that comes with it."""
    return (
        f"{name}: expected a model that transformers knows, got one that brings its own Python code, which is not run; "
        "take a variant in transformers' own format (often named -hf)."
    )


def check_stored(stored: Mapping[str, int], name: str) -> None:
    """Refuse weights of which more than a tenth is packed in integers or 8-bit floats."""
    plain = sum(stored.get(kind, 0) for kind in DTYPES)
    if plain * 10 < sum(stored.values()) * 9 or not plain:
        kinds = ", ".join(sorted(kind for kind in stored if kind not in DTYPES)) or "nothing"
        raise InputError(f"{name}: expected weights in 16 or 32-bit floats, got {kinds}; take the unquantised model.")


def is_complete(folder: Path) -> bool:
    """Whether a folder has a config, a tokenizer and every file of weights, whatever they hold."""
    try:
        return bool(read_config(folder, "") and _weight_files(folder, "") and _has_tokenizer(folder))
    except InputError:
        return False


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / file).is_file() for file in _TOKENIZER_FILES)


def _weight_files(folder: Path, name: str) -> tuple[Path, ...]:
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        return (folder / "model.safetensors",)
    if index.is_file():
        try:
            shards = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            raise InputError(f"{name}: {index.name} is damaged; fetch it again.") from None
        missing = [shard for shard in shards if not (folder / shard).is_file()]
        if missing or not shards:
            raise InputError(
                f"{name}: expected {len(shards)} files of weights, {len(missing)} missing ({', '.join(missing[:2])}); "
                "fetch them."
            )
        return tuple(folder / shard for shard in shards)
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise InputError(pickled(name, pickles[0]))
    raise InputError(f"{name}: expected weights (model.safetensors) in the model's folder, found none; fetch them.")


def pickled(name: str, file: str) -> str:
    """The one line that refuses pickled weights and says how to convert them."""
    return (
        f"{name}: expected weights as safetensors, got only '{file}', which can run code when opened; if you trust it, "
        "convert it once with transformers: AutoModelForCausalLM.from_pretrained(NAME).save_pretrained(FOLDER), the "
        "same for AutoTokenizer, then load FOLDER."
    )


def read_header(path: Path, name: str) -> dict[str, dict[str, Any]]:
    """The header of a safetensors file, tensor name -> {"dtype", "shape", "data_offsets"}, checked against its size."""
    try:
        size = path.stat().st_size
        with path.open("rb") as handle:
            start = handle.read(8)
            if start == b"version ":
                raise InputError(f"{name}: {path.name} is a Git LFS pointer, not the weights; run `git lfs pull`.")
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length > min(size - 8, 100_000_000):
                raise ValueError("its header is cut off")
            header = json.loads(handle.read(length))
        header.pop("__metadata__", None)
        end = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if size != end:
            raise ValueError(f"expected {end} bytes, got {size}")
        if not all(isinstance(number, int) for entry in header.values() for number in entry["shape"]):
            raise ValueError("its header is damaged")
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{name}: {path.name} cannot be read ({error.strerror}).") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(f"{name}: {path.name} is damaged ({error}); fetch it again.") from None
    return header


def one_line(error: Exception) -> str:
    """An exception's kind and the first line of what it says."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
    return f"{type(error).__name__}: {said[:160]}"


def config_hash(config: Mapping[str, Any]) -> str:
    """SHA-256 of the config as canonical JSON, without what names the program that wrote it or the run."""
    kept = {key: value for key, value in config.items() if key not in _VOLATILE}
    return sha256_text(json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=True))


def weights_hash(weights: Sequence[Path], *, commit: str | None = None) -> str:
    """"sha256:..." over the files' names and SHA-256, or "commit:..." where only the hub's commit is at hand.

    In the hub's cache a file of weights is a link named by its SHA-256, which is taken as read: the same weights hash
    alike from a folder and from the hub, and gigabytes are not read twice. Where links do not exist, the commit stands.
    """  # fmt: skip
    if commit is None:
        with ThreadPoolExecutor(max_workers=4) as pool:
            hashes = list(pool.map(sha256_of, weights))
    else:
        hashes = [path.resolve().name for path in weights]
        if not all(len(blob) == 64 and set(blob) <= set("0123456789abcdef") for blob in hashes):
            return f"commit:{commit}"
    parts = [part for path, blob in zip(weights, hashes, strict=True) for part in (path.name, blob)]
    return f"sha256:{sha256_text(*parts)}"


def describe_config(config: Mapping[str, Any]) -> dict[str, int | None]:
    """Layers, width, context and vocabulary as config.json names them; None where it does not."""
    inner = config.get("text_config")
    source = {**config, **inner} if isinstance(inner, dict) else config
    names = {
        "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
        "width": ("hidden_size", "n_embd", "d_model"),
        "context": ("n_positions", "max_position_embeddings", "n_ctx", "max_seq_len", "seq_length"),
        "vocabulary": ("vocab_size",),
    }
    return {
        what: next((source[key] for key in keys if isinstance(source.get(key), int)), None)
        for what, keys in names.items()
    }


def has_chat_template(folder: Path) -> bool:
    """Whether the tokenizer's files hold a chat template."""
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        return bool(json.loads((folder / "tokenizer_config.json").read_bytes()).get("chat_template"))
    except (OSError, ValueError, AttributeError):
        return False
