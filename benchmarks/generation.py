"""Ratio 1: a sweep's cells generated together, against one cell at a time and against one prompt at a time.

All ways draw the same greedy texts, compared token by token, and are timed alternating in one run.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

import creativity_lens as cl
from creativity_lens.generation import Row, generate_rows
from creativity_lens.prompts import load_prompts
from creativity_lens.scores import Generation


def main() -> None:
    """Print seconds of each way and the two ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few cells and prompts, to see that it runs")
    parser.add_argument("--model", default="pocket-chat")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    model = cl.load_model(options.model, device=options.device)
    texts, tokens, rounds, one_prompt_cells = (4, 8, 1, 2) if options.quick else (32, 48, 3, 2)
    prompts = load_prompts()[1][:texts]
    generator = torch.Generator().manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(model.n_layers, model.d_model, generator=generator), dim=-1)
    strengths = (0.05, 0.1) if options.quick else (0.05, 0.1, 0.15, 0.25)
    cells = [cl.Steering(layer, 500 * s * vectors[layer], s) for layer in range(model.n_layers) for s in strengths]

    def run(wanted: list[cl.Steering], groups: list[list]) -> list[Generation]:
        made = []
        for cell in wanted:
            for group in groups:
                made += generate_rows(
                    model, [Row(p, 0, cell, 0.0) for p in group], max_new_tokens=tokens, min_new_tokens=tokens
                )  # fmt: skip
        return made

    def together() -> list[Generation]:
        rows = [Row(p, 0, cell, 0.0) for cell in cells for p in prompts]
        return generate_rows(model, rows, max_new_tokens=tokens, min_new_tokens=tokens)

    some = cells[:one_prompt_cells]  # one prompt at a time takes long: timed on a few cells and scaled
    ways: dict[str, tuple[Callable[[], list[Generation]], float]] = {
        "all cells in shared batches": (together, 1.0),
        f"one cell at a time, its {texts} rows a batch": (lambda: run(cells, [prompts]), 1.0),
        "one prompt at a time": (lambda: run(some, [[p] for p in prompts]), len(cells) / len(some)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    made: dict[str, list[Generation]] = {}
    for _ in range(rounds):
        for name, (way, scale) in ways.items():
            start = time.perf_counter()
            made[name] = way()
            seconds[name].append(scale * (time.perf_counter() - start))
    base, *others = ways
    print(f"{len(cells)} cells x {texts} prompts x {tokens} tokens, {model}, {torch.get_num_threads()} threads")
    for name, values in seconds.items():
        ratio = statistics.median(values) / statistics.median(seconds[base])
        print(
            f"{name:45} {statistics.median(values):8.2f} s ({min(values):.2f} to {max(values):.2f})   ratio {ratio:.2f}"
        )
    for name in others:
        same = [a.token_ids == b.token_ids for a, b in zip(made[base], made[name], strict=False)]
        print(f"greedy tokens identical to {name!r}: {sum(same)} of {len(same)}")


if __name__ == "__main__":
    main()
