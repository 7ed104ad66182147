"""Pairs for the tests, made rather than written, and files of them with chosen faults."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from creativity_lens.errors import InputError
from creativity_lens.prompts import ContrastivePair


def make_pairs(sizes: list[int], per_topic: int = 3) -> list[ContrastivePair]:
    """`sizes[d]` topics in domain d, each with `per_topic` pairs."""
    pairs = []
    for domain, topics in enumerate(sizes):
        for topic in range(topics):
            for place in range(per_topic):
                name = f"t{domain}-{topic}"
                kind = ("premise", "manner", "response")[place % 3]
                sides = [f"{side} of {name}" for side in ("neutral", "odd", "plain", "odd text", "plain text")]
                pairs.append(ContrastivePair(f"{name}-{place}", name, f"d{domain}", kind, None, *sides))
    return pairs


def write_rows(path: Path, changed: dict[int, dict], count: int = 9) -> Path:
    """A file of `count` sound rows, with fields of some rows (by line number) changed, or removed by `...`."""
    made = [asdict(pair) for pair in make_pairs([count], per_topic=1)]
    for number, changes in changed.items():
        row = made[number - 1] | changes
        made[number - 1] = {name: value for name, value in row.items() if value is not ...}
    path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    return path


def refusal(call: Callable, *arguments: object) -> str:
    """The sentence with which a call refuses its arguments."""
    with pytest.raises(InputError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert message.isprintable(), "one line, and nothing that could drive a terminal"
    assert len(message) < 600
    return message
