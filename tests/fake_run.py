"""A run's folder with made-up texts of the test stage: enough for what draws texts from a run."""

from pathlib import Path

import numpy as np
import pandas as pd

from creativity_lens.tables import table_frame, write_run

NAMES = {"unsteered": "plain", "chosen": "pushed", "prompted": "asked", "layer": "other", "flip": "control"}


def fake_run(
    folder: Path, *, prompts: int = 10, seeds: int = 2, conditions: tuple[str, ...] = tuple(NAMES), stage: str = "test"
) -> Path:
    """Texts "pushed 3 of prompt-01" by condition, seed and prompt; the baseline has twice as many seeds."""
    rows = [
        {
            "concept": concept, "stage": stage, "condition": condition, "layer": 2, "strength": 0.1,
            "prompt_id": f"prompt-{p:02d}", "seed": s, "text": f"{NAMES[condition]} {s} of prompt-{p:02d}",
            "token_ids": [1, 2], "score": 0.5, "tokens": None, "token_scores": None,
        }
        for concept in ("creativity", "register")
        for condition in conditions
        for p in range(prompts)
        for s in range(seeds * (2 if condition == "unsteered" else 1))
        if concept == "creativity" or condition == "chosen"
    ]  # fmt: skip
    texts = pd.DataFrame([{"text_id": f"{stage}-{n:05d}", **row} for n, row in enumerate(rows)])
    scores = pd.DataFrame({"text_id": ["a"], "measure": ["score"], "value": [np.nan], "unit": ["gaps"], "note": ["x"]})
    named = {f"prompt-{p:02d}": f"Write about thing {p}." for p in range(prompts)}
    run = {
        "status": "finished", "layers": [2], "verdict": {}, "model": {}, "prompts": {}, "warnings": [],
        "concept": "creativity", "prompts_text": named,
    }  # fmt: skip
    folder.mkdir(parents=True)
    write_run(folder, table_frame([]), texts, scores, run)
    return folder
