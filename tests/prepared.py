"""A concept of the built-in model, prepared once for all tests of one process."""

from dataclasses import replace
from functools import cache

from creativity_lens.concept import Concept, prepare
from creativity_lens.models import Model
from creativity_lens.plan import Plan
from creativity_lens.prompts import ContrastivePair, load_control, load_pairs


@cache
def concept_of(model: Model, layers: str = "all", name: str = "creativity") -> Concept:
    """As a sweep prepares it, without the read-out's controls."""
    pairs = load_pairs() if name == "creativity" else load_control(name)
    methods = ("mean_difference", "first_component")
    return prepare(model, name, pairs, Plan(layers=layers, methods=methods), full=False)


def few_pairs() -> list[ContrastivePair]:
    """One of the shipped pairs on every topic, with short responses: a small file that a real sweep can run on."""
    first = {pair.topic: pair for pair in reversed(load_pairs())}
    return [
        replace(pair, creative_response=_begin(pair.creative_response), boring_response=_begin(pair.boring_response))
        for pair in sorted(first.values(), key=lambda pair: pair.id)
    ]


def _begin(text: str) -> str:
    return " ".join(text.split()[:30])
