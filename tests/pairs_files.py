"""Pairs for the linter's tests: shipped texts, dealt so that their sides are exchangeable."""

from dataclasses import replace

import numpy as np

from creativity_lens.prompts import ContrastivePair, load_pairs


def exchangeable_pairs(n: int, *, topics: int, seed: int = 0) -> list[ContrastivePair]:
    """Pairs whose sides were swapped by coin: every difference between them is luck."""
    random = np.random.default_rng(seed)
    shipped = load_pairs()
    found = []
    for number, index in enumerate(random.choice(len(shipped), size=n, replace=n > len(shipped))):
        pair = shipped[index]
        sides = [pair.creative_response, pair.boring_response]
        if random.random() < 0.5:
            sides.reverse()
        found.append(
            replace(pair, id=f"pair-{number}", topic=f"t{number % topics}", split=None, creative_response=sides[0],
                    boring_response=sides[1])
        )  # fmt: skip
    return found
