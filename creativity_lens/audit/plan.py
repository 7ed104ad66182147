"""What an audit writes and measures: every number is an option, and all of them are stored with the run."""

import math
from dataclasses import dataclass

from creativity_lens.errors import InputError


@dataclass(frozen=True)
class AuditPlan:
    """Sizes of an audit. The defaults take the built-in models about two minutes on two cores."""

    samples: int = 10  # texts per prompt and condition
    max_new_tokens: int = 48  # of every text: ends are not drawn, so that all are equally long
    temperature: float = 1.0
    forced_samples: int = 2  # texts per prompt and cell that every cell reads
    temperatures: tuple[float, ...] = (0.7, 1.3, 1.6)  # the last stage's ladder, what a cheap knob reaches
    ladder_samples: int = 4
    beginnings: tuple[int, ...] = (5, 10, 20)  # tokens that are forced on both models
    attractor_prompts: int = 32
    attractor_samples: int = 6
    persona_samples: int = 8  # per persona prompt; 0: none
    persona_tokens: int = 96
    seed: int = 0

    def check(self) -> None:
        """Refuse sizes that nothing can be measured with, in one line."""
        least = {
            "samples": 2, "max_new_tokens": 2, "forced_samples": 1, "ladder_samples": 2, "attractor_prompts": 0,
            "attractor_samples": 2, "persona_samples": 0, "persona_tokens": 1,
        }  # fmt: skip
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise InputError(f"{name}: expected {smallest} or more, got {getattr(self, name)}.")
        for value in (self.temperature, *self.temperatures):
            if not 0 < value < math.inf:
                raise InputError(f"temperature: expected a positive number, got {value}; diversity needs sampling.")
        if self.forced_samples > self.samples:
            raise InputError(f"forced_samples: expected at most the {self.samples} samples, got {self.forced_samples}.")
        for k in self.beginnings:
            if not 1 <= k <= self.max_new_tokens - 2:
                raise InputError(
                    f"beginnings: expected 1 to {self.max_new_tokens - 2} tokens, so that something follows in texts "
                    f"of {self.max_new_tokens}, got {k}."
                )
