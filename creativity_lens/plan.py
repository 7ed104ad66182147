"""The plan of a sweep: every number that is chosen before it runs, with its default."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from creativity_lens.errors import InputError, check_choice
from creativity_lens.layers import check_layers
from creativity_lens.prompts import ContrastivePair

GIVEN = "given"  # directions from a file, instead of the pairs' own
METHODS = ("mean_difference", "first_component")  # how a direction is fitted
UNITS = ("norm", "gap", "raw")
POSITIONS = ("response", "instruction", "last")
MOST = 1_000_000  # of a strength, in any unit: far beyond what leaves a text, and no sum with it overflows float32
FEWEST_CONTROLS = 19  # (1 + 0) / (19 + 1) is the largest p that can still be 0.05


@dataclass(frozen=True)
class Plan:
    """What a sweep draws and how much; the defaults are the built-in model's (some 6,400 texts of 48 tokens)."""

    layers: str | Sequence[int] = "all"
    strengths: tuple[float, ...] = (0.05, 0.1, 0.15, 0.25)
    strength_unit: str = "norm"  # of `strengths`: fraction of the median residual norm, gaps, or raw residual units
    methods: tuple[str, ...] = ("mean_difference",)
    position: str = "response"
    samples: int = 4  # of the chosen cell on test prompts; half as many per layer, a quarter as many per dev cell
    max_new_tokens: int = 48
    controls: int = 39  # matched control pushes at the chosen layer
    band: int = 19  # control pushes per layer, for the picture
    temperatures: tuple[float, ...] = (0.7, 0.85, 1.15, 1.3, 1.5)
    screen_pairs: int = 24
    batch_rows: int | str = "auto"
    cosine: bool = False  # score by cosine, as the paper of 2024 did
    screen_only: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no sweep can run with, as far as that is known without a model."""
        check_layers(self.layers)
        check_choice("strength unit", self.strength_unit, UNITS)
        check_choice("position", self.position, POSITIONS)
        for method in self.methods:
            if method != GIVEN:
                check_choice("method", method, METHODS)
        for name, values in (("strengths", self.strengths), ("temperatures", self.temperatures)):
            if not all(math.isfinite(value) and value > 0 for value in values):
                raise InputError(f"{name}: expected numbers above 0, got {', '.join(map(str, values))}.")
        if max(self.strengths, default=0.0) > MOST:
            raise InputError(f"strengths: expected at most {MOST:,}, got {max(self.strengths):g}.")
        for name, listed in (
            ("strengths", self.strengths),
            ("methods", self.methods),
            ("temperatures", self.temperatures),
        ):
            again = next((value for number, value in enumerate(listed) if value in listed[:number]), None)
            if again is not None:
                raise InputError(f"{name}: {again} stands twice; name it once.")
            if not listed and name != "temperatures":
                raise InputError(f"{name}: expected at least one, got none.")
        for name, value, least in (
            ("samples", self.samples, 1),
            ("max-new-tokens", self.max_new_tokens, 8),
            ("controls", self.controls, FEWEST_CONTROLS),
            ("band", self.band, 0),
            ("screen pairs", self.screen_pairs, 1),
            ("seed", self.seed, 0),
        ):
            if value < least:
                raise InputError(f"{name}: expected {least} or more, got {value}.")
        if self.batch_rows != "auto" and not (str(self.batch_rows).isdecimal() and int(self.batch_rows) > 0):
            raise InputError(f"batch-rows: expected 'auto' or a whole number above 0, got {self.batch_rows}.")

    @property
    def few(self) -> int:
        """Samples of a layer on test, of a temperature."""
        return max(1, self.samples // 2)

    @property
    def dev_samples(self) -> int:
        """Samples of a dev cell: few, since more prompts tell more than more texts of each."""
        return max(1, self.samples // 4)

    @property
    def baseline(self) -> int:
        """Samples without steering: many, since every condition is compared with them."""
        return 2 * self.samples


def sides_read(position: str) -> tuple[str, str]:
    """The fields of a pair that a position rule reads."""
    return ("creative_response", "boring_response") if position in ("response", "text") else ("creative", "boring")


def differs(pair: ContrastivePair, position: str) -> bool:
    """Whether there is anything to read: a pair may have the same instructions on both sides, or the same responses."""
    one, other = (getattr(pair, side) for side in sides_read(position))
    return one != other


def position_for(pairs: Sequence[ContrastivePair]) -> str:
    """The position rule that "auto" stands for: "instruction" where all responses are equal, as in a gate's pairs."""
    return "response" if any(differs(pair, "response") for pair in pairs) else "instruction"


PRESETS = {
    "olson2024": Plan(layers="depth 0.25", strengths=(3.0,), strength_unit="raw", position="instruction", cosine=True)
}
