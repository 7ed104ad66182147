"""Ratio 2: steered against unsteered generation of as many rows, timed alternating in one run. Asked: at most 1.15."""

import argparse
import statistics
import time

import torch

import creativity_lens as cl
from creativity_lens.generation import Row, generate_rows
from creativity_lens.prompts import load_prompts


def main() -> None:
    """Print seconds of both sides and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few and short texts, to see that it runs")
    parser.add_argument("--model", default="pocket-chat")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.quick:
        options.rows, options.tokens, options.rounds = 32, 8, 1
    model = cl.load_model(options.model, device=options.device)
    prompts = load_prompts()[1]
    directions = cl.mean_difference(cl.collect_activations(model, cl.load_pairs()[:8], cache=False))
    edits = [  # every layer is edited in every batch, which is the most there can be
        cl.Steering(at.layer, 0.1 * at.residual_norm * at.vector, 0.1) for at in map(directions.at, directions.layers)
    ]
    bare = [Row(prompts[n % len(prompts)], n // len(prompts)) for n in range(options.rows)]
    sides = {
        "unsteered": bare,
        "steered": [Row(row.prompt, row.seed, edits[n % len(edits)]) for n, row in enumerate(bare)],
    }
    generate_rows(model, bare[:4], max_new_tokens=4)  # the first pass of a process is slow
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, rows in sides.items():
            start = time.perf_counter()
            generate_rows(model, rows, max_new_tokens=options.tokens, min_new_tokens=options.tokens)
            seconds[name].append(time.perf_counter() - start)
    print(f"{options.rows} rows x {options.tokens} tokens, {model}, {torch.get_num_threads()} threads, "
          f"{options.rounds} rounds")  # fmt: skip
    base = statistics.median(seconds["unsteered"])
    for name, values in seconds.items():
        middle = statistics.median(values)
        print(f"{name:10} {middle:7.2f} s ({min(values):.2f} to {max(values):.2f})   ratio {middle / base:.3f}")


if __name__ == "__main__":
    main()
