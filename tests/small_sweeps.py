"""Sweeps small enough for a test: few prompts, few layers, short texts, a rough matching of controls."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from prepared import few_pairs

from creativity_lens import controls
from creativity_lens.models import Model
from creativity_lens.plan import Plan
from creativity_lens.prompts import load_prompts
from creativity_lens.result import Sweep
from creativity_lens.sweep import sweep_layers

DEV, TEST = (part[:8] for part in load_prompts())
SMALL = Plan(
    layers="2,4", strengths=(0.1, 0.25), samples=2, controls=19, max_new_tokens=12, band=2, temperatures=(0.7, 1.3),
    screen_pairs=4,
)  # fmt: skip
TINY = replace(SMALL, layers="2", strengths=(0.15,), samples=1, band=0, temperatures=())
FEW = few_pairs()


@contextmanager
def quick_matching() -> Iterator[None]:
    """How well controls are matched is tested elsewhere; here a little of it is enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controls, "MATCH_PAIRS", 2)
        patch.setattr(controls, "MATCH_TOKENS", 12)
        yield


def tiny(model: Model, **options) -> Sweep:
    return sweep_layers(model, **{"pairs": FEW, "plan": TINY, "prompts": (DEV, TEST), "control": None, **options})
