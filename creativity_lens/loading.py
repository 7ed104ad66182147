"""Loading: which device, which number type, and the bridge that TransformerLens boots, with loaders kept silent.

This is the module that imports transformer_lens; `backends.vllm` alone does too, for its bridge to another program.
"""

import importlib.util
import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from creativity_lens.errors import InputError, nearest
from creativity_lens.model_files import one_line, own_code
from creativity_lens.model_hub import Found
from creativity_lens.quantization import quantized, target_of

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


def boot(found: Found, dtype: torch.dtype, place: torch.device, gpus: int, quantize: str | None) -> Any:
    """The bridge: weights raw, every one of them from the files, gradients off.

    Raises `InputError` for whatever cannot be loaded.
    """
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.model_bridge.sources.transformers import get_hf_model_class_for_architecture

    architecture = next(iter(found.files.config.get("architectures") or []), "")
    if architecture.endswith("ForConditionalGeneration") and importlib.util.find_spec("torchvision") is None:
        # TransformerLens would run pip by itself
        raise InputError(f"{found.id}: expected torchvision, for it also sees images; run `pip install torchvision`.")
    loader = NotingLoader(get_hf_model_class_for_architecture(architecture), **quantized(quantize))
    target = target_of(place, gpus, quantize)
    try:
        folder = str(found.files.folder)
        bridge = TransformerBridge.boot_transformers(folder, dtype=dtype, model_class=loader, **target)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise InputError(f"{found.id}: ran out of memory on {place}; use a smaller model or dtype.") from error
    except Exception as error:  # whatever two libraries may raise on files from elsewhere
        refusal = f"{found.id}: TransformerLens cannot load it ({one_line(error)}); choose another model."
        raise InputError(own_code(found.id) if "trust_remote_code" in str(error) else refusal) from error
    if loader.missing:
        raise InputError(
            f"{found.id}: expected every weight of a {architecture}, {len(loader.missing)} are missing "
            f"({loader.missing[0]}); the files do not belong to config.json: fetch them again."
        )
    if getattr(bridge.cfg, "is_stateful", False) or "blocks.0.hook_out" not in bridge.hook_dict:
        raise InputError(f"{found.id}: expected a transformer with attention in blocks, got a {architecture}.")
    language_model: Any = bridge.original_model
    language_model.eval().requires_grad_(False)
    language_model.config.output_attentions = False  # the bridge asks for them; nobody here reads them
    return bridge


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
