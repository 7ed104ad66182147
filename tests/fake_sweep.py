"""A made-up sweep in the schema of the real one, with numbers shaped like real ones and texts written by an enemy."""

import re
from typing import Any

import numpy as np
import pandas as pd

HOSTILE = [
    "<script>window.hacked=1</script>",
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "<!-- <script> ]]> \" ' ` & &lt; %{x} ${window.hacked=1} {{ 7 * 7 }} {% raw %}",
    "line\u2028separator\u2029end\x00\x07",
    "\u0634\u0639\u0631 \u202e\u05e9\u05dc\u05d5\u05dd",
    "caf\u00e9 \u6f22\u5b57 \U0001f9ff e\u0301",
]
WORDS = re.findall(
    r"\w+", "a the old lamp keeper wrote on fog with salt and counted every door until rain came back slow"
)
STRENGTHS = (0.05, 0.1, 0.2, 0.35)
NUISANCES = ("length", "sentiment", "register", "formality")
DOMAINS = ("fiction", "poetry", "advice", "product <b>copy</b>")
COLUMNS = re.findall(
    r"\w+",
    "concept stage condition layer strength method temperature control group measure unit estimate low high n note",
)


def fake_sweep(
    *, seed: int = 0, layers: int = 8, prompts: int = 32
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """`(table, texts, run)` of a run with one layer that works, at mid-depth; the same seed gives the same sweep."""
    rng = np.random.default_rng(seed)
    best = (layers - 1) // 2
    rows = _rows("creativity", rng, layers, prompts, best, full=True)
    rows += _rows("register", rng, layers, prompts, best, full=False)
    table = pd.DataFrame(rows).reindex(columns=COLUMNS).astype({"layer": "Int64", "control": "Int64"})
    names = {
        f"prompt-{number:02d}": f"Write a few lines about the {WORDS[number % len(WORDS)]}."
        for number in range(prompts)
    }
    for name, text in zip(names, HOSTILE, strict=False):
        names[name] = f"Write about {text}"
    return table, _texts(rng, layers, list(names), best), _run(layers, prompts, best, names)


def _gain(layer: int, strength: float, layers: int, best: int) -> float:
    return 0.9 * np.exp(-(((layer - best) / (0.28 * layers)) ** 2)) * (1 - np.exp(-strength / 0.12))


def _keeps(layer: int, strength: float, layers: int) -> float:
    return float(np.exp(-((strength * (1.9 - layer / layers)) ** 2) * 2.5))


def _rows(concept: str, rng: np.random.Generator, layers: int, prompts: int, best: int, *, full: bool) -> list[dict]:
    rows: list[dict] = []

    def add(
        stage: str, condition: str, measure: str, unit: str, estimate: float, wide: float = np.nan, **where: Any
    ) -> None:
        where = {"n": 24 if stage == "readout" else 16 if stage == "dev" else prompts} | where
        rows.append(
            {"concept": concept, "stage": stage, "condition": condition, "measure": measure, "unit": unit}
            | {"estimate": estimate, "low": estimate - wide, "high": estimate + wide}
            | where
        )

    def cell(stage: str, condition: str, gain: float, keeps: float, wide: float, **where: Any) -> None:
        faithful = float(np.clip(0.95 - 0.5 * (1 - keeps), 0, 1))
        quality = 0.0 if gain <= 0 else 3 / (1 / min(gain, 1) + 1 / keeps + 1 / faithful)
        add(stage, condition, "gain", "gaps", gain, wide, **where)
        add(stage, condition, "coherence", "share", keeps, 0.04, **where)
        add(stage, condition, "faithfulness", "share", faithful, 0.07, **where)
        add(stage, condition, "leak", "gaps", 0.3 * gain + 0.05, 0.06, **where)
        if stage == "dev":
            add(stage, condition, "quality", "share", quality, 0.08, **where)

    norms = 3.0 * 8 ** (np.arange(layers) / layers)
    for layer in range(layers):
        auc = 0.62 + 0.3 * np.exp(-(((layer - best) / (0.5 * layers)) ** 2))
        for method, less in (("mean_difference", 0.0), ("first_component", 0.06)):
            add("readout", "direction", "auc", "share", auc - less, 0.05, layer=layer, method=method)
            add("readout", "direction", "paired_accuracy", "share", auc - less + 0.02, 0.06, layer=layer, method=method)
        add("readout", "direction", "stability", "cosine", 0.5 + 0.4 * layer / layers, 0.05, layer=layer)
        add("readout", "direction", "method_cosine", "cosine", 0.7 + 0.2 * layer / layers, layer=layer)
        add("readout", "direction", "residual_norm", "residual units", norms[layer], layer=layer)
        add("readout", "direction", "gap", "residual units", 0.18 * norms[layer] * (auc - 0.4), layer=layer)
        add("readout", "direction", "dev_margin", "gaps", 2 * auc - 1.2, 0.12, layer=layer)
        add("readout", "shuffled", "auc", "share", 0.5 + 0.02 * rng.normal(), 0.07, layer=layer)
        if full:
            for domain in DOMAINS:
                add(
                    "readout",
                    "left_out_domain",
                    "auc",
                    "share",
                    auc - abs(0.08 * rng.normal()),
                    0.1,
                    layer=layer,
                    group=domain,
                    n=6,
                )
            add("readout", "transfer", "auc", "share", auc - 0.1, 0.08, layer=layer, group="manner to response")
            for place, nuisance in enumerate(NUISANCES):
                cosine = (0.1, -0.2, 0.35, 0.05)[place] + 0.03 * rng.normal()
                add("readout", "nuisance", "cosine", "cosine", cosine, 0.06, layer=layer, group=nuisance)
        for strength in STRENGTHS:
            push = (strength * 3) ** 2 * (1.7 - layer / layers)
            where = {"layer": layer, "strength": strength}
            add(
                "screen",
                "steered",
                "log_ratio_change",
                "nats/token",
                0.1 * _gain(layer, strength, layers, best),
                0.01,
                **where,
            )
            add("screen", "steered", "kl", "nats/token", push, **where)
            where["method"] = "mean_difference"
            gain = _gain(layer, strength, layers, best) + 0.04 * rng.normal()
            cell("dev", "steered", gain, _keeps(layer, strength, layers), 0.15, **where)
            add("dev", "steered", "kl", "nats/token", push, **where)
        at = {"layer": layer, "strength": _strength(layer, layers), "method": "mean_difference"}
        gain = _gain(layer, at["strength"], layers, best)
        cell("test", "layer", gain, _keeps(layer, at["strength"], layers), 0.11, **at)
        add("test", "layer", "kl", "nats/token", (at["strength"] * 3) ** 2 * (1.7 - layer / layers), **at)
        for control in range(19 if full else 0):
            add("test", "band", "gain", "gaps", 0.13 * rng.normal(), **at, control=control, n=16)
    for name in ("auc", "paired_accuracy"):
        add("readout", "token_embeddings", name, "share", 0.66, 0.07, layer=-1)
        add("readout", "tfidf", name, "share", 0.61, 0.07)

    at = {"layer": best, "strength": _strength(best, layers), "method": "mean_difference"}
    gain, keeps = _gain(best, at["strength"], layers, best), _keeps(best, at["strength"], layers)
    cell("test", "chosen", gain, keeps, 0.09, **at)
    for control in range(39):
        add("test", "flip", "gain", "gaps", 0.14 * rng.normal(), **at, control=control)
    if full:
        cell("test", "negated", -0.6 * gain, keeps - 0.02, 0.1, **at)
        cell("test", "isotropic", 0.03, keeps + 0.05, 0.05, **at)
        cell("test", "prompted", 0.22, 0.97, 0.08)
        add("test", "second_reader", "gain", "gaps", 0.7 * gain, 0.1, **at)
        for place, nuisance in enumerate(NUISANCES):
            left = gain * (0.95, 0.9, 0.6, 0.97)[place]
            add("test", "nuisance_removed", "gain_left", "gaps", left, 0.1, layer=best, group=nuisance)
        for temperature in (0.7, 0.9, 1.1, 1.3, 1.5):
            add("test", "temperature", "gain", "gaps", 0.35 * (temperature - 1), 0.08, temperature=temperature)
            kept = min(1.0, float(np.exp(1.4 * (1 - temperature))))
            add("test", "temperature", "coherence", "share", kept, 0.04, temperature=temperature)
    return rows


def _strength(layer: int, layers: int) -> float:
    return STRENGTHS[1] if layer < layers // 3 else STRENGTHS[2]


def _texts(rng: np.random.Generator, layers: int, prompts: list[str], best: int) -> pd.DataFrame:
    cells: list[dict[str, Any]] = [{"condition": "unsteered"}, {"condition": "prompted"}]
    cells += [{"condition": name, "layer": best, "strength": _strength(best, layers)} for name in ("chosen", "negated")]
    cells += [{"condition": "layer", "layer": layer, "strength": _strength(layer, layers)} for layer in range(layers)]
    rows = []
    for place, prompt in enumerate(prompts):
        for cell in cells:
            for seed in (0, 1):
                words = list(rng.choice(WORDS, size=40))
                words[7] = HOSTILE[place % len(HOSTILE)]
                words[20] = "\n\nThen" if place % 3 == 0 else "then"
                text = " ".join(words).capitalize() + "."
                tokens = re.findall(r"\s*(?:\w+|[^\w\s]+)|\s+", text)
                scores = rng.normal(0.4 if cell["condition"] in ("layer", "chosen") else 0.0, 0.8, len(tokens))
                rows.append(
                    {"text_id": f"t{len(rows)}", "concept": "creativity", "stage": "test", "method": "mean_difference"}
                    | {"prompt_id": prompt, "seed": seed, "text": text, "token_ids": list(range(len(tokens)))}
                    | {"tokens": tokens, "token_scores": scores.tolist(), "score": float(scores.mean())}
                    | {"surprisal": float(3 + rng.random()), "hooked_score": float(scores.mean() + 0.2)}
                    | cell
                    | ({"concept": ""} if cell["condition"] == "unsteered" else {})
                )
    return pd.DataFrame(rows).astype({"layer": "Int64"})


def _run(layers: int, prompts: int, best: int, names: dict[str, str]) -> dict[str, Any]:
    gain = _gain(best, _strength(best, layers), layers, best)
    parts = [
        {"key": "gain", "question": "Is the gain above 0 on test prompts?", "estimate": gain, "low": gain - 0.09}
        | {"high": gain + 0.09, "n": prompts, "unit": "gaps", "needed": "lower end above 0", "passed": True},
        {"key": "controls", "question": "Is it above what flipped labels give?", "estimate": 0.025, "low": None}
        | {"high": None, "n": 39, "unit": "rank p", "needed": "p at most 0.05", "passed": True},
        {"key": "coherence", "question": "Is coherence kept?", "estimate": 0.86, "low": 0.78, "high": 0.94}
        | {"n": prompts, "unit": "share", "needed": "lower end at least 0.8", "passed": False},
        {"key": "readout", "question": "Does the scoring direction read test pairs?", "estimate": None, "low": None}
        | {"high": None, "n": 6, "unit": "share", "needed": "lower end above 0.5", "passed": None},
    ]
    choice = {"readout_layer": best, "layer": best, "strength": _strength(best, layers), "method": "mean_difference"}
    choice |= {"raw_dose": 1.62, "gap_dose": 2.4, "made_at": "2025-01-01T12:00:30+00:00"}
    choice["per_layer_strength"] = {str(layer): _strength(layer, layers) for layer in range(layers)}
    return {
        "format": 1,
        "name": f"first {HOSTILE[0]}",
        "created": "2025-01-01T12:00:00+00:00",
        "command": f"clens sweep --model pocket-chat --pairs '{HOSTILE[1]}.jsonl'",
        "versions": {"creativity-lens": "0.1.0", "torch": "2.13.0", "transformer-lens": "4.3.0"},
        "machine": {"platform": "Linux", "processor": "x86_64", "threads": 2, "device": "cpu"},
        "model": {"name": "pocket-chat", "id": "data/pocket/chat", "revision": None, "config_hash": "c" * 64}
        | {"weights_hash": "a" * 64, "template": "auto", "template_hash": "b" * 64, "n_layers": layers, "d_model": 192}
        | {"dtype": "bfloat16", "device": "cpu"},
        "reader": None,
        "pairs": {"file": f"{HOSTILE[2]}.jsonl", "sha256": "d" * 64, "n": 72, "topics": 24}
        | {"splits": {"train": 48, "dev": 12, "test": 12}},
        "prompts": {"file": "prompts.jsonl", "sha256": "e" * 64, "dev": 16, "test": prompts},
        "options": {"samples": 4, "max_new_tokens": 48, "strengths": list(STRENGTHS), "position": "response"},
        "seed": 0,
        "layers": list(range(layers)),
        "drawn_only": list(range(int(np.ceil(0.8 * layers)), layers)),
        "norms": (3.0 * 8 ** (np.arange(layers) / layers)).tolist(),
        "choice": choice,
        "layer_set": {
            "confidence_set": [layer for layer in (best, best + 1) if layer < layers],
            "selection_share": {str(best): 0.71, str(best + 1): 0.29} if layers > 1 else {str(best): 1.0},
        },
        "verdict": {
            "outcome": "not enough evidence",
            "sentence": f"Not enough evidence that layer {best} makes text more creative: coherence is not kept.",
            "parts": parts,
            "smallest_detectable_gain": 0.14,
            "beside": [
                {"label": "against temperature", "text": "better at equal coherence (0.31 gaps, 0.20 to 0.42)"},
                {"label": "against a prompt", "text": "not distinguishable"},
            ],
        },
        "positive_control": {
            "concept": "register",
            "outcome": "steers",
            "sentence": f"Layer {best} makes text more imaginative in register, so the assay finds what is there.",
            "choice": dict(choice),
            "parts": [dict(part, passed=True, estimate=part["estimate"] or 0.9) for part in parts],
        },
        "rows": {"dev": 1024, "test": 5376},
        "timings": {"pairs": 0.2, "activations": 4.1, "dev": 21.0, "test": 64.5, "scoring": 9.25},
        "warnings": ["strength 0.05 is below 5 % of the residual norm <at layer 0>"],
        "prompts_text": names,
    }
