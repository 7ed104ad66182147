"""Two runs side by side: inputs that differ, files that are equal, verdicts, texts, and the numbers that moved."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from creativity_lens.errors import InputError, check_choice
from creativity_lens.inputs import differences
from creativity_lens.run_checks import LoadedRun, load_run
from creativity_lens.run_differences import (
    AUDIT_KEY,
    AUDIT_TEXT,
    SWEEP_KEY,
    SWEEP_TEXT,
    Moved,
    equal_texts,
    moved_rows,
    paired_errors,
    texts_by_prompt,
    verdicts,
)
from creativity_lens.run_listing import AUDIT, FINISHED, SWEEP

_BESIDE = (("batch_plan", "cache_bytes"), ("machine", "processor"), ("machine", "platform"))
_KEYS = {SWEEP: (SWEEP_KEY, SWEEP_TEXT), AUDIT: (AUDIT_KEY, AUDIT_TEXT)}


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Where two runs differ. Without tables to compare, `moved` is None and `why` says what is missing."""

    kind: str
    inputs: list[tuple[str, Any, Any]]  # name, value in A, value in B
    beside: list[tuple[str, Any, Any]]  # the same, of what is no input and moves the last bits of a number at most
    identical: list[str]  # files of the same bytes in both
    verdicts: list[dict[str, Any]]  # see `run_differences.verdicts`
    texts: pd.DataFrame  # see `run_differences.equal_texts`
    moved: Moved | None
    why: str
    wrote: bool = False  # whether both runs hold texts

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that say where a number belongs."""
        return _KEYS[self.kind][0] if self.kind in _KEYS else ()


def compare_runs(a: str | Path, b: str | Path, *, measure: str | None = None) -> RunComparison:
    """Compare two sweeps, or two audits, in folders or on object storage; `measure` keeps the rows of one measure.

    A run that was broken off, or goes on, has its inputs compared alone. Raises `InputError` for runs of two kinds, a
    damaged one, and a measure that neither has.

    >>> compare_runs("runs/before", "runs/after").moved.rows.head()        # doctest: +SKIP
    """
    one, two = load_run(a), load_run(b)
    if one.kind != two.kind:
        raise InputError(
            f"{a}, {b}: expected two runs of one kind, got {_named(one.kind)} and {_named(two.kind)}; choose two "
            "sweeps or two audits."
        )
    inputs, beside = differences(one.run, two.run), _beside(one.run, two.run)
    why = next((f"{run.place}: {_state(run)}" for run in (one, two) if run.status != FINISHED), "")
    if not why and one.kind not in _KEYS:
        why = "of runs of this kind, inputs alone are compared"
    if why:
        empty = equal_texts(pd.DataFrame(), pd.DataFrame(), ({}, {}))
        return RunComparison(one.kind, inputs, beside, [], verdicts(one.run, two.run), empty, None, why)
    identical = [name for name, sha in one.hashes.items() if two.hashes.get(name) == sha]
    key, text_key = _KEYS[one.kind]
    texts = equal_texts(one.texts, two.texts, (_prompts(one), _prompts(two)), key=text_key)
    wrote = len(one.texts) > 0 and len(two.texts) > 0
    tables = [run.table for run in (one, two)]
    if measure is not None:
        check_choice("--measure", measure, sorted({str(name) for table in tables for name in table["measure"]}))
        tables = [table[table["measure"] == measure] for table in tables]
    by_prompt = None
    if one.kind == SWEEP:
        by_prompt = paired_errors(*(_by_prompt(run) for run in (one, two)))
    moved = moved_rows(*tables, key=key, by_prompt=by_prompt)
    return RunComparison(one.kind, inputs, beside, identical, verdicts(one.run, two.run), texts, moved, "", wrote)


def _beside(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """How rows were put into batches, and which processor added up their numbers."""
    found: list[tuple[str, Any, Any]] = []
    for part, name in _BESIDE:
        one, other = (run[part].get(name) if isinstance(run.get(part), Mapping) else None for run in (a, b))
        found.append((f"{part}.{name}", one, other))
    less, more = (len(run["batches_halved"]) if isinstance(run.get("batches_halved"), list) else 0 for run in (a, b))
    return [each for each in [*found, ("batches cut for memory", less, more)] if each[1] != each[2]]


def _by_prompt(run: LoadedRun) -> pd.DataFrame:
    return texts_by_prompt(run.texts, _prompts(run), str(run.run.get("concept", "creativity")))


def _prompts(run: LoadedRun) -> dict[str, str]:
    said = run.run.get("prompts_text")
    return {str(name): str(text) for name, text in said.items()} if isinstance(said, dict) else {}


def _named(kind: str) -> str:
    return {"audit": "an audit", "sweep": "a sweep", "": "one of no known kind"}.get(kind, f"one of kind '{kind}'")


def _state(run: LoadedRun) -> str:
    return f"{'is being written now' if run.status == 'running' else 'was broken off'}, so inputs alone are compared"
