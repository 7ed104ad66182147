"""What is measured: models, sizes, sides, rounds. All that is chosen by hand is in this file."""

from dataclasses import dataclass, replace

# where a side's worker runs: our environment or the peers'
OURS, THEIRS = "ours", "theirs"
WORKERS = {
    "ours": (OURS, "ours"),
    "plain": (OURS, "plain"),
    "plain, peers' environment": (THEIRS, "plain"),
    "steering-vectors": (THEIRS, "steering_vectors_side"),
    "repeng": (THEIRS, "repeng_side"),
}


@dataclass(frozen=True)
class Shape:
    """A Llama with random weights, in its config's words."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int


@dataclass(frozen=True)
class Way:
    """One side's way of doing a task, and the part of the task that is timed where all of it would take too long."""

    name: str  # as tables show it
    worker: str
    share: float = 1.0  # of the pairs, or of the calls; seconds are divided by it
    batch: int | None = None  # texts or prompts a call, where the worker asks for it
    scope: str | None = None  # of ours in a sweep


@dataclass(frozen=True)
class Block:
    """One task on one model, done by every side in turn, `rounds` times."""

    model: str
    kind: str  # "directions" or "sweep"
    size: int  # pairs, or rows
    rounds: int
    ways: tuple[Way, ...]
    cells: tuple[int, int] = (0, 0)  # of a sweep: layers x strengths
    prompts: int = 0
    tokens: int = 0
    is_judged: bool = True  # whether the goals for speed are held against it


OUR_DIRECTIONS = "ours"
OUR_SWEEP = "ours"
OUR_DEFAULT = "ours, default scope (prompt not steered)"
BARE = "transformers' body alone, batches of 32"
UNSTEERED = "transformers' generate, unsteered, batched"
UNSTEERED_THERE = "the same in the peers' environment"
SV_1, SV_32 = "steering-vectors, default batch of 1", "steering-vectors, batch of 32"
RE_32 = "repeng, default batch of 32"
READING = f"{RE_32}: its reading alone"
SV_ONE, SV_8 = "steering-vectors, one prompt at a time", "steering-vectors, 8 prompts at a time"
RE_ONE, RE_8 = "repeng, one prompt at a time", "repeng, 8 prompts at a time"

MODELS: dict[str, Shape | None] = {
    "pocket": None,  # the built-in pocket-chat, 4.3 million parameters
    "26M": Shape(512, 1280, 8, 8),
    "109M": Shape(768, 2816, 12, 12),
}
SEED = 0
SPREAD = 0.05  # standard deviation of random weights: wider than usual, so that greedy choices are seldom close


def directions(model: str, pairs: int, rounds: int, *, alone: float = 1.0, is_judged: bool = False) -> Block:
    """All layers' directions from so many pairs; `alone` is the share that is timed at a batch of 1."""
    ways = (
        Way(OUR_DIRECTIONS, "ours"),
        Way(BARE, "plain"),
        Way(SV_1, "steering-vectors", share=alone, batch=1),
        Way(SV_32, "steering-vectors", batch=32),
        Way(RE_32, "repeng", batch=32),
    )
    return Block(model, "directions", pairs, rounds, ways, is_judged=is_judged)


def sweep(
    model: str, cells: tuple[int, int], rounds: int, *, alone: float, batched: float, prompts: int = 8,
    tokens: int = 48, all_ways: bool = True,
) -> Block:  # fmt: skip
    """Layers x strengths x prompts; `alone` and `batched` are the shares of cells that the peers are timed on."""
    ways = [
        Way(OUR_SWEEP, "ours", scope="all"),
        Way(OUR_DEFAULT, "ours", scope="generated"),
        Way(UNSTEERED, "plain"),
        Way(UNSTEERED_THERE, "plain, peers' environment"),
        Way(SV_8, "steering-vectors", share=batched, batch=8),
        Way(RE_8, "repeng", share=batched, batch=8),
        Way(SV_ONE, "steering-vectors", share=alone, batch=1),
        Way(RE_ONE, "repeng", share=alone, batch=1),
    ]
    if not all_ways:
        ways = [way for way in ways if way.name not in (OUR_DEFAULT, UNSTEERED_THERE)]
    rows = cells[0] * cells[1] * prompts
    return Block(model, "sweep", rows, rounds, tuple(ways), cells, prompts, tokens)


def full() -> list[Block]:
    """Twelve to fifteen minutes on one thread of an idle machine."""
    return [
        directions("pocket", 64, 3),
        directions("pocket", 256, 3, is_judged=True),
        directions("pocket", 1024, 1),
        sweep("pocket", (8, 5), 3, alone=1 / 10, batched=1 / 4),
        directions("26M", 16, 3),
        directions("26M", 64, 3, alone=1 / 4),
        directions("26M", 256, 2, alone=1 / 16, is_judged=True),
        sweep("26M", (8, 5), 2, alone=1 / 20, batched=1 / 10, all_ways=False),
        directions("109M", 16, 3, alone=1 / 2),
        directions("109M", 64, 2, alone=1 / 8, is_judged=True),
        directions("109M", 128, 1, alone=1 / 16),
        sweep("109M", (8, 2), 2, alone=1 / 32, batched=1 / 8, all_ways=False),
    ]


def quick() -> list[Block]:
    """All sides on the smallest model and next to nothing, to see that it runs; its numbers mean little."""
    judged = [
        directions("pocket", 16, 2, alone=1 / 2, is_judged=True),
        sweep("pocket", (2, 2), 2, alone=1 / 2, batched=1.0),
    ]
    small = replace(judged[1], size=16, prompts=4, tokens=8)
    return [directions("pocket", 4, 1), judged[0], small]


def spread_layers(count: int, n_layers: int) -> list[int]:
    """So many layers from the first to the last, evenly.

    >>> spread_layers(8, 12)
    [0, 2, 3, 5, 6, 8, 9, 11]
    """
    if count >= n_layers:
        return list(range(n_layers))
    return [round(place * (n_layers - 1) / (count - 1)) for place in range(count)] if count > 1 else [n_layers // 2]


def strengths(count: int) -> list[float]:
    """0.05, 0.10, ... of the residual norm."""
    return [round(0.05 * (place + 1), 2) for place in range(count)]


def part_of_pairs(pairs: int, share: float) -> int:
    """How many of the pairs are timed."""
    return max(1, round(pairs * share))


def part_of_calls(cells: int, prompts: int, share: float) -> tuple[list[int], int]:
    """Which cells are timed, spread over all of them, and with how many prompts each; under one cell, a part of one.

    >>> part_of_calls(40, 8, 1 / 10)
    ([5, 15, 25, 35], 8)
    >>> part_of_calls(16, 8, 1 / 32)
    ([8], 4)
    """
    count = max(1, round(cells * share))
    taken = [int((place + 0.5) * cells / count) for place in range(count)]
    return taken, prompts if share * cells >= 1 else max(1, round(prompts * cells * share))
