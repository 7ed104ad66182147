"""A concept of the built-in model, prepared once for all tests of one process."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from creativity_lens.concept import Concept, prepare
from creativity_lens.models import Model
from creativity_lens.plan import Plan
from creativity_lens.prompts import ContrastivePair, load_control, load_pairs, write_pairs
from creativity_lens.sides import Sides, write_sides


@cache
def concept_of(model: Model, layers: str = "all", name: str = "creativity") -> Concept:
    """As a sweep prepares it, without the read-out's controls."""
    pairs = load_pairs() if name == "creativity" else load_control(name)
    methods = ("mean_difference", "first_component")
    return prepare(model, name, pairs, Plan(layers=layers, methods=methods), full=False)


def few_pairs() -> list[ContrastivePair]:
    """24 pairs with short responses, of a contrast that the built-in model is sure to read: for small real sweeps."""
    return [
        replace(pair, creative_response=_begin(pair.creative_response), boring_response=_begin(pair.boring_response))
        for pair in load_control("register")[:24]
    ]


def few_file(folder: Path) -> Path:
    """The same as a file, with its sides named beside it: for commands that would else read all that is shipped."""
    file = folder / "few.jsonl"
    write_pairs(file, few_pairs())
    write_sides(file, Sides("imaginative", "plain"))
    return file


def _begin(text: str) -> str:
    return " ".join(text.split()[:30])
