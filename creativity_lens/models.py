"""Models: loaded raw through TransformerLens, run through one small surface that every other module uses.

**Layer l is the residual stream after block l, counted from 0** (`blocks.{l}.hook_resid_post`, which the bridge calls
`blocks.{l}.hook_out`). Weights are raw: nothing is folded or centred, so a direction acts in the stream that other tools run.
This is the only module that imports transformer_lens.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from creativity_lens.errors import InputError
from creativity_lens.files import sha256_text

ResidualHook = Callable[[Tensor], Tensor | None]


class _LastLayerReached(Exception):
    """Raised inside a hook to leave the forward pass once the last wanted block has run."""


class EncodedPrompt(NamedTuple):
    """A prompt as the model sees it: token ids, and which of them are the prompt's own words (not template tokens)."""

    ids: tuple[int, ...]
    own: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model with its tokenizer, template and provenance. Made by `load_model`; never changed afterwards."""

    name: str  # as the user asked for it
    id: str  # hub id, or the folder
    revision: str | None  # commit or branch on the hub; None for a folder
    bridge: Any  # TransformerBridge, raw weights
    tokenizer: Any
    template: str  # "chat" or "none"
    config_hash: str
    weights_hash: str
    device: torch.device
    dtype: torch.dtype

    @property
    def n_layers(self) -> int:
        """Number of blocks; layers are 0 .. n_layers - 1."""
        return int(self.bridge.cfg.n_layers)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.bridge.cfg.d_model)

    @cached_property
    def vocabulary(self) -> int:
        """Number of logits the model returns, which may exceed the tokenizer's entries."""
        return int(self.bridge.original_model.get_output_embeddings().weight.shape[0])

    @cached_property
    def context(self) -> int:
        """Longest sequence the model takes, in tokens."""
        return int(self.bridge.cfg.n_ctx)

    @cached_property
    def end_ids(self) -> tuple[int, ...]:
        """Token ids that end a text: the tokenizer's, and those of the generation config."""
        config = getattr(self.bridge.original_model, "generation_config", None)
        listed = getattr(config, "eos_token_id", None)
        ids = listed if isinstance(listed, list) else [listed]
        return tuple(sorted({int(i) for i in [*ids, self.tokenizer.eos_token_id] if i is not None}))

    @cached_property
    def start_ids(self) -> tuple[int, ...]:
        """What precedes a text that is read alone: the beginning token, or the end token where a model has no other.

        Position 0 is never measured, so a text needs something in front of it.
        """
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return (int(token),)
        return (0,)

    @cached_property
    def pad_id(self) -> int:
        """Fills the masked positions of a batch; any id would do."""
        return int(self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.start_ids[0])

    @cached_property
    def template_hash(self) -> str:
        """SHA-256 of the chat template's text and of its use."""
        return sha256_text(self.template, str(self.tokenizer.chat_template) if self.template == "chat" else "")

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Token ids of plain text, without any special token."""
        return tuple(self.tokenizer(text, add_special_tokens=False).input_ids)

    def encode_prompt(self, prompt: str) -> EncodedPrompt:
        """A prompt as the model is to be asked: in its chat template, or as plain text followed by a line break.

        `own` marks the tokens of the prompt's own words; template and beginning tokens are False.
        """
        if self.template == "chat":
            message = [{"role": "user", "content": prompt}]
            whole = self.tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
            start = whole.rfind(prompt.strip())
            end = start + len(prompt.strip())
            front: tuple[int, ...] = ()
        else:
            whole, start, end, front = prompt + "\n", 0, len(prompt), self.start_ids
        encoded = self.tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
        own = tuple(start <= a and b <= end and b > a for a, b in encoded["offset_mapping"])
        ids = front + tuple(encoded["input_ids"])
        if len(ids) >= self.context:
            raise InputError(
                f"prompt of {len(ids)} tokens: expected fewer than the context of {self.context} of {self.name}; "
                f"shorten it: '{prompt[:60]}...'"
            )
        return EncodedPrompt(ids, (False,) * len(front) + own)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens left out."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The readable piece of text that each token adds; joined, they are the text."""
        texts = [self.decode(ids[: n + 1]) for n in range(len(ids))]
        return [text[len(before) :] for before, text in zip(["", *texts[:-1]], texts, strict=True)]

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
        return self._lm(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache,
            use_cache=cache is not None, logits_to_keep=keep,
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

        try:
            with self.hooks({**hooks, last: stop}):
                self._lm.base_model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
        except _LastLayerReached:
            pass

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
    def _lm(self) -> Any:
        return self.bridge.original_model

    def __repr__(self) -> str:
        return (
            f"Model({self.name!r}, {self.n_layers} layers, d_model {self.d_model}, template {self.template!r}, "
            f"{str(self.dtype).removeprefix('torch.')} on {self.device})"
        )


def load_model(
    name: str = "pocket-chat",
    *,
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    devices: int | str | None = None,
    template: str = "auto",
) -> Model:
    """TEMPORARY SHAPE, to be deepened: load a built-in or local model."""
    from transformer_lens.model_bridge import TransformerBridge

    from creativity_lens.files import data_folder

    folder = str(data_folder() / "pocket" / name.removeprefix("pocket-")) if name.startswith("pocket-") else name
    bridge = TransformerBridge.boot_transformers(folder, device="cpu")
    chat = template == "auto" and name != "pocket-base" and bool(bridge.tokenizer.chat_template)
    return Model(name, folder, revision, bridge, bridge.tokenizer, "chat" if chat else "none", "", "", torch.device("cpu"), torch.float32)
