"""Plain transformers, as each of the readers is given it."""

from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel


def load(folder: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def logits(model: torch.nn.Module, ids: np.ndarray) -> np.ndarray:
    """[pos, vocab] of the one row, in one piece, as a prompt goes in."""
    with torch.no_grad():
        return model(input_ids=torch.from_numpy(ids), use_cache=False).logits[0].numpy()
