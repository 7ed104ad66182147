"""In which order each rater gets the texts: position is balanced over raters, texts of one group are kept apart.

The texts are dealt into as many blocks as there are raters, and rater r begins with block r: over the raters every
text stands once in every part of the page (a cyclic Latin square of blocks). Inside the blocks, raters go in twos, one
forwards and one backwards, and with an odd number the last three go together, so that a text that is early in its
block for one rater is late for another. A text's mean position is then the middle of the page, up to about one place
that blocks of unequal size leave. Each two or three raters have their own order inside the blocks, so that no text has
the same neighbours for everyone. A single rater has no one to be balanced with.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Int

_SWAPS = 6000  # tried in all, to part texts of one group

Block = Int[np.ndarray, "_"]  # blocks differ in size
Order = Int[np.ndarray, " text"]


def orders(groups: Sequence[str | None], raters: int, rng: np.random.Generator) -> Int[np.ndarray, "rater text"]:
    """Row r holds the numbers of the texts in rater r's order; a group of None is a group of its own.

    Everything follows from `rng`. Neighbours of one group are avoided where a search finds a way.

    >>> orders(["a", "a", "b", "b"], 2, np.random.default_rng(0))      # every text is as often early as late
    """
    label = np.unique([f"g{g}" if g is not None else f"n{i}" for i, g in enumerate(groups)], return_inverse=True)[1]
    dealt = _dealt(label, rng)
    blocks = [dealt[b::raters] for b in range(raters)]
    found: list[Order] = []
    while len(found) < raters:
        left = raters - len(found)
        first = len(found)
        if left == 3:
            three = _arranged(blocks, label, [(first + k, way) for k, way in enumerate(_THREE)], rng)
            two = _arranged(blocks, label, [(first + k, way) for k, way in enumerate(_TWO)], rng)
            one = _arranged(blocks, label, [(first + 2, _forwards)], rng)
            # an exact balance is worth less than texts of one group kept apart
            found += three if _clashing(three, label) <= _clashing(two + one, label) else two + one
        else:
            ways = _TWO if left > 1 else (_forwards,)
            found += _arranged(blocks, label, [(first + k, way) for k, way in enumerate(ways)], rng)
    return np.array(found)


def clashes(order: Sequence[int], groups: Sequence[str | None]) -> int:
    """How many neighbours in an order are of one group."""
    told = [groups[i] for i in order]
    return sum(one is not None and one == other for one, other in pairwise(told))


def spread_checks(texts: int, checks: int, rng: np.random.Generator) -> list[int]:
    """Before which text each check stands: evenly spread, never before the first one.

    >>> spread_checks(40, 2, np.random.default_rng(0))       # one in each half
    """
    at = (np.arange(checks) + rng.uniform(0.25, 0.85, checks)) * texts / max(1, checks)
    return sorted(max(1, round(place)) for place in at)


def _dealt(label: Order, rng: np.random.Generator) -> Order:
    """The texts group by group, groups in random order, so that dealing them out parts every group.

    Within a group the texts keep their order, turned by one from group to group: what stands first in every group (a
    condition, say) does not always come into the same block.
    """
    order = rng.permutation(label.max() + 1)
    parts = [np.roll(np.flatnonzero(label == group), turn) for turn, group in enumerate(order)]
    return np.concatenate(parts)


def _arranged(
    blocks: Sequence[Block],
    label: Order,
    members: "Sequence[tuple[int, Way]]",
    rng: np.random.Generator,
) -> list[Order]:
    """Orders of raters that share one order inside the blocks, each in its own way: the fewest clashes found."""
    inner = [_mixed(block, label, rng) for block in blocks]
    home = {int(text): b for b, block in enumerate(inner) for text in block}

    def laid_out() -> list[Order]:
        turned = ([way(inner[(rater + k) % len(inner)]) for k in range(len(inner))] for rater, way in members)
        return [np.concatenate(blocks) for blocks in turned]

    best = laid_out()
    fewest = _clashing(best, label)
    for _ in range(max(100, _SWAPS // len(blocks))):
        if fewest == 0:
            break
        hits = np.concatenate([order[1:][label[order[1:]] == label[order[:-1]]] for order in best])
        block = inner[home[int(rng.choice(hits))]]
        one, other = rng.integers(len(block), size=2)
        block[[one, other]] = block[[other, one]]
        tried = laid_out()
        if (count := _clashing(tried, label)) <= fewest:
            best, fewest = tried, count
        else:
            block[[one, other]] = block[[other, one]]
    return best


def _clashing(found: Sequence[Order], label: Order) -> int:
    return int(sum((label[order[1:]] == label[order[:-1]]).sum() for order in found))


def _mixed(block: Block, label: Order, rng: np.random.Generator) -> Block:
    """A random order in which the group with the most texts left comes next, except twice in a row."""
    waiting = [int(text) for text in rng.permutation(block)]
    left = Counter(int(label[text]) for text in waiting)
    order: list[int] = []
    while waiting:
        last = int(label[order[-1]]) if order else -1
        most = max((count for group, count in left.items() if group != last), default=0)
        after = (text for text in waiting if label[text] != last and left[int(label[text])] == most)
        text = next(after, waiting[0])
        waiting.remove(text)
        left[int(label[text])] -= 1
        order.append(text)
    return np.array(order, dtype=int)


def _forwards(block: Block) -> Block:
    return block


def _backwards(block: Block) -> Block:
    return block[::-1]


def _second(block: Block) -> Block:
    """With the first and the third, the places of every text add up to the same, or to one more in even blocks."""
    n = len(block)
    return _placed(block, n - 1 - np.arange((n + 1) // 2), n // 2 - 1 - np.arange(n // 2))


def _third(block: Block) -> Block:
    n = len(block)
    return _placed(block, (n - 1) // 2 - np.arange((n + 1) // 2), n - 1 - np.arange(n // 2))


def _placed(block: Block, even: Int[np.ndarray, " even"], odd: Int[np.ndarray, " odd"]) -> Block:
    """The block with new places for its texts: for those at even places, and for those at odd ones."""
    placed = np.empty_like(block)
    placed[even], placed[odd] = block[0::2], block[1::2]
    return placed


Way = Callable[[Block], Block]
_TWO: tuple[Way, ...] = (_forwards, _backwards)
_THREE: tuple[Way, ...] = (_forwards, _second, _third)
