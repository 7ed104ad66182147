"""Models: loaded raw through TransformerLens, run through one small surface that every other module uses.

**Layer l is the residual stream after block l, counted from 0** (`blocks.{l}.hook_resid_post`, which the bridge calls
`blocks.{l}.hook_out`). Weights are raw: nothing is folded or centred, so a direction acts in the stream that other
tools run.
"""

import importlib.metadata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from creativity_lens import __version__, loading, tokens
from creativity_lens.engines import Local
from creativity_lens.errors import InputError, check_choice
from creativity_lens.files import sha256_text
from creativity_lens.memory_needed import Needed, refuse_too_large, say_memory
from creativity_lens.model_files import ModelFiles, config_hash, stored_dtype, weights_hash
from creativity_lens.model_hub import Listing, find_model
from creativity_lens.native import Native
from creativity_lens.quantization import check_quantizable, check_quantize
from creativity_lens.shape import Shape, shape_of
from creativity_lens.tokens import EncodedPrompt
from creativity_lens.work import Engine

ResidualHook = Callable[[Tensor], Tensor | None]


class _LastLayerReached(Exception):  # noqa: N818  it is no error
    """Raised inside a hook to leave the forward pass once the last wanted block has run."""


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model with its tokenizer, template and provenance. Made by `load_model`; never changed afterwards.

    Its works are done by its engine: in this process, unless another one is put in its place.
    """

    name: str  # as the user asked for it
    id: str  # built-in name, hub id, or the folder
    revision: str | None  # commit on the hub; None for a built-in model or a folder
    bridge: Any  # TransformerBridge, raw weights; None where they are on an engine's workers only
    shape: Shape
    tokenizer: Any
    template: str  # "chat" or "none"
    config_hash: str
    weights_hash: str  # "sha256:..." of the weights, or "commit:..." where the hub's cache does not tell it
    device: torch.device  # where token ids go; with several GPUs, that of the embeddings
    dtype: torch.dtype
    quantize: str | None = None  # "4bit", or None where weights are as stored
    engine: Engine = field(default_factory=Local)  # where its works are done
    writer: Any = None  # what draws texts instead of the bridge (vLLM)

    @property
    def n_layers(self) -> int:
        """Number of blocks; layers are 0 .. n_layers - 1."""
        return self.shape.n_layers

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.shape.d_model

    @property
    def vocabulary(self) -> int:
        """Number of logits the model returns, which may exceed the tokenizer's entries."""
        return self.shape.vocabulary

    @property
    def context(self) -> int:
        """Longest sequence the model takes, in tokens; 2,048 where positions are relative and none is named."""
        return self.shape.context

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Token ids that end a text: the tokenizer's, and those of the generation config."""
        return self.shape.end_ids

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything of the model that a result depends on: which weights, as which numbers, run by which versions."""
        return {
            "id": self.id,
            "revision": self.revision,
            "config_hash": self.config_hash,
            "weights_hash": self.weights_hash,
            "template_hash": self.template_hash,
            "dtype": str(self.dtype),
            "device": self.device.type,
            "quantize": self.quantize,
            "writer": None if self.writer is None else str(self.writer),
            "versions": dict(package_versions()),
        }

    @property
    def spec(self) -> dict[str, Any]:
        """What `load_model` is to be given to load the same model in another process."""
        is_folder = self.revision is None and Path(self.id).is_dir()
        return {
            "name": str(Path(self.id).resolve()) if is_folder else self.id,
            "revision": self.revision,
            "dtype": str(self.dtype).removeprefix("torch."),
            "template": self.template,
            "quantize": self.quantize,
        }

    @property
    def is_hooked(self) -> bool:
        """Whether hooks are in place now, so that its numbers are not the clean model's."""
        return self.bridge is not None and any(point.fwd_hooks for point in self.bridge.hook_dict.values())

    @cached_property
    def start_ids(self) -> tuple[int, ...]:
        """What precedes a text that is read alone: the beginning token, or the end token where a model has no other.

        Position 0 is never measured, so a text needs something in front of it.
        """
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None and token < self.vocabulary:
                return (int(token),)
        return (0,)

    @cached_property
    def pad_id(self) -> int:
        """Fills the masked positions of a batch; any id of the vocabulary would do."""
        pad = self.tokenizer.pad_token_id
        return int(pad) if pad is not None and pad < self.vocabulary else self.start_ids[0]

    @cached_property
    def template_hash(self) -> str:
        """SHA-256 of the chat template's text and of its use."""
        return sha256_text(self.template, str(self.tokenizer.chat_template) if self.template == "chat" else "")

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Token ids of plain text, without any special token."""
        return self.encode_texts([text])[0]

    def encode_texts(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Token ids of many plain texts, in one call of the tokenizer; `InputError` for one that is no Unicode."""
        return tokens.encode_all(self.tokenizer, texts)

    def encode_prompt(self, prompt: str) -> EncodedPrompt:
        """A prompt as the model is to be asked: in its chat template, or as plain text followed by a line break.

        `own` marks the tokens of the prompt's own words; template and beginning tokens are False. Beginning tokens come
        from the template alone, so there is never a second one. Raises `InputError` for a prompt of the context's
        length or more, and for a template that takes no user message.
        """
        if self.template == "chat":
            whole, spans = tokens.chat_text(self.tokenizer, prompt)
            front: tuple[int, ...] = ()
        else:
            whole, spans, front = prompt + "\n", [(0, len(prompt))], self.start_ids
        encoded = self.tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
        own = tokens.own_tokens(whole, encoded["offset_mapping"], spans)
        ids = front + tuple(encoded["input_ids"])
        if len(ids) >= self.context:
            raise InputError(
                f"prompt of {len(ids)} tokens: expected fewer than the context of {self.context} of {self.name}; "
                f"shorten {prompt[:60]!r}..."
            )
        return EncodedPrompt(ids, (False,) * len(front) + own)

    def encode_turns(self, turns: Sequence[str]) -> tuple[int, ...]:
        """A conversation in the chat template: turns alternate, the user's first and last. Needs a chat model."""
        if self.template != "chat":
            raise InputError(f"{self.name}: expected a chat model for a conversation; it has no chat template in use.")
        return tuple(self.tokenizer(tokens.turns_text(self.tokenizer, turns), add_special_tokens=False).input_ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens left out."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The readable piece of text that each token adds; joined, they are `decode(ids)`.

        A token that ends inside a character gives "", the one that completes it gives the character.
        """
        return tokens.text_pieces([int(index) for index in ids], self._token_bytes, self.decode)

    @cached_property
    def _token_bytes(self) -> list[bytes]:
        return tokens.token_bytes(self.tokenizer)

    def forward(
        self,
        ids: Int[Tensor, "batch pos"],
        *,
        mask: Int[Tensor, "batch all_pos"] | None = None,
        positions: Int[Tensor, "batch pos"] | None = None,
        cache: Any = None,
        keep: int = 0,
    ) -> Float[Tensor, "batch kept vocab"]:
        """Logits at the last `keep` positions (0 = at all), with gradients off; hooks fire."""
        with self._native.run(), torch.no_grad():
            return self._lm(
                input_ids=ids, past_key_values=cache, use_cache=cache is not None, logits_to_keep=keep,
                **_given(attention_mask=mask, position_ids=positions),
            ).logits  # fmt: skip

    def residuals(
        self,
        ids: Int[Tensor, "batch pos"],
        hooks: Mapping[int, ResidualHook],
        *,
        mask: Int[Tensor, "batch pos"] | None = None,
        positions: Int[Tensor, "batch pos"] | None = None,
    ) -> None:
        """Run the blocks up to the last layer in `hooks`, without the LM head, for the sake of the hooks alone."""
        last = max(hooks)

        def stop(residual: Tensor) -> None:
            hooks[last](residual)
            if last < self.n_layers - 1:
                raise _LastLayerReached

        given = _given(attention_mask=mask, position_ids=positions)
        with suppress(_LastLayerReached), self.hooks({**hooks, last: stop}), self._native.run(), torch.no_grad():
            self._lm.base_model(input_ids=ids, use_cache=False, **given)

    @contextmanager
    def hooks(self, by_layer: Mapping[int, ResidualHook]) -> Iterator[None]:
        """Call `by_layer[l]` on the residual stream `[batch, pos, d_model]` of layer l; a returned tensor replaces it.

        The hooks are gone when the block ends, also after an exception.
        """
        wrapped = [
            (f"blocks.{layer}.hook_out", lambda residual, hook, call=call: call(residual))
            for layer, call in by_layer.items()
        ]
        with self.bridge.hooks(fwd_hooks=wrapped):
            yield

    @property
    def embeddings(self) -> Float[Tensor, "vocab d_model"]:
        """The input embeddings of all tokens."""
        return self._lm.get_input_embeddings().weight.detach()

    @property
    def _lm(self) -> Any:
        if self.bridge is None:
            raise InputError(
                f"{self.name}: its weights are on the workers of another engine; expected a model that was loaded here."
            )
        return self.bridge.original_model

    @cached_property
    def _native(self) -> Native:
        return Native(self.bridge)

    def __repr__(self) -> str:
        return (
            f"Model({self.name!r}, {self.n_layers} layers, d_model {self.d_model}, template {self.template!r}, "
            f"{str(self.dtype).removeprefix('torch.')} on {self.device})"
        )


def package_versions() -> tuple[tuple[str, str], ...]:
    """Versions of the packages that shape the numbers."""
    names = ("torch", "transformer-lens", "transformers", "numpy")
    return (("creativity-lens", __version__), *((name, importlib.metadata.version(name)) for name in names))


def _given(**options: Any) -> dict[str, Any]:
    """The options that are not None: some architectures (with ALiBi, say) know no positions."""
    return {key: value for key, value in options.items() if value is not None}


def load_model(
    name: str | Path = "pocket-chat",
    *,
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    devices: int | str | None = None,
    template: str = "auto",
    quantize: str | None = None,
) -> Model:
    """Load a built-in model, a hub repository or a folder in Hugging Face format, weights raw, ready to be read.

    `name` is tolerant ("Llama 2 7b chat"; see `model_names`); `revision` is a branch, tag or commit of the hub, whose
    cached state is used if there is one. `device` is "auto", "cpu", "cuda", "cuda:N" or "mps", `devices` a number of
    GPUs (or "auto") to spread the model over. `dtype` is "float32", "bfloat16", "float16" or "auto": float32 on the
    CPU, elsewhere as stored. `template` "auto" asks chat models in their chat template and base models in plain text,
    "none" always in plain text, "chat" always in the template. `quantize` "4bit" packs the blocks' matrices (NF4, by
    bitsandbytes, on NVIDIA GPUs), with all else in bfloat16.

    Everything that can be known is checked before weights are read (format, architecture, memory), and what a model of
    1 GB or more will take is said on standard error. Raises `InputError`, one line, for whatever cannot be loaded.
    Weights come from safetensors only and no code of the repository runs.

    >>> model = load_model("pocket-chat")
    >>> model.n_layers, model.d_model
    (8, 192)
    """
    check_choice("template", template, ("auto", "none", "chat"))
    check_choice("dtype", dtype, ("auto", *loading.DTYPES))
    place, gpus = loading.choose_device(device), loading.count_devices(devices, device)
    check_quantize(quantize, dtype, place)

    def needed(id_: str, listed: Listing | ModelFiles) -> Needed:
        chosen = loading.choose_dtype(dtype, place, stored_dtype(listed.stored), quantize=quantize)
        fused = listed.fused if isinstance(listed, ModelFiles) else 0  # only the files themselves tell
        return Needed(id_, listed.stored, chosen, place, gpus, fused, listed.config, quantize)

    def refuse_early(listing: Listing) -> None:
        refuse_too_large(needed(listing.repo, listing))

    found = find_model(name, revision=revision, before_download=refuse_early)
    files = found.files
    need = needed(found.id, files)
    check_quantizable(found.id, files.fused, quantize)
    refuse_too_large(need)
    say_memory(replace(need, name=str(name)))
    with loading.quiet_loaders():
        tokenizer = tokens.load_tokenizer(found.files.folder, found.id)
        bridge = loading.boot(found, loading.DTYPES[need.dtype], place, gpus, quantize)
    return Model(
        name=str(name),
        id=found.id,
        revision=found.commit,
        bridge=bridge,
        shape=shape_of(bridge, tokenizer),
        tokenizer=tokenizer,
        template=tokens.choose_template(tokenizer, template, found.id),
        config_hash=config_hash(files.config),
        weights_hash=weights_hash(files.weights, commit=found.commit),
        device=torch.device(bridge.cfg.device),
        dtype=loading.DTYPES[need.dtype],
        quantize=quantize,
    )
