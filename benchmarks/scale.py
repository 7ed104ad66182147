"""The cost model's constants on this machine, and what it predicts against what is measured.

First what the machine can do: a copy in memory, a matrix by a vector, a matrix by a matrix, noise. Then three models,
the built-in one and two random Llamas of about 25 M and 110 M parameters: tokens a second of reading a prompt and of
writing, bytes a cached token, and which share of the machine's speed that is. Then what Python takes a layer and a
pass, from models too narrow to compute anything. Last a small sweep, stage by stage, against its prediction.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from gpu import SHAPES, llama, memory_speed, write_model

import creativity_lens as cl
from creativity_lens.costs import (
    Dimensions,
    Machine,
    Reading,
    decode_seconds,
    dimensions_of,
    flops_per_token,
    pass_seconds,
    predict,
    token_bytes,
    weight_bytes,
)
from creativity_lens.generation import Row, generate_rows
from creativity_lens.model_hub import find_model
from creativity_lens.plan import Plan
from creativity_lens.prefix import prefill
from creativity_lens.prompts import Prompt, load_prompts
from creativity_lens.sampling import gumbel_noise
from creativity_lens.sweep import sweep_layers

PROMPT, NEW = 28, 32  # tokens
STEPS = {  # of run.json's timings, by kind of stage
    "written": ("dev: writing texts", "test: writing texts"),
    "read": ("read-out", "dev: reading texts", "test: reading texts", "scorer"),
    "scored": ("screening", "matching controls", "dev: surprisal", "test: surprisal"),
}


def main() -> None:
    """Print one table after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small shapes and one round, to see that it runs")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    machine = peaks(rounds, quick=options.quick)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CLENS_CACHE"] = folder  # activations that an earlier run kept would cost nothing
        host = host_costs(Path(folder), machine, rounds, quick=options.quick)
        models = {"pocket-chat": cl.load_model("pocket-chat", dtype="float32")}
        for name in ("tiny",) if options.quick else ("25m", "110m"):
            write_model(Path(folder) / name, SHAPES[name], device=torch.device("cpu"))
            models[name] = cl.load_model(Path(folder) / name, dtype="float32")
        shares, now = [], host
        for name, model in models.items():
            now = again(host, rounds, quick=options.quick)
            shares.append(speeds(name, model, now, rounds, quick=options.quick))
        of_flops, of_bandwidth = (statistics.median(part) for part in zip(*shares, strict=True))
        print(f"\nmedian shares: {of_flops:.2f} of the arithmetic, {of_bandwidth:.2f} of the memory's speed")
        now = again(host, rounds, quick=options.quick)
        reached = replace(now, of_flops=shares[0][0], of_bandwidth=shares[0][1])
        small_sweep(models["pocket-chat"], reached, quick=options.quick)


def median(call: Callable[[], Any], rounds: int) -> float:
    """Median seconds of a call, after one that is not counted."""
    call()
    values = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        values.append(time.perf_counter() - start)
    return statistics.median(values)


def peaks(rounds: int, *, quick: bool) -> Machine:
    """What the machine can do at best."""
    side = 512 if quick else 1536
    square = torch.randn(side, side)
    gemm = 2 * side**3 / median(lambda: square @ square, 2 * rounds)
    tall = torch.randn(1024 if quick else 12_288, 4096)
    vector = torch.randn(4096)
    gemv = tall.nbytes / median(lambda: tall @ vector, 2 * rounds)
    copy = memory_speed(torch.device("cpu"), quick=quick)
    drawn = 32_000  # a vocabulary
    noise = 20 * drawn / median(lambda: [gumbel_noise("p", seed, 1, drawn) for seed in range(20)], rounds)
    print(f"\n{torch.get_num_threads()} threads: copy {copy / 1e9:.1f} GB/s, matrix by vector {gemv / 1e9:.1f} GB/s, "
          f"matrix by matrix {gemm / 1e9:.0f} GFLOP/s, noise {noise / 1e6:.0f} M numbers/s")  # fmt: skip
    return Machine(
        "this machine", memory=16e9, bandwidth=max(copy, gemv), flops=gemm, of_bandwidth=1.0, of_flops=1.0,
        layer_host=0.0, pass_host=0.0, noise=noise, start=0.0, overlaps=False,
    )  # fmt: skip


def again(machine: Machine, rounds: int, *, quick: bool) -> Machine:
    """The same with its speeds of now: others may have come to share the machine."""
    now = peaks(rounds, quick=quick)
    return replace(machine, bandwidth=now.bandwidth, flops=now.flops, noise=now.noise)


def host_costs(folder: Path, machine: Machine, rounds: int, *, quick: bool) -> Machine:
    """Seconds that Python takes a layer and a pass: models too narrow to compute anything, of two depths."""
    steps, found = 8 if quick else 32, {}
    for layers in (2, 6) if quick else (4, 28):
        write_model(folder / str(layers), llama(layers, 32, 32, 1, 4096), device=torch.device("cpu"))
        model = cl.load_model(folder / str(layers), dtype="float32")
        vector = torch.randn(model.d_model)
        rows = [Row(Prompt("p", None, "Write."), 0, cl.Steering(layer, vector, 0.1)) for layer in range(layers)]
        found[layers] = median(lambda m=model, r=rows: written(m, r, steps), rounds) / steps
    (few, low), (many, high) = found.items()
    layer = max(0.0, (high - low) / (many - few))
    host = replace(machine, layer_host=layer, pass_host=max(0.0, low - few * layer))
    print(f"Python, with every layer steered: {1e3 * host.layer_host:.2f} ms a layer, "
          f"{1e3 * host.pass_host:.2f} ms a pass")  # fmt: skip
    return host


def written(model: cl.Model, rows: list[Row], new: int) -> Any:
    """Rows written to exactly `new` tokens, in one batch."""
    return generate_rows(model, rows, max_new_tokens=new, min_new_tokens=new, batch_rows=len(rows))


def speeds(name: str, model: cl.Model, machine: Machine, rounds: int, *, quick: bool) -> tuple[float, float]:
    """Print a model's speeds; the shares of the machine's arithmetic and of its memory's speed that it reaches."""
    sizes = sizes_of(model)
    prompts = [tuple(range(5 + row, 5 + row + 128)) for row in range(2 if quick else 16)]
    made = prefill(model, prompts[:1])
    held = sum(tensor.nbytes for tensor in (*made.keys, *made.values)) / 128
    print(f"{name}: {sizes.parameters / 1e6:.1f} M parameters, {weight_bytes(sizes, 'float32') / 1e6:.0f} MB, "
          f"{held:,.0f} bytes a cached token ({token_bytes(sizes, 'float32'):,} predicted)")  # fmt: skip
    with torch.inference_mode():
        seconds = median(lambda: prefill(model, prompts), rounds)
    tokens = 128 * len(prompts)
    done = tokens * flops_per_token(sizes, 64, logits=False) + len(prompts) * 2 * sizes.embedding
    host = pass_seconds(sizes, replace(machine, bandwidth=1e18, flops=1e18), tokens, looked_back=64, dtype="float32")
    of_flops = done / max(seconds - host, 1e-9) / machine.flops
    print(f"  reading {len(prompts)} x 128 tokens: {tokens / seconds:,.0f} tokens/s, {of_flops:.2f} of the arithmetic")
    ids = tuple(range(5, 5 + PROMPT))
    shares = []
    for count in (1, 8) if quick else (1, 8, 64, 256):
        rows = [Row(Prompt("p", None, "p"), 0, None, 1.0, ids=ids) for _ in range(count)]
        new = 8 if quick else NEW
        # what is drawn before and after the steps is the same for one new token
        first = median(lambda r=rows: written(model, r, 1), rounds)
        step = (median(lambda r=rows, n=new: written(model, r, n), rounds) - first) / (new - 1)
        moved = weight_bytes(sizes, "float32") + count * (PROMPT + new / 2) * token_bytes(sizes, "float32")
        host = sizes.layers * machine.layer_host + machine.pass_host + sizes.vocabulary / machine.noise
        shares.append(moved / max(step - host, 1e-9) / machine.bandwidth)
        reached = replace(machine, of_flops=min(of_flops, 1.0), of_bandwidth=min(shares[0], 1.0))
        said = decode_seconds(sizes, reached, rows=count, prompt=PROMPT, new=2, lucks=1, dtype="float32")
        said -= decode_seconds(sizes, reached, rows=count, prompt=PROMPT, new=1, lucks=1, dtype="float32")
        share = moved / step / machine.bandwidth
        print(f"  writing {count:4} rows: {count / step:8,.0f} tokens/s, {1e3 * step:7.2f} ms a step "
              f"({1e3 * said:.2f} predicted), {share:.2f} of the memory's speed")  # fmt: skip
    return min(of_flops, 1.0), min(shares[0], 1.0)


def sizes_of(model: cl.Model) -> Dimensions:
    """By its config.json."""
    return dimensions_of(find_model(model.id).files.config)


def small_sweep(model: cl.Model, machine: Machine, *, quick: bool) -> None:
    """A small sweep's seconds, stage by stage, against their prediction."""
    plan = Plan(
        layers="4" if quick else "2,4,6", strengths=(0.1, 0.2), samples=1 if quick else 2, controls=19,
        band=0 if quick else 4, max_new_tokens=8 if quick else 32, temperatures=(0.7,), screen_pairs=2 if quick else 8,
    )  # fmt: skip
    count = 4 if quick else 16
    dev, test = (part[:count] for part in load_prompts())
    pairs = cl.load_pairs()
    found = sweep_layers(model, pairs, plan=plan, prompts=(dev, test), control=None)
    said = predict(
        sizes_of(model), machine, plan, dtype="float32", control=False,
        reading=Reading(pairs=len(pairs), dev_prompts=count, test_prompts=count),
    )  # fmt: skip
    timings = dict(found.run["timings"])
    print(f"\na sweep of {sum(found.run['rows'].values())} texts of {plan.max_new_tokens} tokens:")
    for kind, steps in STEPS.items():
        took = sum(timings.pop(step, 0.0) for step in steps)
        print(f"  {kind:8} {took:7.2f} s measured, {said.of(kind):7.2f} s predicted, ratio {took / said.of(kind):.2f}")
    rest = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in timings.items())
    print(f"  not predicted: {rest}")


if __name__ == "__main__":
    main()
