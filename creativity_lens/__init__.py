"""creativity-lens: find where a language model keeps "creative rather than boring".

Axis words, the same everywhere: `pair layer d_model batch pos row text prompt`. Layer l is the residual stream after
block l, counted from 0. Strength is a fraction of the median residual norm. Public names load on first use, so that
`import creativity_lens` stays fast.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "load_model": "models",
    "Model": "models",
    "load_pairs": "prompts",
    "load_prompts": "prompts",
    "load_control": "prompts",
    "load_shipped": "prompts",
    "split_pairs": "prompts",
    "halve_topics": "prompts",
    "lint_pairs": "lint",
    "Sides": "sides",
    "ContrastivePair": "prompts",
    "collect_activations": "activations",
    "Activations": "activations",
    "mean_difference": "directions",
    "first_component": "directions",
    "Directions": "directions",
    "generate": "generation",
    "Steering": "steering",
    "dose": "dosing",
    "load_chosen": "dosing",
    "find_directions": "finding",
    "Gate": "gating",
    "gate_of": "gating",
    "load_gate": "gating",
    "side_by_side": "comparing",
    "Sampling": "comparing",
    "score_texts": "text_scores",
    "fit_yardstick": "yardstick",
    "Yardstick": "yardstick",
    "colored_tokens": "colored",
    "Ratings": "ratings",
    "load_ratings": "ratings",
    "read_columns": "ratings",
    "make_packet": "packets",
    "collect_answers": "packets",
    "validate_ratings": "validation",
    "Validation": "validation",
    "load_embedder": "embeddings",
    "Embedder": "embeddings",
    "measure_diversity": "diversity",
    "compare_diversity": "diversity",
    "Diversity": "diversity",
    "audit_models": "audit",
    "Audit": "audit",
    "AuditPlan": "audit",
    "Mixing": "sampling",
    "write_mixtures": "decoding",
    "Decode": "decoding",
    "Mixtures": "decoding",
    "sweep_gamma": "decoding",
    "GammaSweep": "decoding",
    "measure_monoculture": "monoculture",
    "Monoculture": "monoculture",
    "association_task": "association",
    "Associations": "association",
    "write_audit_report": "reports",
    "sweep_layers": "sweep",
    "ray_model": "cluster",
    "Plan": "plan",
    "Sweep": "result",
    "write_report": "reports",
    "export": "exports",
    "check_file": "exports.check",
    "read_foreign": "exports.importing",
    "import_direction": "exports.importing",
    "InputError": "errors",
}

__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'creativity_lens' has no attribute '{name}'")
    return getattr(importlib.import_module(f"creativity_lens.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
