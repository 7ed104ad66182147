"""Ratio 3: activations of all layers against transformers' own bare body on the same batches.

The bare body has its default attention and no LM head. Timed alternating in one run; asked: at least 0.9.
Also prints how much peak memory grows when the pairs are four times as many, beside the size of what is returned.
"""

import argparse
import resource
import statistics
import time
from dataclasses import replace

import torch
from transformers import AutoModel

import creativity_lens as cl
from creativity_lens.activations import passages_of
from creativity_lens.files import data_folder
from creativity_lens.models import Model
from creativity_lens.prompts import ContrastivePair
from creativity_lens.reading import batches


def main() -> None:
    """Print tokens per second of both sides and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few pairs, to see that it runs")
    parser.add_argument("--folder", default=None, help="a model folder in Hugging Face format; default: pocket-chat")
    options = parser.parse_args()
    model = cl.load_model(options.folder or "pocket-chat", device="cpu")
    folder = options.folder or str(data_folder() / "pocket" / "chat")
    bare = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    shipped = cl.load_pairs()
    pairs = shipped[:8] if options.quick else distinct(shipped, 4)
    passages = list(dict.fromkeys(p for pair in pairs for p in passages_of(model, pair, "response", None)))
    tokens = sum(len(passage.ids) for passage in passages)
    cl.collect_activations(model, shipped[: len(pairs) // 4], cache=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = cl.collect_activations(model, pairs, cache=False)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    returned = 4 * (found.creative.numel() + found.boring.numel() + found.norms.numel()) / 2**20
    ours, theirs = [], []
    for _ in range(1 if options.quick else 5):
        start = time.perf_counter()
        run_bare(model, bare, passages)
        theirs.append(tokens / (time.perf_counter() - start))
        start = time.perf_counter()
        cl.collect_activations(model, pairs, cache=False)
        ours.append(tokens / (time.perf_counter() - start))
    print(f"{len(passages)} texts, {tokens} tokens, {model}, {torch.get_num_threads()} threads")
    for name, values in (("bare body", theirs), ("all layers", ours)):
        print(f"{name:12} {statistics.median(values):9.0f} tokens/s ({min(values):.0f} to {max(values):.0f})")
    print(f"peak memory grew by {grown:.1f} MiB from a quarter of the pairs; {returned:.1f} MiB are returned")
    print(f"ratio of medians {statistics.median(ours) / statistics.median(theirs):.3f}")


def run_bare(model: Model, bare: torch.nn.Module, passages: list) -> None:
    """The same batches through transformers alone."""
    with torch.inference_mode():
        for batch in batches(model, passages):
            bare(input_ids=batch.ids, use_cache=False)


def distinct(pairs: list[ContrastivePair], times: int) -> list[ContrastivePair]:
    """More pairs of like lengths: each text once more with another first word."""
    return [
        replace(
            pair, id=f"{pair.id}-{n}", creative_response=f"{n} {pair.creative_response}",
            boring_response=f"{n} {pair.boring_response}",
        )
        for n in range(times)
        for pair in pairs
    ]  # fmt: skip


if __name__ == "__main__":
    main()
