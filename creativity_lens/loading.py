"""What is decided before a model is loaded: device, number type, memory; and silence while loaders run."""

import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from creativity_lens.errors import InputError, nearest
from creativity_lens.memory import free_memory
from creativity_lens.model_files import bytes_needed
from creativity_lens.model_hub import readable

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


def choose_dtype(dtype: str, place: torch.device, stored: str) -> str:
    """The name of the number type to load as: `dtype`, or for "auto" float32 on the CPU and elsewhere as stored."""
    if dtype != "auto":
        return dtype
    return stored if place.type != "cpu" and stored in DTYPES else "float32"


def refuse_too_large(
    name: str, stored: Mapping[str, int], dtype: str, place: torch.device, *, fused: int = 0, gpus: int = 1
) -> None:
    """Raise `InputError` where the weights alone would not fit in what is free on their device or devices."""
    need = bytes_needed(stored, dtype, fused=fused)
    _refuse(name, need, [f"cuda:{index}" for index in range(gpus)] if gpus > 1 else [str(place)], dtype)
    kinds = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
    converted = any(kind in ("F64", "F32", "BF16", "F16") and kind != kinds[dtype] for kind in stored)
    if place.type != "cpu" and gpus == 1 and converted:  # converted on the CPU; otherwise only mapped from the files
        _refuse(name, need, ["cpu"], dtype)


def _refuse(name: str, need: int, places: list[str], dtype: str) -> None:
    free = [free_memory(place) for place in places]
    known = [one for one in free if one is not None]
    if len(known) == len(free) and sum(known) < need:
        half = f"dtype 'bfloat16' ({readable(need // 2)}), " if dtype == "float32" else ""
        raise InputError(
            f"{name}: expected {readable(need)} of free memory on {' and '.join(places)} to load it as {dtype}, got "
            f"{readable(sum(known))}; use {half}a smaller model, or `devices` for several GPUs."
        )


class NotingLoader:
    """Stands in for a transformers auto class, to learn which weights the files lack.

    transformers fills those with random numbers and says so in its log alone.
    """

    def __init__(self, auto: Any) -> None:
        self.auto, self.missing = auto, list[str]()

    def from_pretrained(self, folder: str, **options: Any) -> Any:
        """What the auto class returns, from safetensors only."""
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
