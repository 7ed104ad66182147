"""Ratio 3: activations of all layers against transformers' own bare body on the same batches. Asked: at least 0.9.

The bare body has its default attention, no LM head and no hooks; its batches come ready, where ours are made from the
pairs' texts. Timed alternating in one run. Then the peak of memory for one, two and four times the pairs, which should
grow by what is returned.
"""

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModel

import creativity_lens as cl
from creativity_lens.activations import passages_of
from creativity_lens.loading import quiet_loaders
from creativity_lens.model_hub import find_model
from creativity_lens.prompts import ContrastivePair
from creativity_lens.reading import batches


def main() -> None:
    """Print tokens per second of both sides and the ratio, and peaks of memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few pairs, to see that it runs")
    parser.add_argument("--model", default="pocket-chat")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--pairs", type=int, default=288)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.quick:
        options.pairs, options.rounds = 8, 1
    model = cl.load_model(options.model, device=options.device)
    with quiet_loaders():
        bare = AutoModel.from_pretrained(find_model(options.model).files.folder, dtype=model.dtype)
    bare = bare.eval().to(model.device)
    pairs = distinct_pairs(options.pairs)
    passages = list(dict.fromkeys(p for pair in pairs for p in passages_of(model, pair, "response", None)))
    tokens = sum(len(passage.ids) for passage in passages)
    ready = [batch.ids for _, batch in batches(model, passages)]
    sides = {
        "bare body": lambda: run_bare(bare, ready),
        "all layers": lambda: cl.collect_activations(model, pairs, cache=False),
    }
    run_bare(bare, ready[:1])  # the first pass of a process is slow
    cl.collect_activations(model, pairs[:4], cache=False)
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            speeds[name].append(tokens / (time.perf_counter() - start))
    attention = bare.config._attn_implementation
    print(f"{len(passages)} texts, {tokens} tokens in {len(ready)} batches, {model}, bare attention {attention}, "
          f"{torch.get_num_threads()} threads, {options.rounds} rounds")  # fmt: skip
    base = statistics.median(speeds["bare body"])
    for name, values in speeds.items():
        middle = statistics.median(values)
        print(f"{name:10} {middle:9.0f} tokens/s ({min(values):.0f} to {max(values):.0f})   ratio {middle / base:.3f}")
    del ready, bare
    for times in (1, 2, 4):
        some = distinct_pairs(times * options.pairs)
        low = start_of_peak(model.device)
        found = cl.collect_activations(model, some, cache=False)
        peak = peak_memory(model.device) - low
        returned = sum(part.nbytes for part in (found.creative, found.boring, found.norms))
        print(f"{len(some):5} pairs: peak memory {peak / 2**20:7.1f} MiB above the start, "
              f"{returned / 2**20:6.1f} MiB returned")  # fmt: skip
        del found


def run_bare(bare: torch.nn.Module, ready: list[Tensor]) -> None:
    """All batches through transformers alone."""
    with torch.inference_mode():
        for ids in ready:
            last = bare(input_ids=ids, use_cache=False).last_hidden_state
    last[0, 0, 0].item()  # a GPU has finished when a number is here


def distinct_pairs(count: int) -> list[ContrastivePair]:
    """The pairs that ship, and as many more of the same lengths as are needed: with another first word each time."""
    shipped = cl.load_pairs()
    return [
        replace(
            pair,
            id=f"{pair.id}-{n}",
            creative_response=f"{n} {pair.creative_response}",
            boring_response=f"{n} {pair.boring_response}",
        )
        for n, pair in ((n // len(shipped), shipped[n % len(shipped)]) for n in range(count))
    ]


def start_of_peak(device: torch.device) -> int:
    """Start measuring a peak; bytes in use now."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    Path("/proc/self/clear_refs").write_text("5")  # Linux: sets the peak back to what is in use
    return status("VmRSS")


def peak_memory(device: torch.device) -> int:
    """The peak since then, in bytes."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else status("VmHWM")


def status(name: str) -> int:
    """A number of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
