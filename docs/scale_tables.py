"""The predicted tables of docs/scale.md, from the cost model.

Prints Markdown; with --write, puts it into the page, between its marks. A test keeps the page equal to this.
"""

import argparse
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from creativity_lens.costs import (
    H200,
    Dimensions,
    Machine,
    Prediction,
    devices_needed,
    dimensions_of,
    flops_per_token,
    predict,
    rows_that_fit,
    sweep_stages,
    token_bytes,
    weight_bytes,
)
from creativity_lens.plan import Plan

PAGE = Path(__file__).parent / "scale.md"
LENGTH = 94  # tokens of a row: the longest shipped prompt and 48 new ones
MODELS: Mapping[str, Dimensions] = {
    name: dimensions_of({"num_attention_heads": 12, **config})
    for name, config in {
        "gpt2": {"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "vocab_size": 50257, "n_positions": 1024},
        "llama-2-7b": {
            "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 11008,
            "num_attention_heads": 32, "vocab_size": 32000,
        },
        "llama-3-70b": {
            "model_type": "llama", "num_hidden_layers": 80, "hidden_size": 8192, "intermediate_size": 28672,
            "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 128256,
        },
    }.items()
}  # fmt: skip
HOSTS: Mapping[str, Machine] = {"one": H200, "eight": H200.of(8), "100 nodes of eight": H200.of(800)}


def main() -> None:
    """Print every table, or write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into the page")
    options = parser.parse_args()
    if options.write:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print("\n\n".join(tables().values()))


def tables() -> dict[str, str]:
    """Every table by the name of its mark."""
    return {
        "memory": memory_table(),
        "texts": texts_table(),
        "constants": constants_table(),
        "time": time_table(),
        "stages": stages_table(),
        "batches": batches_table(),
        "bounds": bounds_table(),
        "shares": shares_table(),
        "lessons": lessons(),
        "limits": limits(),
        "terms": terms(),
    }


def filled(page: str) -> str:
    """The page with every table as it is now."""
    for name, text in tables().items():
        page = re.sub(marked(name, ".*?"), lambda _, n=name, t=text: marked(n, t), page, flags=re.S)
    return page


def marked(name: str, text: str) -> str:
    """A table between its marks."""
    return f"<!-- predicted: {name} -->\n{text}\n<!-- end of {name} -->"


def memory_table() -> str:
    """Weights, cache and rows of each model in each kind of number."""
    lines = []
    for name, sizes in MODELS.items():
        for kind in ("float32", "bfloat16", "4bit"):
            if kind == "4bit" and name == "gpt2":
                continue  # its queries, keys and values are in one matrix
            quantize, dtype = ("4bit", "bfloat16") if kind == "4bit" else (None, kind)
            weights = weight_bytes(sizes, dtype, quantize=quantize)
            each = devices_needed(sizes, H200, dtype, quantize=quantize)
            rows = rows_that_fit(sizes, LENGTH, dtype, H200.memory - weights / each)
            lines.append(
                [name, kind, f"{weights / 1e9:.1f} GB", f"{token_bytes(sizes, dtype) / 1e6:.2f} MB", each, f"{rows:,}"]
            )
    headings = ["model", "numbers", "weights", "a cached token", "GPUs a worker", f"rows of {LENGTH} tokens a batch"]
    return table(headings, lines)


def texts_table() -> str:
    """What a sweep with its defaults draws and reads."""
    lines = []
    for name, layers in (("pocket-chat", 8), *((name, sizes.layers) for name, sizes in MODELS.items())):
        stages = sweep_stages(Plan(), layers)
        of = {kind: sum(s.tokens for s in stages if s.kind == kind) for kind in ("written", "read", "scored")}
        texts = sum(stage.rows for stage in stages if stage.kind == "written")
        cell = Plan().max_new_tokens * Plan().dev_samples * 32
        lines.append([name, layers, f"{cell:,}", f"{texts:,}", *(f"{tokens / 1e3:,.0f} k" for tokens in of.values())])
    return table(
        ["model", "layers", "tokens a dev cell", "texts", "tokens written", "read", "scored (with logits)"], lines
    )


def constants_table() -> str:
    """What the predictions take for an H200."""
    h = H200
    return table(
        ["constant", "value", "where it is from"],
        [
            ["memory", f"{h.memory / 1e9:.0f} GB", "NVIDIA's data sheet of the H200 (SXM)"],
            ["bandwidth", f"{h.bandwidth / 1e12:.1f} TB/s", "the same"],
            ["arithmetic, bfloat16", f"{h.flops / 1e12:.0f} TFLOP/s", "the same, without sparsity"],
            ["share of the bandwidth", f"{h.of_bandwidth:.1f}", "assumed; **not measured: no GPU was at hand**"],
            ["share of the arithmetic", f"{h.of_flops:.1f}", "assumed; **not measured: no GPU was at hand**"],
            ["tokens lost a pass", f"{h.lost_tokens:.0f}", "measured, below, on a CPU"],
            ["Python, a layer and pass", f"{1e3 * h.layer_host:.1f} ms", "measured, below"],
            ["Python, a pass", f"{1e3 * h.pass_host:.1f} ms", "measured, below"],
            ["noise", f"{h.noise / 1e6:.0f} M numbers/s", "measured, below"],
            ["reading weights", f"{h.storage / 1e9:.0f} GB/s", "assumed; depends on the storage"],
            ["a worker's start", f"{h.start:.0f} s", "assumed: Python, imports, the device"],
        ],
    )


def time_table() -> str:
    """Seconds and GPU hours of one sweep."""
    lines = []
    for name in ("llama-2-7b", "llama-3-70b"):
        for kind in ("bfloat16", "4bit"):
            for host, machine in HOSTS.items():
                if devices_needed(MODELS[name], H200, "bfloat16", quantize=_q(kind)) > machine.devices:
                    lines.append([name, kind, host, "does not fit", "", "", ""])
                    continue
                found = predict(MODELS[name], machine, quantize=_q(kind))
                lines.append([name, kind, host, found.workers, *_times(found)])
    return table(["model", "numbers", "H200", "workers", "loading", "whole sweep", "GPU hours"], lines)


def stages_table() -> str:
    """Where the time of one sweep goes."""
    names = {"one H200, llama-2-7b": ("llama-2-7b", H200), "eight, llama-3-70b": ("llama-3-70b", H200.of(8))}
    found = [predict(MODELS[name], machine) for name, machine in names.values()]
    lines = [
        [one[0].name, *(f"{count}: {seconds:.0f} s" for _, count, seconds in (one, other))]
        for one, other in zip(found[0].stages, found[1].stages, strict=True)
    ]
    return table(["stage", *(f"{name}: batches, seconds" for name in names)], lines)


def batches_table() -> str:
    """What smaller batches do to one sweep of the 7B model."""
    lines = []
    for rows in ("auto", 512, 128, 32):
        found = [predict(MODELS["llama-2-7b"], machine, Plan(batch_rows=rows)) for machine in HOSTS.values()]
        lines.append([rows, *(f"{each.of('written'):.0f} s" for each in found)])
    return table(["`--batch-rows`", *(f"{host}: writing" for host in HOSTS)], lines)


def bounds_table() -> str:
    """What bounds one step of writing, by rows of a batch."""
    lines = []
    for name in ("llama-2-7b", "llama-3-70b"):
        sizes = MODELS[name]
        for rows in (1, 32, 256, 1024):
            length = 28 + Plan().max_new_tokens / 2
            moved = weight_bytes(sizes, "bfloat16") + rows * length * token_bytes(sizes, "bfloat16")
            lost = H200.lost_tokens * (1 - 1 / rows)
            done = (rows + lost) * flops_per_token(sizes, length)
            host = sizes.layers * H200.layer_host + H200.pass_host + sizes.vocabulary * rows / 32 / H200.noise
            bounds = {
                "memory": moved / H200.bandwidth / H200.of_bandwidth,
                "arithmetic": done / H200.flops / H200.of_flops,
                "host": host,
            }
            lines.append(
                [name, rows, *(f"{1e3 * each:.0f} ms" for each in bounds.values()), max(bounds, key=bounds.get)]
            )  # type: ignore[arg-type]
    return table(["model", "rows", "memory", "arithmetic", "host", "bound by"], lines)


def shares_table() -> str:
    """What the two assumed shares do to one sweep."""
    lines = []
    for of_flops in (0.2, 0.4, 0.6):
        reached = [replace(H200, of_flops=of_flops, of_bandwidth=share) for share in (0.4, 0.8)]
        found = [
            predict(MODELS[name], machine.of(count)).seconds
            for name, count in (("llama-2-7b", 1), ("llama-3-70b", 8))
            for machine in reached
        ]
        lines.append([of_flops, *map(_time, found)])
    headings = [f"{name}, bandwidth {share}" for name in ("7B on one", "70B on eight") for share in (0.4, 0.8)]
    return table(["share of the arithmetic", *headings], lines)


def lessons() -> str:
    """What the table of times says."""
    small = [predict(MODELS["llama-2-7b"], machine) for machine in HOSTS.values()]
    large = [predict(MODELS["llama-3-70b"], HOSTS[host]) for host in ("eight", "100 nodes of eight")]
    saved, price = small[0].seconds - small[2].seconds, small[2].device_hours / small[0].device_hours
    faster, dearer = large[0].seconds / large[1].seconds, large[1].device_hours / large[0].device_hours
    return (
        f"- The 7B model needs one GPU and {_time(small[0].seconds)}. Eight hundred save {saved:.0f} s of them, for "
        f"{price:.0f} times the GPU hours:\n  give each GPU a sweep of its own (a seed, a concept, a model), not each "
        "sweep a cluster.\n"
        f"- The 70B model runs on eight. A hundred nodes are {faster:.1f} times as fast, for {dearer:.0f} times the "
        "GPU hours."
    )


def limits() -> str:
    """How many workers a sweep can use."""
    found = {stage.name: count for stage, count, _ in predict(MODELS["llama-2-7b"], HOSTS["one"]).stages}
    dev, test = found["dev: writing"], found["test: writing"]
    return (
        "- **A sweep of N batches cannot use more than N workers**, and its stages are serial: dev must end before the "
        f"choice,\n  the choice before test. On H200s a sweep of the 7B model writes dev in {dev} batches and test in "
        f"{test}; its largest stage has {max(found.values())}.\n"
        f"- **Stragglers.** A stage lasts as long as its last round: {test} batches on 8 workers take "
        f"{math.ceil(test / 8)}. The largest go first, which helps\n  where they differ; equal ones do not divide."
    )


def terms() -> str:
    """How large the terms are that the sweep's short texts keep small."""
    sizes, vocabulary = MODELS["llama-2-7b"], MODELS["llama-3-70b"].vocabulary
    short, long = (1 - flops_per_token(sizes, 0) / flops_per_token(sizes, at) for at in (LENGTH, 4096))
    noise = 1e3 * 32 * vocabulary / H200.noise
    return (
        "- **Noise** is drawn on the processor, on one thread, so that a text does not depend on the device. For 32 "
        f"lucks and a\n  vocabulary of {vocabulary:,} it takes {noise:.0f} ms a step, hidden only where the device "
        "takes longer.\n"
        f"- **Attention** is {short:.1%} of a 7B model's arithmetic at {LENGTH} tokens and {long:.0%} at 4,096. It is "
        "counted as its products\n  alone; with a mask, teacher-forced passes may use a slower kernel."
    )


def _q(kind: str) -> str | None:
    return kind if kind == "4bit" else None


def _times(found: Prediction) -> list[str]:
    return [f"{found.load:.0f} s", _time(found.seconds), f"{found.device_hours:.2f}"]


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 180 else f"{seconds / 60:.0f} min"


def table(headings: Sequence[Any], lines: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    rule = "|".join("---" for _ in headings)
    rows = ["| " + " | ".join(map(str, line)) + " |" for line in (headings, *lines)]
    return "\n".join([rows[0], f"|{rule}|", *rows[1:]])


if __name__ == "__main__":
    main()
