"""A Llama-2-7B-shaped model of random weights in bfloat16, on a GPU: extraction and a sweep against Hugging Face alone.

The model is made on the device and written to a temporary folder in shards, then loaded as any other. Extraction is
held against the bare body on the same batches, the sweep's rows against transformers' own greedy `generate` of as many
unsteered rows in one batch, alternating in one run. Each step of the sweep is held against the time that reading the
weights and caches once would take at the memory's measured speed. `--quick` takes a tiny shape, on a CPU too; without a
GPU that is all that is run.
"""

import argparse
import json
import math
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from extraction import distinct_pairs, peak_memory, run_bare, start_of_peak
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModel, AutoModelForCausalLM

import creativity_lens as cl
from creativity_lens.activations import passages_of
from creativity_lens.costs import dimensions_of, token_bytes, weight_bytes
from creativity_lens.files import data_folder
from creativity_lens.generation import Row, generate_rows
from creativity_lens.loading import quiet_loaders
from creativity_lens.prompts import load_prompts
from creativity_lens.reading import batches

SHARD = 4 * 10**9  # bytes
Config = dict[str, Any]


def llama(layers: int, width: int, inner: int, heads: int, vocabulary: int, *, tied: bool = False) -> Config:
    """config.json of a model of the Llama kind."""
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": width, "intermediate_size": inner,
        "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": heads,
        "head_dim": width // heads, "vocab_size": vocabulary, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
        "hidden_act": "silu", "tie_word_embeddings": tied, "torch_dtype": "bfloat16", "bos_token_id": 0,
        "eos_token_id": 0, "pad_token_id": 1,
    }  # fmt: skip


SHAPES: Mapping[str, Config] = {
    "llama-2-7b": llama(32, 4096, 11008, 32, 32000),
    "llama-2-13b": llama(40, 5120, 13824, 40, 32000),
    "110m": llama(12, 768, 2048, 12, 32000, tied=True),
    "25m": llama(10, 384, 1152, 6, 16384, tied=True),
    "tiny": llama(2, 64, 128, 2, 8192),
}


def write_model(folder: Path, config: Config, *, device: torch.device, dtype: torch.dtype = torch.bfloat16) -> None:
    """Random weights in shards, config and the built-in model's tokenizer: a folder that loads as a model of the hub.

    Its tokenizer knows 4,096 tokens; ids beyond are written like any other, and have no text.
    """
    generator = torch.Generator(device).manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(data_folder() / "pocket" / "chat" / file, folder / file)
    shards: list[dict[str, Tensor]] = [{}]
    where: dict[str, str] = {}
    held = 0

    def close() -> None:
        nonlocal held
        name = f"model-{len(shards):05d}.safetensors"
        where.update(dict.fromkeys(shards[-1], name))
        save_file(shards[-1], folder / name, metadata={"format": "pt"})
        shards[-1], held = {}, 0

    for name, shape in tensor_shapes(config).items():
        size = math.prod(shape) * dtype.itemsize
        if shards[-1] and held + size > SHARD:
            close()
            shards.append({})
        made = torch.randn(shape, generator=generator, device=device, dtype=torch.float32) * 0.02
        shards[-1][name] = (made if len(shape) > 1 else torch.ones_like(made)).to(dtype).cpu()
        held += size
    close()
    index = {"metadata": {"total_size": 0}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def tensor_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a Llama's weights."""
    width, inner, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, width)}
    for layer in range(config["num_hidden_layers"]):
        block = {
            "self_attn.q_proj": (width, width), "self_attn.k_proj": (keys, width), "self_attn.v_proj": (keys, width),
            "self_attn.o_proj": (width, width), "mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width),
            "mlp.down_proj": (width, inner), "input_layernorm": (width,), "post_attention_layernorm": (width,),
        }  # fmt: skip
        found |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in block.items()}
    found["model.norm.weight"] = (width,)
    if not config["tie_word_embeddings"]:
        found["lm_head.weight"] = (vocabulary, width)
    return found


def main() -> None:
    """Print seconds, tokens a second, ratios, peaks of memory, and the share of the memory's speed that is reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny shape and few rows, to see that it runs")
    parser.add_argument("--shape", default="llama-2-7b", choices=SHAPES)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quantize", default=None, help="4bit")
    parser.add_argument("--pairs", type=int, default=256)
    parser.add_argument("--layers", type=int, default=8, help="of the sweep")
    parser.add_argument("--strengths", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not torch.cuda.is_available() and not options.quick:
        print("no GPU is at hand: the tiny shape is run on the CPU, to see that it runs")
        options.quick = True
    if options.quick:
        options.shape, options.pairs, options.layers, options.strengths = "tiny", 4, 2, 2
        options.prompts, options.tokens, options.rounds = 2, 4, 1
    device = torch.device("cuda" if torch.cuda.is_available() and options.device == "auto" else "cpu")
    if options.device != "auto":
        device = torch.device(options.device)
    config = SHAPES[options.shape]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / options.shape
        _, seconds = timed(lambda: write_model(folder, config, device=device))
        print(f"{options.shape}: {dimensions_of(config).parameters / 1e9:.3f} G parameters, written in {seconds:.1f} s")
        model, seconds = timed(
            lambda: cl.load_model(
                folder,
                device=options.device,
                dtype="auto" if options.quantize else "bfloat16",
                quantize=options.quantize,
            )
        )
        print(f"loaded in {seconds:.1f} s: {model}")
        speed = memory_speed(device, quick=options.quick)
        print(f"memory: {speed / 1e9:,.0f} GB/s measured, reading and writing")
        extraction(model, folder, options.pairs, options.rounds)
        sweep(model, folder, config, options, speed)


def extraction(model: cl.Model, folder: Path, count: int, rounds: int) -> None:
    """Activations of all layers against the bare body."""
    with quiet_loaders():
        bare = AutoModel.from_pretrained(folder, dtype=model.dtype).eval().to(model.device)
    pairs = distinct_pairs(count)
    passages = list(dict.fromkeys(p for pair in pairs for p in passages_of(model, pair, "response", None)))
    tokens = sum(len(passage.ids) for passage in passages)
    ready = [batch.ids for _, batch in batches(model, passages)]
    run_bare(bare, ready[:1])
    cl.collect_activations(model, pairs[:2], cache=False)
    ways: dict[str, Callable[[], Any]] = {
        "bare body": lambda: run_bare(bare, ready),
        "activations of all layers": lambda: cl.collect_activations(model, pairs, cache=False),
    }
    print(f"\nextraction: {len(passages)} texts, {tokens} tokens in {len(ready)} batches")
    report(alternating(ways, rounds, model.device), dict.fromkeys(ways, tokens))


def sweep(model: cl.Model, folder: Path, config: Config, options: argparse.Namespace, speed: float) -> None:
    """Layers x strengths x prompts in shared batches, greedy and sampled, against one generate of as many rows."""
    prompts = load_prompts()[1][: options.prompts]
    depth = config["num_hidden_layers"]
    layers = sorted({depth * number // options.layers for number in range(options.layers)})
    generator = torch.Generator().manual_seed(0)
    cells = []
    for layer in layers:
        for strength in range(options.strengths):
            vector = torch.randn(model.d_model, generator=generator)
            cells.append(cl.Steering(layer, 0.01 * (strength + 1) * vector, 0.01 * (strength + 1)))
    new = options.tokens

    def write(temperature: float) -> Any:
        rows = [Row(prompt, 0, cell, temperature) for cell in cells for prompt in prompts]
        return generate_rows(model, rows, max_new_tokens=new, min_new_tokens=new)

    with quiet_loaders():
        plain = AutoModelForCausalLM.from_pretrained(folder, dtype=model.dtype).eval().to(model.device)
        plain.generation_config.pad_token_id = 1
    encoded = [model.encode_prompt(prompt.text).ids for _ in cells for prompt in prompts]
    width = max(map(len, encoded))
    ids = torch.tensor([[model.pad_id] * (width - len(each)) + list(each) for each in encoded], device=model.device)
    mask = torch.tensor([[0] * (width - len(each)) + [1] * len(each) for each in encoded], device=model.device)

    def bare() -> Any:
        with torch.inference_mode():
            return plain.generate(
                input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=new, min_new_tokens=new
            )

    ways: dict[str, Callable[[], Any]] = {
        "generate, unsteered, one batch": bare,
        "sweep, greedy": lambda: write(0.0),
        "sweep, sampled": lambda: write(1.0),
    }
    rows = len(encoded)
    print(f"\nsweep: {len(layers)} layers x {options.strengths} strengths x {len(prompts)} prompts x {new} tokens, "
          f"{rows} rows")  # fmt: skip
    for way in ways.values():
        way()
    seconds = alternating(ways, options.rounds, model.device)
    report(seconds, dict.fromkeys(ways, rows * new))
    sizes, dtype = dimensions_of(config), str(model.dtype).removeprefix("torch.")
    moved = weight_bytes(sizes, dtype, quantize=options.quantize)
    moved += round(rows * (width + new / 2) * token_bytes(sizes, dtype))
    for name, values in seconds.items():
        step = statistics.median(values) / new
        print(f"{name:32} {1e3 * step:8.2f} ms a step, {moved / step / speed:.2f} of the memory's speed")
    del plain
    for name, way in list(ways.items())[1:]:
        low = start_of_peak(model.device)
        way()
        print(f"{name:32} peak memory {(peak_memory(model.device) - low) / 2**20:,.0f} MiB above the start")


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call returns, and its seconds."""
    start = time.perf_counter()
    found = call()
    return found, time.perf_counter() - start


def alternating(ways: Mapping[str, Callable[[], Any]], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of each way in every round, one way after the other in each."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds[name].append(timed(way)[1])
    return seconds


def report(seconds: Mapping[str, list[float]], tokens: Mapping[str, int]) -> None:
    """Medians, ranges, tokens a second, and ratios to the first way."""
    base = statistics.median(next(iter(seconds.values())))
    for name, values in seconds.items():
        middle = statistics.median(values)
        print(f"{name:32} {middle:8.3f} s ({min(values):.3f} to {max(values):.3f}) "
              f"{tokens[name] / middle:10,.0f} tokens/s   ratio {middle / base:5.2f}")  # fmt: skip


def memory_speed(device: torch.device, *, quick: bool = False) -> float:
    """Bytes a second that a copy in the device's memory reads and writes: the best of some."""
    source = torch.ones((1 << 22) if quick else (1 << 26) if device.type == "cpu" else (1 << 29), device=device)
    target = torch.empty_like(source)
    best = math.inf
    for _ in range(3 if quick else 8):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        target.copy_(source)
        target[-1].item()  # a GPU has finished when a number is here
        best = min(best, time.perf_counter() - start)
    return 2 * source.nbytes / best


if __name__ == "__main__":
    main()
