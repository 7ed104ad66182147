"""Ratio 1: a sweep's cells generated together, against one cell at a time and against one prompt at a time.

All ways draw the same texts, which is checked token by token (exit status 1 where one differs), and are timed in turn
within one run. Asked, on 2 cores: 2.5 and 15.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch

import creativity_lens as cl
from creativity_lens.generation import Row, generate_rows
from creativity_lens.prompts import load_prompts
from creativity_lens.scores import Generation

Way = Callable[[], list[Generation]]


def main() -> None:
    """Print seconds of each way and the two ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few and short texts, to see that it runs")
    parser.add_argument("--model", default="pocket-chat")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--strengths", type=int, default=4, help="cells a layer")
    parser.add_argument("--prompts", type=int, default=32, help="rows a cell")
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--temperature", type=float, default=0.0, help="0 is greedy")
    parser.add_argument("--alone", type=int, default=2, help="cells timed one prompt at a time, then scaled to all")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.quick:
        options.strengths, options.prompts, options.tokens, options.alone, options.rounds = 1, 4, 8, 1, 1
    model = cl.load_model(options.model, device=options.device)
    prompts = load_prompts()[1][: options.prompts]
    cells = made_cells(model, options.strengths)

    def generate(rows: list[Row]) -> list[Generation]:
        return generate_rows(model, rows, max_new_tokens=options.tokens, min_new_tokens=options.tokens)

    rows = [[Row(prompt, 0, cell, options.temperature) for prompt in prompts] for cell in cells]
    everything = [row for cell in rows for row in cell]
    some = [row for cell in rows[: options.alone] for row in cell]
    ways: dict[str, tuple[Way, float]] = {
        "all cells in shared batches": (lambda: generate(everything), 1.0),
        f"one cell at a time ({len(prompts)} rows)": (lambda: [text for cell in rows for text in generate(cell)], 1.0),
        "one prompt at a time": (
            lambda: [text for row in some for text in generate([row])],
            len(everything) / len(some),
        ),
    }
    generate(some[:4])  # the first pass of a process is slow
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    made: dict[str, list[Generation]] = {}
    for _ in range(options.rounds):
        for name, (way, scale) in ways.items():
            start = time.perf_counter()
            made[name] = way()
            seconds[name].append(scale * (time.perf_counter() - start))
    print(f"{len(cells)} cells x {len(prompts)} rows x {options.tokens} tokens, {model}, "
          f"{torch.get_num_threads()} threads, {options.rounds} rounds")  # fmt: skip
    base, *others = ways
    for name, values in seconds.items():
        middle = statistics.median(values)
        ratio = middle / statistics.median(seconds[base])
        print(f"{name:32} {middle:8.2f} s ({min(values):.2f} to {max(values):.2f})   ratio {ratio:5.2f}")
    different = 0
    for name in others:
        pairs = list(zip(made[base], made[name], strict=False))
        count = sum(ours.token_ids != theirs.token_ids for ours, theirs in pairs)
        print(f"{name}: {len(pairs) - count} of {len(pairs)} texts have the same tokens")
        different += count
    sys.exit(1 if different else 0)


def made_cells(model: cl.Model, strengths: int) -> list[cl.Steering]:
    """Each layer's direction at some strengths."""
    directions = cl.mean_difference(cl.collect_activations(model, cl.load_pairs()[:8], cache=False))
    return [
        cl.Steering(layer, 0.05 * (n + 1) * at.residual_norm * at.vector, 0.05 * (n + 1))
        for layer in directions.layers
        for at in [directions.at(layer)]
        for n in range(strengths)
    ]


if __name__ == "__main__":
    main()
