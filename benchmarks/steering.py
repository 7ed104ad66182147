"""Ratio 2: steered against unsteered generation of the same rows, timed alternating in one run. Asked: at most 1.15."""

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
    parser.add_argument("--quick", action="store_true", help="a few rows, to see that it runs")
    parser.add_argument("--model", default="pocket-chat")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    model = cl.load_model(options.model, device=options.device)
    rows, tokens, rounds = (32, 8, 1) if options.quick else (512, 48, 5)
    prompts = load_prompts()[1]
    generator = torch.Generator().manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(model.n_layers, model.d_model, generator=generator), dim=-1)
    edits = [cl.Steering(layer, 50 * vectors[layer], 0.1) for layer in range(model.n_layers)]
    sides = {
        "unsteered": [Row(prompts[i % len(prompts)], i // len(prompts)) for i in range(rows)],
        "steered at every layer": [
            Row(prompts[i % len(prompts)], i // len(prompts), edits[i % len(edits)]) for i in range(rows)
        ],
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, wanted in sides.items():
            start = time.perf_counter()
            generate_rows(model, wanted, max_new_tokens=tokens, min_new_tokens=tokens, batch_rows=rows)
            seconds[name].append(time.perf_counter() - start)
    print(f"{rows} rows x {tokens} tokens, {model}, {torch.get_num_threads()} threads")
    base = statistics.median(seconds["unsteered"])
    for name, values in seconds.items():
        middle = statistics.median(values)
        print(f"{name:25} {middle:7.2f} s ({min(values):.2f} to {max(values):.2f})   ratio {middle / base:.3f}")


if __name__ == "__main__":
    main()
