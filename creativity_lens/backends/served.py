"""The vLLM engine inside a bridge of TransformerLens: texts of many rows under one edit.

`RemoteBridge.forward` gives one next token for one prompt and no text, so a text would cost a pass over all of its
tokens for each of them. This module therefore goes through the engine that `boot_vllm` made and hooked, as
TransformerLens's own provider for evaluations does: the edit is handed to the workers by TransformerLens's own call
(`tl_set_interventions`), and holds in every forward pass until the next one is handed over.

Scope "all" is that and nothing more. Scope "generated" lets all prompts of a wave be read in one step without the edit,
then hands the edit over and lets the rest run; first tokens are drawn from the unedited prompt, as everywhere in this
package. That the wave was read in one step, and that no row was read anew later, is looked up in vLLM's scheduler each
time; a wave in which it was not so is thrown away and done in halves.
"""

import contextlib
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from creativity_lens.backends.edits import Specs, hook_name
from creativity_lens.drawing import Ids
from creativity_lens.errors import InputError


@dataclass(frozen=True)
class Asked:
    """One text to draw: what the model is given, and the arguments of `vllm.SamplingParams`."""

    ids: Ids
    drawing: Mapping[str, Any]


@dataclass(frozen=True)
class Drawn:
    """A text without its end token, and the natural log-probability of each token at temperature 1."""

    ids: Ids
    logs: tuple[float, ...]


class Served:
    """A booted engine, and what the self-test needs to know of it."""

    def __init__(self, bridge: Any) -> None:
        from vllm import SamplingParams
        from vllm.inputs import TokensPrompt

        self._bridge, self._drawing, self._prompt = bridge, SamplingParams, TokensPrompt
        with _elsewhere("the engine of its vLLM bridge"):
            self._llm = bridge._driver._llm
            self.hooks: frozenset[str] = frozenset(bridge._driver.supported_hook_points)
            config = self._llm.llm_engine.vllm_config
            self.caches_prefixes = bool(config.cache_config.enable_prefix_caching)
            self._runs_ahead = bool(config.scheduler_config.async_scheduling)
            self._room_for = int(config.scheduler_config.max_num_seqs)
            self.context = int(config.model_config.max_model_len)

    @property
    def takes_steps(self) -> bool:
        """Whether the engine waits between two steps, so that an edit can begin after the prompts were read."""
        return not self._runs_ahead and self._scheduler() is not None

    def write(self, asked: Sequence[Asked], specs: Specs, *, from_start: bool, step_tokens: int) -> list[Drawn]:
        """The texts, in the order of `asked`, under one edit: also on the prompts, or only after them.

        Prompts must be no longer than `step_tokens`, the tokens that one step reads. Whatever happens, no edit and no
        unfinished row is left behind.
        """
        if self._llm is None:
            raise InputError("backend vllm: it was closed; expected one that is running: start it again.")
        if from_start:
            found = self._wave(asked, specs, from_start=True)
            assert found is not None, "only what waits for the prompts can fail to"
            return found
        drawn: list[Drawn] = []
        for wave in waves([len(each.ids) for each in asked], step_tokens, self._room_for):
            drawn += self._after_prompts([asked[number] for number in wave], specs)
        return drawn

    def _after_prompts(self, asked: Sequence[Asked], specs: Specs) -> list[Drawn]:
        found = self._wave(asked, specs, from_start=False)
        if found is not None:
            return found
        if len(asked) == 1:
            raise InputError(
                f"backend vllm: no room in its cache for one text of {len(asked[0].ids)} tokens and those to come; "
                "give it more memory, or shorten the prompt or --max-new-tokens."
            )
        middle = len(asked) // 2
        return self._after_prompts(asked[:middle], specs) + self._after_prompts(asked[middle:], specs)

    def _wave(self, asked: Sequence[Asked], specs: Specs, *, from_start: bool) -> list[Drawn] | None:
        """None where the engine did not read all prompts in one step, or read a row anew under the edit."""
        prompts = [self._prompt(prompt_token_ids=list(each.ids)) for each in asked]
        parameters = [self._drawing(**each.drawing) for each in asked]
        begun: list[str] = []
        try:
            self._edit(specs if from_start else {})
            begun = self._llm.enqueue(prompts, parameters, use_tqdm=False)
            outputs: list[Any] = []
            reading: list[Any] = []
            if not from_start:
                outputs = [output for output in self._llm.llm_engine.step() if output.finished]
                reading = self._reading()
                if len(reading) + len(outputs) < len(asked) or any(_unread(request) for request in reading):
                    return None
                self._edit(specs)
            outputs += self._llm.wait_for_completion(use_tqdm=False)
            begun = []
            if any(request.num_preemptions for request in reading):
                return None
            return _in_order(asked, outputs)
        finally:
            if begun:
                self._llm.llm_engine.abort_request(begun, internal=True)
            self._edit({})

    def residuals(self, ids: Ids, layers: Sequence[int], specs: Specs) -> dict[int, Float[Tensor, "pos d_model"]]:
        """The residual stream after some blocks while a prompt is read, edits in place; float32, on the CPU.

        TransformerLens's own way of reading a prompt, through the same hooks as the edits.
        """
        names = {hook_name(layer): layer for layer in layers}
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # vLLM's bar, which nothing else turns off here
                seen = self._bridge._driver.forward(
                    list(ids), capture=tuple(names), intervene=specs, return_logits=False
                ).captured
        finally:
            self._edit({})
        return {layer: seen[name][0].float().cpu() for name, layer in names.items()}

    def _edit(self, specs: Specs) -> None:
        """Every hook back to no edit, then these."""
        self._llm.collective_rpc("tl_set_interventions", args=(specs,))

    def _reading(self) -> list[Any]:
        """The rows that are being written; rows still waiting for their prompts to be read are not among them."""
        scheduler = self._scheduler()
        assert scheduler is not None, "asked only where the engine takes steps"
        with _elsewhere("what vLLM's scheduler runs"):
            return list(scheduler.running)

    def _scheduler(self) -> Any:
        """Of an engine in this process; None where it runs in processes of its own."""
        return getattr(getattr(self._llm.llm_engine.engine_core, "engine_core", None), "scheduler", None)

    def close(self) -> None:
        """Give the GPU's memory back. May be called again."""
        self._llm = None
        self._bridge.close()


def waves(lengths: Sequence[int], tokens: int, rows: int) -> Iterator[range]:
    """Runs of prompts that one step reads whole: at most so many tokens, and so many rows.

    >>> list(waves([3, 3, 3, 1], 6, 8))
    [range(0, 2), range(2, 4)]
    """
    start, total = 0, 0
    for number, length in enumerate(lengths):
        if number > start and (total + length > tokens or number - start == rows):
            yield range(start, number)
            start, total = number, 0
        total += length
    if len(lengths) > start:
        yield range(start, len(lengths))


def _unread(request: Any) -> bool:
    """Whether a row of the scheduler has prompt tokens left to read, or more than its first token drawn."""
    with _elsewhere("how far vLLM's rows are"):
        return request.num_computed_tokens < request.num_prompt_tokens or request.num_output_tokens != 1


def _in_order(asked: Sequence[Asked], outputs: Iterable[Any]) -> list[Drawn]:
    """Outputs by the order in which they were asked for, each checked to be of its own prompt and of a prompt read."""
    made = sorted(outputs, key=lambda output: int(output.request_id))
    if [tuple(output.prompt_token_ids) for output in made] != [tuple(each.ids) for each in asked]:
        raise InputError(
            f"backend vllm: expected {len(asked)} texts, each for its own prompt, got others; leave --backend out."
        )
    if any(output.num_cached_tokens for output in made):
        raise InputError(
            "backend vllm: expected every prompt to be read, got some from a cache of prefixes, where an edit does not "
            "act; leave --backend out."
        )
    return [_drawn(output.outputs[0], each.drawing) for output, each in zip(made, asked, strict=True)]


def _drawn(output: Any, drawing: Mapping[str, Any]) -> Drawn:
    """A text up to its end token, or to where the logits were no numbers any more."""
    ids = [int(index) for index in output.token_ids]
    logs = [float(each[index].logprob) for index, each in zip(ids, output.logprobs, strict=True)]
    ends = set(drawing["stop_token_ids"])
    length = next((place for place, index in enumerate(ids) if index in ends or math.isnan(logs[place])), len(ids))
    return Drawn(tuple(ids[:length]), tuple(logs[:length]))


@contextlib.contextmanager
def _elsewhere(what: str) -> Iterator[None]:
    """Parts of vLLM and TransformerLens that no interface promises: one line where they have moved."""
    try:
        yield
    except AttributeError as error:
        raise InputError(
            f"backend vllm: expected {what} where TransformerLens 4.3 and vLLM 0.20 have it, got another build "
            f"({error}); install those, or leave --backend out."
        ) from error
