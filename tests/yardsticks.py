"""Yardsticks for the tests: one made by hand, whose every number is known, and one of the built-in model."""

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from planted import SOURCE

from creativity_lens.models import Model
from creativity_lens.prompts import ContrastivePair, load_control
from creativity_lens.sides import Sides
from creativity_lens.yardstick import Responses, Yardstick, fit_yardstick


def responses(creative: list[list[float]], boring: list[list[float]], topics: list[str] | None = None) -> Responses:
    """Responses of known projections."""
    sides = [creative, boring]
    return Responses(
        np.array([value for side in sides for text in side for value in text], dtype=np.float32),
        np.array([[len(text) for text in side] for side in sides]),
        tuple(topics or (f"t{n}" for n in range(len(creative)))),
    )


DEV = responses([[1, 3], [5]], [[0, 0], [1, 1, 4]])
TEST = responses([[2], [4, 2], [6]], [[0], [2, 8], [2]])


def by_hand() -> Yardstick:
    """Of a model that does not exist: d_model 3, layer 2 of 8."""
    vector = torch.tensor([0.6, 0.0, 0.8])
    return Yardstick(2, vector, 1.5, DEV, TEST, Sides("odd", "plain"), "nothing", 8, SOURCE)


@cache
def short_pairs() -> tuple[ContrastivePair, ...]:
    """The 36 pairs on register, their responses cut to 24 words: quickly read."""
    cut = lambda text: " ".join(text.split()[:24])  # noqa: E731
    return tuple(
        replace(pair, creative_response=cut(pair.creative_response), boring_response=cut(pair.boring_response))
        for pair in load_control("register")
    )


@cache
def of_chat(model: Model, layer: int = 4) -> Yardstick:
    """Imaginative against plain, at a layer of the built-in model."""
    return fit_yardstick(model, short_pairs(), layer=layer, sides=Sides("imaginative", "plain"))
