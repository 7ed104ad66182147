"""What a sweep costs: memory and arithmetic of a model by its config, a machine's time for them, a sweep's stages.

Pure functions of frozen values; nothing is read, loaded or measured here. docs/scale.md says what the model leaves out.
"""

from creativity_lens.costs.dimensions import (
    Dimensions,
    dimensions_of,
    flops_per_token,
    row_bytes,
    rows_that_fit,
    token_bytes,
    weight_bytes,
)
from creativity_lens.costs.machines import H200, Machine, decode_seconds, devices_needed, pass_seconds
from creativity_lens.costs.sweeps import Prediction, Reading, Stage, predict, sweep_stages

__all__ = [
    "H200",
    "Dimensions",
    "Machine",
    "Prediction",
    "Reading",
    "Stage",
    "decode_seconds",
    "devices_needed",
    "dimensions_of",
    "flops_per_token",
    "pass_seconds",
    "predict",
    "row_bytes",
    "rows_that_fit",
    "sweep_stages",
    "token_bytes",
    "weight_bytes",
]
