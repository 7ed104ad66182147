"""Scoring texts (`score_texts`) against a bare forward pass on the same 2,000 short texts. Asked: at least 0.9.

The bare pass makes the same tokens and the same length-sorted batches and throws its logits away; scoring adds the
projection, the surprisal of every token, repetition, percentiles and the rows. Timed alternating in one run.
"""

import argparse
import statistics
import time
from dataclasses import replace

import torch

import creativity_lens as cl
from creativity_lens.reading import CPU_BATCH_TOKENS, GPU_BATCH_TOKENS, alone, batches
from creativity_lens.scoring import logit_room


def main() -> None:
    """Print texts per second of both sides and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few texts, to see that it runs")
    parser.add_argument("--model", default="pocket-chat")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.quick:
        options.texts, options.rounds = 60, 1
    model = cl.load_model(options.model, device=options.device)
    yardstick = cl.fit_yardstick(model, cl.load_pairs(), layer=model.n_layers // 2)
    yardstick = replace(yardstick, layer=model.n_layers - 1)  # any layer: where it stands costs nothing
    texts = short_texts(options.texts)
    sides = {
        "bare forward pass": lambda: run_bare(model, texts),
        "score_texts": lambda: cl.score_texts(model, yardstick, texts),
    }
    for side in sides.values():
        side()  # the first pass of a process is slow
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            speeds[name].append(len(texts) / (time.perf_counter() - start))
    tokens = sum(map(len, model.encode_texts(texts)))
    print(f"{len(texts)} texts, {tokens} tokens, {model}, {torch.get_num_threads()} threads, {options.rounds} rounds")
    base, *_ = speeds.values()
    for name, values in speeds.items():
        ratio = statistics.median(ours / bare for ours, bare in zip(values, base, strict=True))  # round by round
        middle = statistics.median(values)
        print(f"{name:18} {middle:8.0f} texts/s ({min(values):.0f} to {max(values):.0f})   ratio {ratio:.3f}")


def run_bare(model: cl.Model, texts: list[str]) -> None:
    """Tokens, batches, logits, and nothing of them kept."""
    gpu = model.device.type == "cuda"
    room = logit_room(model) // (4 * model.vocabulary)
    budget = max(1, min(GPU_BATCH_TOKENS if gpu else CPU_BATCH_TOKENS, room))
    passages = [alone(model, ids) for ids in model.encode_texts(texts)]
    for _, batch in batches(model, passages, batch_tokens=budget):
        logits = model.forward(batch.ids)
    logits[0, 0, 0].item()  # a GPU has finished when a number is here


def short_texts(count: int) -> list[str]:
    """Beginnings of the shipped pairs' responses, of 5 to 45 words, all different."""
    responses = [text for pair in cl.load_pairs() for text in (pair.creative_response, pair.boring_response)]
    return [f"{n} {' '.join(responses[n % len(responses)].split()[: 5 + 7 * n % 41])}" for n in range(count)]


if __name__ == "__main__":
    main()
