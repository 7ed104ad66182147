"""The model a direction belongs to, as its config.json describes it: what foreign formats ask for, without weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from creativity_lens.directions import Directions
from creativity_lens.errors import InputError
from creativity_lens.model_files import config_hash, describe_config, one_line, read_config
from creativity_lens.model_hub import local_folder


@dataclass(frozen=True, eq=False)
class Host:
    """A model's config.json on this machine."""

    name: str  # as errors call it
    folder: Path
    config: Mapping[str, Any]

    @property
    def model_type(self) -> str:
        """What Hugging Face calls the kind of model: "llama", "gpt2"."""
        found = self.config.get("model_type")
        if not isinstance(found, str) or not found:
            raise InputError(f"{self.name}: expected a model_type in its config.json, found none.")
        return found

    @property
    def n_layers(self) -> int | None:
        """Blocks, where the config names them."""
        return describe_config(self.config)["layers"]

    @property
    def d_model(self) -> int | None:
        """Width of the residual stream, where the config names it."""
        return describe_config(self.config)["width"]

    @cached_property
    def blocks(self) -> str:
        """Path of the list of blocks inside `model.base_model`: "layers" for Llama and NeoX, "h" for GPT-2.

        It is looked up in the model itself, built without weights or memory by transformers. Raises `InputError` where
        transformers cannot build it, and where not exactly one list has as many modules as the model has blocks.
        """
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        from creativity_lens.loading import quiet_loaders

        try:
            with quiet_loaders(), torch.device("meta"):
                config = AutoConfig.from_pretrained(str(self.folder), local_files_only=True)
                base = AutoModelForCausalLM.from_config(config).base_model
        except Exception as error:  # whatever transformers may raise on a config from elsewhere
            raise InputError(f"{self.name}: transformers cannot build it ({one_line(error)}).") from error
        found = lists_of(self.n_layers, base)
        if len(found) != 1:
            raise InputError(
                f"{self.name}: expected one list of {self.n_layers} blocks in the model, found "
                f"{' and '.join(found) or 'none'}; this format cannot name its layers."
            )
        return found[0]


def lists_of(length: int | None, base: Any) -> list[str]:
    """Paths of a module's lists of so many modules, those inside one another left out: a block may hold experts."""
    import torch

    found: list[str] = []
    for name, module in base.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if isinstance(module, torch.nn.ModuleList) and len(module) == length and not inside:
            found.append(name)
    return found


def load_host(name: str | Path, revision: str | None = None) -> Host:
    """A model by name or folder, from what is on this machine. Raises `InputError` where its config.json is not."""
    folder = local_folder(name, revision)
    if folder is None:
        raise InputError(
            f"{name}: expected its config.json on this machine, found none in the hub's cache; load the model once, or "
            "name a folder that holds it with --model."
        )
    return Host(str(name), folder, read_config(folder, str(name)))


def find_host(directions: Directions, model: str | Path | None = None) -> Host:
    """The model that directions were measured on: where they say it is, or where `model` says.

    Raises `InputError` where it is not on this machine, and for a config other than the one they were measured with.
    """
    source = directions.source
    try:
        host = load_host(source.model if model is None else model, source.revision if model is None else None)
    except InputError as error:
        if model is not None:
            raise
        raise InputError(f"the directions' model: {error} Name it with --model.") from None
    found = config_hash(host.config)
    if found != source.config_hash:
        raise InputError(
            f"{host.name}: its config.json (hash {found[:12]}) is not the one that the directions were measured with "
            f"(hash {source.config_hash[:12]}, {source.model}); name that model with --model."
        )
    return host
