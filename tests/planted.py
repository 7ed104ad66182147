"""Activations with a truth hidden in them, under noise that is not the same anywhere."""

import torch
from torch import Tensor

from creativity_lens.activations import Activations, Source

SOURCE = Source("made", None, "c" * 64, "sha256:" + "w" * 64, "float32", "t" * 64, "p" * 64, 1, "response")
LAYERS = (0, 2, 5)


def planted(
    *, topics: int = 60, per_topic: int = 5, d_model: int = 32, size: float = 4.0, seed: int = 0
) -> tuple[Activations, Tensor]:
    """Activations of three layers, and the delta `[layer, d_model]` of length `size` that was hidden in them.

    Both sides share a large common mean and their pair's content; noise differs by pair, by side and by dimension.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    pairs, layers = topics * per_topic, len(LAYERS)
    delta = size * torch.nn.functional.normalize(normal(layers, d_model), dim=-1)
    shared = 30 * normal(layers, 1, d_model) + 5 * normal(layers, pairs, d_model)
    loud = 0.2 + 1.8 * torch.rand(1, pairs, 1, generator=generator)  # a pair's noise
    wide = 0.2 + 0.8 * torch.rand(layers, 1, d_model, generator=generator)  # a dimension's noise
    creative = shared + delta[:, None] + loud * wide * normal(layers, pairs, d_model)
    boring = shared + 0.5 * loud * wide * normal(layers, pairs, d_model)
    names = tuple(f"topic {index // per_topic}" for index in range(pairs))
    norms = 10 + torch.rand(layers, 2 * pairs, generator=generator)
    return Activations(creative, boring, norms, LAYERS, names, 8, SOURCE), delta


def made(differences: Tensor, topics: list[str]) -> Activations:
    """Activations whose sides differ by `differences [layer, pair, d_model]` and by nothing else."""
    layers, pairs, _ = differences.shape
    norms = torch.ones(layers, 2 * pairs)
    return Activations(
        differences.clone(), torch.zeros_like(differences), norms, tuple(range(layers)), tuple(topics), 8, SOURCE
    )
