"""`--backend vllm`: texts drawn by vLLM, through TransformerLens's own vLLM source, behind the same `generate`.

    writer = boot_writer(model)                              # refuses where vLLM cannot run, or does not steer right
    texts = generate(replace(model, writer=writer), prompts, steering=[None, edit])
    writer.close()

vLLM holds weights of its own beside the model's, which go on to read, score and screen on the ordinary bridge: a GPU
needs room for both. What is the same as without it: prompts in their template, layers, doses, scopes, end tokens, the
shortest and the longest text, truncations, and that a text whose logits are no numbers any more ends there. What is
not:

- Luck is vLLM's own. A row's generator is seeded by its prompt and its seed, so the same call on the same machine gives
  the same texts, as far as vLLM's numbers repeat; but other texts than without it, equal in distribution alone.
- Rows of one edit share a batch, others wait: every edit is a batch of its own.
- Every row's prompt is read anew, for prefixes are never shared: a shared prefix could hold another row's edit.
- Scope "generated" (edits from the first generated token on) needs one GPU, where the engine runs in this process and
  waits between steps; over several GPUs only scope "all" can be had.
- Probes are not measured, their values are NaN. Mixtures, modes other than "add", temperatures between 0 and 0.01,
  min-p beside top-p, and listening to tokens as they are drawn (`on_step`) are refused.
- TransformerLens hooks three places in each block, used or not: (3 layers + 2) x `step_tokens` x d_model numbers of GPU
  memory (1.6 GB for a 7B model at 2,048 in bfloat16), and a copy of what a step reads at each.

What was run, and what was not: all of this package's code, and TransformerLens 4.3.0's `boot_vllm`, driver, hooks and
worker calls, against an engine of vLLM's interface that computes small models on a CPU (`tests/fake_vllm.py`); its
names and arguments were compared with the source of vLLM 0.20.2. vLLM itself was not run, for it needs an NVIDIA GPU:
its compiled graphs, speed and memory are untested here. That is what the self-test at the start is for: it compares
streams, tokens and log-probabilities with the model's own bridge, and refuses the backend where they do not agree.
"""

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from creativity_lens import loading
from creativity_lens.backends.edits import by_edit, check_writable, drawing_of, specs_of
from creativity_lens.backends.proof import prove
from creativity_lens.backends.served import Asked, Drawn, Served
from creativity_lens.drawing import Decoding, Ids, Row
from creativity_lens.errors import InputError
from creativity_lens.model_files import one_line
from creativity_lens.model_hub import find_model
from creativity_lens.models import Model

VERSIONS = re.compile(r"0\.20\.([2-9]|\d\d+)\b")  # that TransformerLens 4.3 was made for; others keep things elsewhere
STEP_TOKENS = 2048  # read in one step; TransformerLens's own default, by which its buffers are sized
CONTEXT = 4096  # tokens of a prompt and its text; vLLM keeps room in its cache for one such text at least


@dataclass(frozen=True, eq=False)
class Writer:
    """A running vLLM that passed its self-test. Made by `boot_writer`; `close` gives its memory back.

    Its text (`str`) names everything of it that its texts depend on.
    """

    served: Served
    version: str
    gpus: int
    step_tokens: int

    def write(self, model: Model, decoding: Decoding, rows: Sequence[Row], ids: Sequence[Ids]) -> list[Ids]:
        """The texts' token ids, in the order of `rows`, without end tokens; `ids` are the prompts in their template.

        Rows may be mixed: those of one edit are drawn together, one edit after the other. Raises `InputError` for what
        `check_writable` refuses, for edits that the model cannot take, and for prompts without room.
        """
        return [text.ids for text in self.draw(model, decoding, rows, ids)]

    def draw(self, model: Model, decoding: Decoding, rows: Sequence[Row], ids: Sequence[Ids]) -> list[Drawn]:
        """As `write`, with the log-probability of every token at temperature 1."""
        check_writable(decoding, rows, gpus=self.gpus)
        self._check_room(decoding, ids)
        groups = by_edit(rows)
        specs = [specs_of(rows[group[0]].steering, model) for group in groups]  # all are checked before any runs
        drawn: dict[int, Drawn] = {}
        for group, spec in zip(groups, specs, strict=True):
            asked = [Asked(ids[number], drawing_of(rows[number], decoding, model.end_ids)) for number in group]
            made = self.served.write(asked, spec, from_start=decoding.scope == "all", step_tokens=self.step_tokens)
            drawn |= dict(zip(group, made, strict=True))
        return [drawn[number] for number in range(len(rows))]

    def _check_room(self, decoding: Decoding, ids: Sequence[Ids]) -> None:
        longest = max(map(len, ids), default=0)
        if longest + decoding.max_new_tokens > self.served.context:
            raise InputError(
                f"backend vllm: prompt of {longest} tokens + {decoding.max_new_tokens} new ones: expected at most the "
                f"{self.served.context} that it was started for; shorten the prompt or --max-new-tokens."
            )
        if decoding.scope == "generated" and longest > self.step_tokens:
            raise InputError(
                f"backend vllm: prompt of {longest} tokens: expected at most {self.step_tokens}, which one step reads, "
                "at scope 'generated'; shorten it, or use --scope all."
            )

    def close(self) -> None:
        """Stop it and give the GPU's memory back. May be called again."""
        self.served.close()

    def __str__(self) -> str:
        return f"vllm {self.version}, {self.gpus} GPU{'s' * (self.gpus > 1)}, {self.step_tokens} tokens a step"


def boot_writer(
    model: Model, *, gpus: int = 1, memory: float = 0.5, step_tokens: int = STEP_TOKENS, context: int = CONTEXT
) -> Writer:
    """Start vLLM on the model's own weights, in its number type, and prove that it steers as the model does.

    `gpus` is over how many of them each layer is split; `memory` the share of each that vLLM takes, weights, cache and
    all; `context` the longest prompt and text. Raises `InputError`, one line, where there is no GPU, where vLLM is
    missing or of another version, where it cannot start, and where the self-test fails.

    >>> boot_writer(load_model("Qwen/Qwen3-0.6B", dtype="bfloat16"))  # doctest: +SKIP
    """
    version = _check(model, gpus, memory)
    longest = min(context, model.context)
    found = find_model(model.id, revision=model.revision)
    try:
        with loading.quiet_loaders():
            bridge = _boot(
                str(found.files.folder),
                dtype=model.dtype,
                gpu_memory_utilization=float(memory),
                max_model_len=longest,
                max_num_batched_tokens=step_tokens,
                tensor_parallel_size=gpus,
                enable_prefix_caching=False,  # TransformerLens forces it too; checked after the start
                async_scheduling=False,  # else the next step has begun before an edit can be handed over
                generation_config="vllm",  # no temperature or end of the folder's own behind our back
                seed=0,
            )
    except Exception as error:  # whatever two libraries and a driver may raise
        raise InputError(
            f"backend vllm: cannot start with {model.name} ({one_line(error)}); give it more or less memory, close "
            "what else uses the GPU, or leave --backend out."
        ) from error
    try:
        served = Served(bridge)
        writer = Writer(served, version, gpus, step_tokens)
        if gpus == 1 and not served.takes_steps:
            raise InputError("backend vllm: expected an engine that waits between steps, got one that runs ahead.")
        prove(served, writer.draw, model, scopes=("generated", "all") if gpus == 1 else ("all",))
    except InputError:
        bridge.close()
        raise
    except Exception as error:
        bridge.close()
        raise InputError(f"backend vllm: its self-test broke off ({one_line(error)}); leave --backend out.") from error
    return writer


def _check(model: Model, gpus: int, memory: float) -> str:
    """vLLM's version; everything that can be known before it starts is refused here."""
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not there:
        raise InputError("backend vllm: expected an NVIDIA GPU with CUDA, found none; leave --backend out.")
    if gpus < 1 or gpus > there:
        raise InputError(f"backend vllm: expected 1 to {there} GPUs, for so many are there, got {gpus}.")
    if not 0 < memory <= 1:
        raise InputError(f"backend vllm: expected a share of memory above 0 and at most 1, got {memory:g}.")
    if model.quantize is not None:
        raise InputError(
            f"backend vllm: expected weights as stored, got quantize '{model.quantize}'; leave it or --backend out."
        )
    if importlib.util.find_spec("vllm") is None:
        raise InputError(
            "backend vllm: expected the package vllm, found none; run `pip install 'transformer-lens[vllm]'`, or leave "
            "--backend out."
        )
    try:
        import vllm

        version = str(vllm.__version__)
    except Exception as error:  # a build for another CUDA says so on import, in many ways
        raise InputError(
            f"backend vllm: the package vllm cannot be imported ({one_line(error)}); install one for this machine's "
            "CUDA, or leave --backend out."
        ) from error
    if not VERSIONS.match(version):
        raise InputError(
            f"backend vllm: expected vllm 0.20.2 or a later 0.20, which TransformerLens 4.3 hooks into, got {version}; "
            "run `pip install 'transformer-lens[vllm]'`, or leave --backend out."
        )
    return version


def _boot(folder: str, **options: Any) -> Any:
    from transformer_lens.model_bridge import RemoteBridge

    return RemoteBridge.boot_vllm(folder, **options)
