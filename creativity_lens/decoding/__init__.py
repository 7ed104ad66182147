"""Conformative decoding: an aligned model and its base mixed, token by token, and what that buys (arXiv 2507.20956)."""

from creativity_lens.decoding.baselines import BASELINES
from creativity_lens.decoding.knee import Knee, find_knee
from creativity_lens.decoding.sweeping import GAMMAS, GammaSweep, sweep_gamma
from creativity_lens.decoding.writing import Decode, Mixtures, write_mixtures

__all__ = [
    "BASELINES",
    "GAMMAS",
    "Decode",
    "GammaSweep",
    "Knee",
    "Mixtures",
    "find_knee",
    "sweep_gamma",
    "write_mixtures",
]
