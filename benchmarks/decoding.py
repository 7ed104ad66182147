"""Ratio 3: two models mixed token by token, against the sum of the two models' own generation times. Asked: 1.15.

The same prompts, numbers of texts and tokens in all three; ends are held off, so that all texts are of equal length.
The three are timed in turn, round by round, by the clock and by the processor's time of this process; the ratio is that
of the medians. The identities are checked on the way: gamma 0 must write the aligned model's tokens and, where nothing
is truncated, gamma 1 the base model's (exit status 1 where they do not).
"""

import argparse
import statistics
import sys
import time
from functools import partial

import torch

import creativity_lens as cl
from creativity_lens.generation import Row, generate_rows
from creativity_lens.sampling import MIXES, TRUNCATES, Mixing

ASKED = 1.15


def main() -> None:
    """Print seconds and ratio of each way of mixing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few and short texts, to see that it runs")
    parser.add_argument("--aligned", default="pocket-chat")
    parser.add_argument("--base", default="pocket-base")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--gamma", type=float, default=0.5)
    parser.add_argument("--top-p", type=float, default=0.9)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.quick:
        options.prompts, options.tokens, options.rounds = 4, 8, 1
    place = {"device": options.device, "dtype": options.dtype}
    aligned = cl.load_model(options.aligned, **place)
    base = cl.load_model(options.base, template="none", **place)
    prompts = cl.load_prompts()[1][: options.prompts]

    def write(model: cl.Model, top_p: float, gamma: float | None = None, mixing: Mixing | None = None) -> list[tuple]:
        rows = [Row(prompt, seed, gamma=gamma) for prompt in prompts for seed in range(options.samples)]
        made = generate_rows(
            model, rows, partner=None if gamma is None else base, mixing=mixing, top_p=top_p,
            max_new_tokens=options.tokens, min_new_tokens=options.tokens,
        )  # fmt: skip
        return [text.token_ids for text in made]

    write(aligned, 1.0, 0.5)  # the first pass of a process is slow
    print(f"{len(prompts)} prompts x {options.samples} x {options.tokens} tokens, {aligned} and {base}, "
          f"{torch.get_num_threads()} threads, {options.rounds} rounds")  # fmt: skip
    ways = [(1.0, Mixing())] + [(options.top_p, Mixing(mix, cut)) for mix in MIXES for cut in TRUNCATES]
    if options.quick:
        ways = ways[:2]
    for top_p, mixing in ways:
        makes = {
            "aligned": partial(write, aligned, top_p),
            "base": partial(write, base, top_p),
            "mixture": partial(write, aligned, top_p, options.gamma, mixing),
        }
        clock: dict[str, list[float]] = {name: [] for name in makes}
        processor: dict[str, list[float]] = {name: [] for name in makes}
        for _ in range(options.rounds):
            for name, make in makes.items():
                began, used = time.perf_counter(), time.process_time()
                make()
                processor[name].append(time.process_time() - used)
                clock[name].append(time.perf_counter() - began)
        way = f"{mixing.mix}, {mixing.truncate}, top-p {top_p:g}"
        seconds = ", ".join(f"{name} {statistics.median(values):.2f} s" for name, values in clock.items())
        print(f"{way:36} {seconds}   ratio {ratio(clock):.3f} by the clock, {ratio(processor):.3f} by processor time")
    wrong = write(aligned, options.top_p, 0.0) != write(aligned, options.top_p)
    wrong |= write(aligned, 1.0, 1.0) != write(base, 1.0)
    print(f"gamma 0 and 1 write one model's tokens: {'NO' if wrong else 'yes'}; asked: a ratio of {ASKED} at most")
    sys.exit(1 if wrong else 0)


def ratio(taken: dict[str, list[float]]) -> float:
    """Of the mixture's median time to the sum of the two models' own."""
    own = sum(statistics.median(taken[name]) for name in ("aligned", "base"))
    return statistics.median(taken["mixture"]) / own


if __name__ == "__main__":
    main()
