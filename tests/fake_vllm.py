"""A vLLM that runs small Llamas on a CPU: the interface of 0.20.2 that TransformerLens 4.3 and this package use.

Real are TransformerLens's `boot_vllm`, its driver, the hooks it puts into the model, and its calls to the workers. Here
are the model (as in vLLM, blocks return what the MLP adds and the stream apart, and tokens of all rows lie flat), a
scheduler that fills a step with rows that go on and then with prompts, in pieces where they do not fit, and a sampler
with one generator a row. `Faults` make it go wrong in the ways that the backend is to notice.
"""

import sys
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

VERSION = "0.20.2"


@dataclass
class Faults:
    """How the next engine goes wrong."""

    ignores_edits: bool = False
    edits_at_zero: bool = False
    edits_stay: int = 0  # from that call on which takes them away
    reads_well: bool = False  # goes wrong only while texts are written, not while TransformerLens reads a prompt
    swaps_hooks: bool = False  # the first two blocks'
    factor: float = 1.0  # of every edit
    shift: int = 0  # layers
    edits_late: bool = False  # only after the prompt, whatever was asked
    reads_at_once: bool = True  # False: one prompt a step, while others go on
    says_caching: bool = False
    serves_cached: bool = False
    runs_ahead: bool = False  # another step is done before the first one's outputs are seen
    says_nothing_of_it: bool = False
    cache_tokens: int = 100_000  # room; beyond it the row that came last loses its place and is read anew
    breaks_at_step: int = 0
    other_weights: bool = False
    reverses: bool = False
    moved: bool = False


@dataclass
class SamplingParams:
    """As vLLM's, of which only these fields are used."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int | None = 16
    min_tokens: int = 0
    logprobs: int | None = None
    detokenize: bool = True


def TokensPrompt(*, prompt_token_ids: list[int]) -> dict:  # noqa: N802  a TypedDict in vLLM
    return {"prompt_token_ids": prompt_token_ids}


@dataclass(eq=False)
class Request:
    """A row in the scheduler."""

    request_id: str
    prompt_token_ids: list[int]
    params: SamplingParams
    output_token_ids: list[int] = field(default_factory=list)
    num_computed_tokens: int = 0
    num_preemptions: int = 0
    cached: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)  # layer -> keys, values
    logs: list[dict] = field(default_factory=list)

    def __post_init__(self):
        self.generator = torch.Generator().manual_seed(self.params.seed or 0)

    @property
    def num_prompt_tokens(self) -> int:
        return len(self.prompt_token_ids)

    @property
    def num_output_tokens(self) -> int:
        return len(self.output_token_ids)

    @property
    def tokens(self) -> list[int]:
        return self.prompt_token_ids + self.output_token_ids

    def has_ended(self) -> bool:
        if self.num_output_tokens < self.params.min_tokens:
            return False
        is_end = self.output_token_ids[-1] in (self.params.stop_token_ids or ())
        return is_end or self.num_output_tokens >= self.params.max_tokens


class Attention(nn.Module):
    """Every row reads its own cache; the tokens of all rows of a step lie one after the other."""

    def __init__(self, plain: nn.Module, rotary: nn.Module, layer: int):
        super().__init__()
        self.plain, self.rotary, self.layer = plain, rotary, layer

    def forward(self, positions, hidden_states, spans):
        from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

        heads = (hidden_states.shape[0], -1, self.plain.head_dim)
        parts = (self.plain.q_proj, self.plain.k_proj, self.plain.v_proj)
        queries, keys, values = (part(hidden_states).view(heads).transpose(0, 1)[None] for part in parts)
        queries, keys = apply_rotary_pos_emb(queries, keys, *self.rotary(values, positions[None]))
        read = torch.empty_like(queries)
        for request, start, end in spans:
            mine = keys[:, :, start:end], values[:, :, start:end]
            if self.layer in request.cached:
                mine = tuple(torch.cat(both, 2) for both in zip(request.cached[self.layer], mine, strict=True))
            request.cached[self.layer] = mine
            length = mine[0].shape[2]
            mask = torch.ones(end - start, length, dtype=torch.bool).tril(length - (end - start))
            read[:, :, start:end] = nn.functional.scaled_dot_product_attention(
                queries[:, :, start:end], *mine, attn_mask=mask, enable_gqa=True
            )
        return self.plain.o_proj(read[0].transpose(0, 1).flatten(1))


class Layer(nn.Module):
    """Returns what its MLP adds, and the stream that it is to be added to."""

    def __init__(self, plain: nn.Module, rotary: nn.Module, layer: int):
        super().__init__()
        self.self_attn, self.mlp = Attention(plain.self_attn, rotary, layer), plain.mlp
        self.input_layernorm, self.post_attention_layernorm = plain.input_layernorm, plain.post_attention_layernorm

    def forward(self, positions, hidden_states, residual, spans):
        residual = hidden_states if residual is None else hidden_states + residual
        residual = residual + self.self_attn(positions, self.input_layernorm(residual), spans)
        return self.mlp(self.post_attention_layernorm(residual)), residual


class Norm(nn.Module):
    """The last one returns the stream too."""

    def __init__(self, plain: nn.Module):
        super().__init__()
        self.plain, self.weight = plain, plain.weight

    def forward(self, hidden_states, residual):
        return self.plain(hidden_states + residual), hidden_states + residual


class LlamaForCausalLM(nn.Module):
    def __init__(self, folder: str, dtype: torch.dtype):
        from transformers import AutoModelForCausalLM

        super().__init__()
        plain = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        layers = [Layer(each, plain.model.rotary_emb, layer) for layer, each in enumerate(plain.model.layers)]
        self.model = nn.Module()
        self.model.embed_tokens, self.model.norm = plain.model.embed_tokens, Norm(plain.model.norm)
        self.model.layers = nn.ModuleList(layers)
        self.lm_head, self.config = plain.lm_head, plain.config
        self.logits_processor = SimpleNamespace(scale=1.0, soft_cap=None, logits_as_input=False)

    def forward(self, tokens, positions, spans):
        hidden_states, residual = self.model.embed_tokens(tokens), None
        for layer in self.model.layers:
            hidden_states, residual = layer(positions, hidden_states, residual, spans)
        return self.model.norm(hidden_states, residual)[0]


class Worker:
    """TransformerLens wraps `load_model` and mixes its own calls in."""

    folder: str
    dtype: torch.dtype

    def load_model(self) -> None:
        self.model_runner = SimpleNamespace(model=LlamaForCausalLM(self.folder, self.dtype))


class Scheduler:
    """Rows that go on come first, then those that wait, in pieces where a step is too small for a whole prompt."""

    def __init__(self, worker: Worker, faults: Faults, tokens: int, rows: int):
        self.worker, self.faults = worker, faults
        self.max_num_scheduled_tokens, self.max_num_running_reqs = tokens, rows
        self.running: list[Request] = []
        self.waiting: list[Request] = []
        self.steps: list[list[int]] = []  # of each step, how many tokens each row read

    def _plan(self) -> list[tuple[Request, int]]:
        budget, planned = self.max_num_scheduled_tokens, []
        for request in list(self.running):
            while request in self.running and self._held() + 1 > self.faults.cache_tokens:
                lost = self.running.pop()
                lost.cached, lost.num_computed_tokens, lost.num_preemptions = {}, 0, lost.num_preemptions + 1
                self.waiting.insert(0, lost)
                planned = [each for each in planned if each[0] is not lost]
            if request in self.running and budget:
                size = min(len(request.tokens) - request.num_computed_tokens, budget)
                planned.append((request, size))
                budget -= size
        while self.waiting and budget and len(self.running) < self.max_num_running_reqs:
            request = self.waiting[0]
            if self._held() + len(request.tokens) > self.faults.cache_tokens:
                break
            size = min(len(request.tokens), budget)
            planned.append((request, size))
            budget -= size
            self.running.append(self.waiting.pop(0))
            if not self.faults.reads_at_once:
                break
        return planned

    def _held(self) -> int:
        return sum(len(request.tokens) for request in self.running)

    @torch.no_grad()
    def step(self) -> list[SimpleNamespace]:
        planned = self._plan()
        self.steps.append([size for _, size in planned])
        if not planned:
            return []
        if self.faults.breaks_at_step == len(self.steps):
            raise KeyboardInterrupt
        spans, tokens, positions = [], [], []
        for request, size in planned:
            start = request.num_computed_tokens
            spans.append((request, len(tokens), len(tokens) + size))
            tokens += request.tokens[start : start + size]
            positions += range(start, start + size)
            request.num_computed_tokens += size
        model = self.worker.model_runner.model
        states = model(torch.tensor(tokens), torch.tensor(positions), spans)
        done = []
        for request, _, end in spans:
            if request.num_computed_tokens == len(request.tokens):
                self._draw(request, model.lm_head(states[end - 1]))
                if request.has_ended():
                    self.running.remove(request)
                    done.append(self._output(request))
        return done

    def _draw(self, request: Request, logits: torch.Tensor) -> None:
        by, logs = request.params, logits.float().log_softmax(-1)
        logits = logits.float().clone()
        if request.num_output_tokens < by.min_tokens:
            logits[by.stop_token_ids] = -torch.inf
        chosen = int(logits.argmax())
        if by.temperature > 0:
            chances = (logits / by.temperature).softmax(-1)
            chosen = int((chances / torch.empty_like(chances).exponential_(generator=request.generator)).argmax())
        request.output_token_ids.append(chosen)
        request.logs.append({chosen: SimpleNamespace(logprob=float(logs[chosen]), rank=1, decoded_token=None)})

    def _output(self, request: Request) -> SimpleNamespace:
        text = SimpleNamespace(token_ids=request.output_token_ids, logprobs=request.logs, finish_reason="stop")
        return SimpleNamespace(
            request_id=request.request_id.split("-")[0], prompt_token_ids=request.prompt_token_ids, outputs=[text],
            finished=True, num_cached_tokens=16 * self.faults.serves_cached,
        )  # fmt: skip


class LLM:
    """As `vllm.LLM`, of which only these arguments are used."""

    faults = Faults()
    made: list["LLM"] = []  # noqa: RUF012  shared on purpose

    def __init__(
        self, model: str, *, skip_tokenizer_init: bool = False, tensor_parallel_size: int = 1, dtype: str = "auto",
        seed: int = 0, gpu_memory_utilization: float = 0.92, max_num_batched_tokens: int, worker_extension_cls: str,
        enable_prefix_caching: bool = True, pipeline_parallel_size: int = 1, max_model_len: int | None = None,
        max_logprobs: int = 20, disable_log_stats: bool = False, async_scheduling: bool = True,
        generation_config: str = "auto",
    ):  # fmt: skip
        self.given = {name: value for name, value in locals().items() if name != "self"}
        faults, LLM.faults = LLM.faults, Faults()
        self.faults = faults
        module, _, name = worker_extension_cls.rpartition(".")
        self.worker = type("ExtendedWorker", (Worker, getattr(sys.modules[module], name)), {})()
        self.worker.folder, self.worker.dtype = model, getattr(torch, dtype)
        self.worker.load_model()
        if faults.swaps_hooks:
            buffers = self.worker._tl_buffers
            one, other = "blocks.0.hook_out", "blocks.1.hook_out"
            buffers[one], buffers[other] = buffers[other], buffers[one]
        if faults.other_weights:
            self.worker.model_runner.model.model.norm.weight.data.mul_(0.5)
        scheduler = Scheduler(self.worker, faults, max_num_batched_tokens, rows=256)
        self.scheduler = scheduler
        config = SimpleNamespace(
            cache_config=SimpleNamespace(enable_prefix_caching=enable_prefix_caching or faults.says_caching),
            scheduler_config=SimpleNamespace(
                async_scheduling=async_scheduling or (faults.runs_ahead and not faults.says_nothing_of_it),
                max_num_seqs=256,
            ),
            model_config=SimpleNamespace(max_model_len=max_model_len),
        )
        core = SimpleNamespace() if tensor_parallel_size > 1 else SimpleNamespace(engine_core=SimpleNamespace())
        if tensor_parallel_size == 1:
            core.engine_core.scheduler = scheduler
        self.llm_engine = SimpleNamespace(
            vllm_config=config, model_config=SimpleNamespace(hf_config=self.worker.model_runner.model.config),
            step=self._step, abort_request=self._abort, engine_core=core,
        )  # fmt: skip
        if faults.moved:
            del self.llm_engine.vllm_config
        self.asked: list[Request] = []
        self.resets, self.is_reading = 0, False
        LLM.made.append(self)

    def collective_rpc(self, method, timeout=None, args=(), kwargs=None):
        if method == "tl_set_interventions":
            self.pushed, args = args[0], (self._spoilt(args[0]),)
            if args[0] is None:
                return [None]
        return [getattr(self.worker, method)(*args, **(kwargs or {}))] * self.given["tensor_parallel_size"]

    def _spoilt(self, specs):
        """Edits as the faults have them; None: not handed over at all."""
        faults = self.faults
        self.resets += not specs
        if faults.ignores_edits or (not specs and 0 < faults.edits_stay <= self.resets):
            return None
        off = 0.5 if faults.edits_at_zero else 0.0
        changed = {}
        for name, spec in specs.items():
            _, layer, rest = name.split(".")
            value = [faults.factor * number + off for number in spec["value"]]
            changed[f"blocks.{int(layer) + faults.shift}.{rest}"] = {**spec, "value": value}
        return changed

    def generate(self, prompts, sampling_params=None, *, use_tqdm=True, lora_request=None, priority=None,
                 tokenization_kwargs=None, mm_processor_kwargs=None):  # fmt: skip
        self.is_reading = self.faults.reads_well
        if self.is_reading:
            self.worker.tl_set_interventions(self.pushed)
        if use_tqdm:
            print("Processed prompts", file=sys.stderr)
        self.enqueue(prompts, [sampling_params] * len(prompts))
        done = self.wait_for_completion()
        self.is_reading = False
        return done

    def enqueue(self, prompts, sampling_params=None, lora_request=None, priority=None, use_tqdm=True,
                tokenization_kwargs=None, mm_processor_kwargs=None):  # fmt: skip
        new = [
            Request(f"{len(self.asked) + number}-abcd", prompt["prompt_token_ids"], params)
            for number, (prompt, params) in enumerate(zip(prompts, sampling_params, strict=True))
        ]
        self.asked += new
        self.scheduler.waiting += new
        return [request.request_id for request in new]

    def wait_for_completion(self, output_type=None, *, use_tqdm=True):
        done = []
        while self.scheduler.running or self.scheduler.waiting:
            done += self._step()
            assert self.scheduler.steps[-1], "no row has room: a vLLM would wait for ever"
        done.sort(key=lambda output: int(output.request_id))
        if self.faults.reverses:
            for output, number in zip(done, [each.request_id for each in reversed(done)], strict=True):
                output.request_id = number
        return done

    def _step(self):
        biases = self.worker._tl_bias_buffers
        edits = {name: bias.clone() for name, bias in biases.items()}
        if self.faults.edits_late and self.scheduler.waiting and not self.is_reading:
            for bias in biases.values():
                bias.zero_()
        done = self.scheduler.step()
        for name, bias in edits.items():
            biases[name].copy_(bias)
        if self.faults.runs_ahead and self.scheduler.running:
            done += self.scheduler.step()
        return done

    def _abort(self, request_ids, internal=False):
        assert internal, "ids of enqueue are the engine's own"
        for queue in (self.scheduler.running, self.scheduler.waiting):
            queue[:] = [request for request in queue if request.request_id not in request_ids]

    @property
    def edits(self) -> dict[str, float]:
        """Hooks that change anything now, and by how much."""
        sizes = {name: float(bias.norm()) for name, bias in self.worker._tl_bias_buffers.items()}
        return {name: size for name, size in sizes.items() if size}


def install(patch: pytest.MonkeyPatch, *, version: str = VERSION, gpus: int = 1) -> type[LLM]:
    """The module `vllm` and GPUs to run it on, as far as anybody looks; gone when the test ends."""
    from transformer_lens.model_bridge.sources.vllm import driver, plugin

    def module(name: str, **contents) -> None:
        made = ModuleType(name)
        made.__spec__ = ModuleSpec(name, None)
        vars(made).update(contents)
        patch.setitem(sys.modules, name, made)

    module("vllm", __version__=version, LLM=LLM, SamplingParams=SamplingParams)
    module("vllm.inputs", TokensPrompt=TokensPrompt)
    module("vllm.v1")
    module("vllm.v1.worker")
    module("vllm.v1.worker.gpu_worker", Worker=Worker)
    patch.setattr(torch.cuda, "is_available", lambda: True)
    patch.setattr(torch.cuda, "device_count", lambda: gpus)
    patch.setattr(torch.cuda, "empty_cache", lambda: None)
    for name in ("VLLM_DISABLE_COMPILE_CACHE", "VLLM_ENABLE_V1_MULTIPROCESSING"):
        patch.setenv(name, "0")  # TransformerLens sets them; put back afterwards
    patch.setattr(plugin, "_install_patched", False)
    patch.setattr(Worker, "load_model", Worker.load_model)
    patch.setattr(driver, "gc", SimpleNamespace(collect=lambda: 0))  # on closing; slow in a process full of tests
    LLM.faults, LLM.made = Faults(), []
    return LLM
