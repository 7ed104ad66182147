"""What is decided before a model is loaded: device, number type, memory; and silence while loaders run."""

import logging
import math
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from creativity_lens.costs import dimensions_of, rows_that_fit, token_bytes
from creativity_lens.costs import weight_bytes as packed_bytes
from creativity_lens.errors import InputError, nearest
from creativity_lens.memory import free_memory
from creativity_lens.model_files import bytes_needed
from creativity_lens.model_hub import readable

SAID_FROM = 10**9  # bytes of weights from which what a model needs is said before it is loaded
_SHOWN_LENGTH = 128  # tokens of the rows that are counted then
_MARGIN = 1.05  # of packed weights, for buffers and bookkeeping

DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16,
}  # fmt: skip


def choose_device(device: str) -> torch.device:
    """The device a name stands for, which must be there: "auto", "cpu", "cuda", "cuda:N" or "mps".

    "auto" is the GPU, else the CPU. Apple's "mps" is taken only where TRANSFORMERLENS_ALLOW_MPS=1 is set, since
    TransformerLens holds its results to be unreliable.
    """
    mps = torch.backends.mps.is_available()
    if device == "auto":
        allowed = mps and os.environ.get("TRANSFORMERLENS_ALLOW_MPS") == "1"
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if allowed else "cpu")
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", device):
        hint = nearest(device, ["auto", "cpu", "cuda", "mps"])
        raise InputError(f"device: expected auto, cpu, cuda, cuda:N or mps, got '{device}'.{hint}")
    if device == "mps" and not mps:
        raise InputError("device: expected a Mac with an Apple GPU for 'mps', found none; use device 'cpu'.")
    if device.startswith("cuda"):
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(device.partition(":")[2] or 0) >= there:
            found = f"found {there}" if there else "found none"
            raise InputError(f"device: expected a GPU for '{device}', {found}; use device 'cpu' or a lower number.")
    return torch.device(device)


def count_devices(devices: int | str | None, device: str) -> int:
    """Over how many GPUs a model is spread: `devices` as a number, all for "auto", one for None."""
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if devices is None:
        return 1
    if devices == "auto":
        return max(1, there) if device in ("auto", "cuda") else 1
    if isinstance(devices, bool) or not re.fullmatch(r"[1-9]\d*", str(devices)):
        raise InputError(f"devices: expected a number of GPUs or 'auto', got '{devices}'.")
    wanted = int(devices)
    if wanted > 1 and device not in ("auto", "cuda"):
        raise InputError(
            f"devices: expected device 'auto' or 'cuda' for {wanted} GPUs, got device '{device}'; drop one."
        )
    if wanted > max(1, there):
        raise InputError(f"devices: expected {wanted} GPUs, found {there}; ask for fewer, or leave devices out.")
    return wanted


def choose_dtype(dtype: str, place: torch.device, stored: str, *, quantize: str | None = None) -> str:
    """The name of the number type to load as: `dtype`, or for "auto" float32 on the CPU and elsewhere as stored.

    What is not packed of quantised weights, and what they are computed in, is bfloat16.
    """
    if quantize is not None:
        return "bfloat16"
    if dtype != "auto":
        return dtype
    return stored if place.type != "cpu" and stored in DTYPES else "float32"


def weight_bytes(
    stored: Mapping[str, int],
    dtype: str,
    *,
    fused: int = 0,
    config: Mapping[str, Any] | None = None,
    quantize: str | None = None,
) -> int:
    """Bytes of the weights once loaded: `stored` (safetensors type -> count) as `dtype`, or packed.

    `fused` numbers are held twice. What is packed, `config` tells; without it nothing is taken to be.
    """
    total = sum(stored.values()) + fused
    try:
        return packed_bytes(dimensions_of(config or {}), dtype, quantize=quantize, numbers=total)
    except InputError:
        return total * torch.finfo(DTYPES[dtype]).bits // 8


def memory_line(
    name: str,
    stored: Mapping[str, int],
    dtype: str,
    place: torch.device,
    *,
    fused: int = 0,
    gpus: int = 1,
    config: Mapping[str, Any] | None = None,
    quantize: str | None = None,
) -> str:
    """What a model will take and what is free, known from config.json and the headers of its weights alone.

    Rows are those of a batch of texts that are written: their caches, logits and work space beside the weights.

    >>> memory_line("llama-2-7b", stored, "bfloat16", torch.device("cuda"), config=config)      # doctest: +SKIP
    'llama-2-7b in bfloat16 on cuda: 13.5 GB of weights and 0.5 MB per cached token; 76.1 GB are free, room for batches
    of 461 rows of 128 tokens'
    """
    weights = weight_bytes(stored, dtype, fused=fused, config=config, quantize=quantize)
    places = [f"cuda:{index}" for index in range(gpus)] if gpus > 1 else [str(place)]
    known = [free for free in map(free_memory, places) if free is not None]
    kind = dtype if quantize is None else f"{quantize} and {dtype}"
    said = f"{name} in {kind} on {' and '.join(places)}: {readable(weights)} of weights"
    try:
        sizes = dimensions_of(config or {})
    except InputError:
        return f"{said}; {readable(sum(known))} are free" if known else said
    said += f" and {_small(token_bytes(sizes, dtype))} per cached token"
    if not known:
        return said
    left = known[0] - weights / gpus  # batches are planned by the first GPU
    rows = rows_that_fit(sizes, _SHOWN_LENGTH, dtype, left, on_gpu=place.type == "cuda")
    room = f"room for batches of {rows:,} rows of {_SHOWN_LENGTH} tokens" if left > 0 else "which is too little"
    return f"{said}; {readable(sum(known))} are free, {room}"


def say_memory(name: str, stored: Mapping[str, int], dtype: str, place: torch.device, **how: Any) -> None:
    """Print the memory line on standard error, of a model whose weights take a gigabyte or more; same arguments."""
    if sum(stored.values()) * torch.finfo(DTYPES[dtype]).bits // 8 >= SAID_FROM:
        print(memory_line(name, stored, dtype, place, **how), file=sys.stderr)


def _small(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 10**5 else f"{size / 1e3:.1f} kB"


def refuse_too_large(
    name: str,
    stored: Mapping[str, int],
    dtype: str,
    place: torch.device,
    *,
    fused: int = 0,
    gpus: int = 1,
    config: Mapping[str, Any] | None = None,
    quantize: str | None = None,
) -> None:
    """Raise `InputError` where the weights alone would not fit in what is free on their device or devices.

    `config` is needed to know what packed weights take.
    """
    need = bytes_needed(stored, dtype, fused=fused)
    packed = (
        None
        if config is None
        else math.ceil(_MARGIN * weight_bytes(stored, "bfloat16", config=config, quantize="4bit"))
    )
    if quantize is not None:
        need = packed or need
    smaller = f"quantize '4bit' ({readable(packed)}), " if packed and quantize is None and not fused else ""
    places = [f"cuda:{index}" for index in range(gpus)] if gpus > 1 else [str(place)]
    _refuse(name, need, places, dtype, quantize, smaller if place.type == "cuda" else "")
    if quantize is not None:
        return  # read from the files, and packed on the GPU
    kinds = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
    converted = any(kind in ("F64", "F32", "BF16", "F16") and kind != kinds[dtype] for kind in stored)
    if place.type != "cpu" and gpus == 1 and converted:  # converted on the CPU; otherwise only mapped from the files
        _refuse(name, need, ["cpu"], dtype, None, "")


def _refuse(name: str, need: int, places: list[str], dtype: str, quantize: str | None, smaller: str) -> None:
    free = [free_memory(place) for place in places]
    known = [one for one in free if one is not None]
    if len(known) == len(free) and sum(known) < need:
        half = f"dtype 'bfloat16' ({readable(need // 2)}), " if dtype == "float32" else ""
        raise InputError(
            f"{name}: expected {readable(need)} of free memory on {' and '.join(places)} to load it as "
            f"{quantize or dtype}, got {readable(sum(known))}; use {half}{smaller}a smaller model, or `devices` for "
            "several GPUs."
        )


class NotingLoader:
    """Stands in for a transformers auto class, to learn which weights the files lack.

    transformers fills those with random numbers and says so in its log alone. `options` are given to it besides those
    that TransformerLens passes on: how to pack weights.
    """

    def __init__(self, auto: Any, **options: Any) -> None:
        self.auto, self.options, self.missing = auto, options, list[str]()

    def from_pretrained(self, folder: str, **options: Any) -> Any:
        """What the auto class returns, from safetensors only."""
        options |= self.options
        model, report = self.auto.from_pretrained(folder, output_loading_info=True, use_safetensors=True, **options)
        self.missing = sorted(report["missing_keys"])
        return model


@contextmanager
def quiet_loaders() -> Iterator[None]:
    """Keep the loaders' bars, log lines and warnings out of the output, and put everything back as it was.

    Importing TransformerLens changes the level of transformers' logger and the filters of warnings for the whole
    process, and its first log line installs a handler on the root logger: all of that is undone too.
    """
    root, disabled = logging.getLogger(), logging.root.manager.disable
    handlers = list(root.handlers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(max(disabled, logging.WARNING))
        import transformers  # noqa: F401  sets its own logger up on import
        from huggingface_hub.utils import are_progress_bars_disabled
        from transformers.utils import logging as loaders

        logger = logging.getLogger("transformers")
        level, bars, hub_bars = logger.level, loaders.is_progress_bar_enabled(), not are_progress_bars_disabled()
        loaders.disable_progress_bar()
        try:
            yield
        finally:
            if bars:
                loaders.enable_progress_bar()  # switches the hub's bars on as well
            _set_hub_bars(hub_bars)
            logger.setLevel(level)
            logging.disable(disabled)
            for handler in set(root.handlers) - set(handlers):
                root.removeHandler(handler)


def _set_hub_bars(shown: bool) -> None:
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    (enable_progress_bars if shown else disable_progress_bars)()
