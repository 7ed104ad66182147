"""What a run says of itself: model, pairs, prompts, versions, machine, options, and its verdict as plain values."""

import importlib.metadata
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from creativity_lens import __version__
from creativity_lens.concept import Concept
from creativity_lens.files import sha256_text
from creativity_lens.models import Model
from creativity_lens.plan import Plan
from creativity_lens.prompts import ContrastivePair, Prompt, fingerprint, load_pairs, load_prompts, split_pairs
from creativity_lens.sides import Sides
from creativity_lens.statistics import Estimate
from creativity_lens.verdict import MORE, NOT_ENOUGH, Verdict

PACKAGES = ("torch", "transformer-lens", "transformers", "numpy", "scipy", "scikit-learn", "pandas", "plotly")


def describe_model(model: Model) -> dict[str, Any]:
    """A model's identity and shape."""
    return {
        "name": model.name, "id": model.id, "revision": model.revision, "config_hash": model.config_hash,
        "weights_hash": model.weights_hash, "template": model.template, "template_hash": model.template_hash,
        "n_layers": model.n_layers, "d_model": model.d_model, "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device), "quantize": model.quantize, "writer": model.identity["writer"],
    }  # fmt: skip


def describe_run(
    model: Model, reader: Model | None, pairs: Sequence[ContrastivePair], dev: Sequence[Prompt], test: Sequence[Prompt],
    plan: Plan, command: str, sides: Sides,
) -> dict[str, Any]:  # fmt: skip
    """run.json as it stands before anything has run."""
    train, held, judged = split_pairs(pairs, seed=plan.seed)
    return {
        "format": 1,
        "status": "running",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": command,
        "concept": sides.concept,
        "sides": [sides.creative, sides.boring],
        "versions": {"creativity-lens": __version__, **{name: importlib.metadata.version(name) for name in PACKAGES}},
        "machine": {
            "platform": platform.platform(), "processor": platform.machine(), "python": platform.python_version(),
            "threads": model.engine.threads, "device": str(model.device),
        },
        "model": describe_model(model),
        "reader": describe_model(reader) if reader is not None else None,
        "pairs": {
            "file": _origin(fingerprint(pairs) == fingerprint(load_pairs())), "sha256": fingerprint(pairs),
            "n": len(pairs), "topics": len({pair.topic for pair in pairs}),
            "splits": {"train": len(train), "dev": len(held), "test": len(judged)},
        },
        "prompts": {
            "file": _origin(_texts_hash(dev, test) == _texts_hash(*load_prompts())), "sha256": _texts_hash(dev, test),
            "dev": len(dev), "test": len(test),
        },
        "options": asdict(plan),
        "seed": plan.seed,
        "rows": {},
        "timings": {},
        "warnings": [],
        "batches_halved": [],
        "prompts_text": {prompt.id: prompt.text for prompt in [*dev, *test]},
    }  # fmt: skip


def _origin(shipped: bool) -> str:
    """Where rows come from; a user's own file is named in the command, or was never one."""
    return "built in" if shipped else "given"


def _texts_hash(dev: Sequence[Prompt], test: Sequence[Prompt]) -> str:
    return sha256_text(*(prompt.text for prompt in [*dev, *test]))


def verdict_dict(verdict: Verdict | None, concept: Concept, plan: Plan) -> dict[str, Any]:
    """A verdict as plain values; without one, why none was reached."""
    if verdict is None:
        if plan.screen_only:
            why = "only screening was asked for, which claims nothing"
        elif concept.choosable or concept.scorer is None:
            why = "no direction that was fitted on one half of the topics separates the dev pairs"
        else:
            why = "at no layer that may be chosen does the direction separate held-out pairs"
        more = MORE.get(concept.name, f"more {concept.name}")
        sentence = f"Not enough evidence that pushing along the direction makes texts {more}: {why}."
        return {"outcome": NOT_ENOUGH, "sentence": sentence, "parts": [], "smallest_detectable_gain": None}
    return {
        "outcome": verdict.outcome,
        "sentence": verdict.sentence,
        "smallest_detectable_gain": verdict.smallest_detectable_gain,
        "parts": [
            {
                "key": part.key, "question": part.question, **_plain(part.estimate), "needed": part.needed,
                "passed": part.passed,
            }
            for part in verdict.parts
        ],
    }  # fmt: skip


def _plain(estimate: Estimate) -> dict[str, Any]:
    return {
        "estimate": float(estimate.value), "low": float(estimate.low), "high": float(estimate.high), "n": estimate.n,
        "unit": estimate.unit,
    }  # fmt: skip
