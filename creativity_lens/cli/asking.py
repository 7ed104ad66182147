"""What commands are asked for, checked before work is spent on it: prompts, output files, directions, model, gate."""

import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class Asked:
    """Everything loaded that a push needs."""

    model: Any  # Model
    chosen: Any  # Chosen
    gate: Any  # Gate | None


def pushes_of(chosen: Any, layer: str | None, strengths: tuple[float, ...] | None, unit: str, mode: str) -> list[Any]:
    """One push per strength; the run's own layer and strength where none is asked for."""
    from creativity_lens.dosing import dose

    layers = [chosen.layer] if layer is None else layer
    if strengths is None:
        return [dose(chosen.directions, layers, chosen.strength, mode=mode)]
    return [dose(chosen.directions, layers, strength, unit=unit, mode=mode) for strength in strengths]


def asked_prompts(prompt: str | None, file: str | None) -> list[Any]:
    """The prompt of the command line, or those of a file, in its order; each known by its line."""
    import warnings
    from pathlib import Path

    from creativity_lens.errors import InputError
    from creativity_lens.files import read_text
    from creativity_lens.prompts import Prompt, read_prompts

    if prompt is not None and file is not None:
        raise InputError("prompt: expected one on the command line or --from-file, got both; leave one away.")
    if file is not None:
        prompts = read_prompts(Path(file))
        blank = sum(not line.strip() for line in read_text(Path(file), "a file of prompts").rstrip().split("\n"))
        if blank:
            warnings.warn(f"{file}: {blank} empty line{'s' * (blank > 1)} passed over.", stacklevel=1)
        return prompts
    if prompt is None:
        raise InputError('prompt: expected a text such as "Write about a lighthouse.", or --from-file, or --chat.')
    if not prompt.strip():
        raise InputError("prompt: expected a text, got an empty one.")
    return [Prompt("prompt", None, prompt)]


def check_out(out: str | None, *, force: bool, option: str = "--out") -> None:
    """Refuse an output file that exists or cannot be written, before work is spent on it."""
    from pathlib import Path

    from creativity_lens.errors import InputError
    from creativity_lens.runs import check_file

    if out is None:
        return
    if Path(out).is_file() and not force:
        raise InputError(f"{option} {out}: exists; choose another name or add --force.")
    check_file(out)


def load_for(chosen: Any, model: str | None, revision: str | None, gate: Any, place: dict[str, Any]) -> Asked:
    """The model that directions and gate belong to; notes on what was assumed go to standard error."""
    from creativity_lens.directions import check_model
    from creativity_lens.models import load_model

    source = chosen.directions.source
    named, commit = (source.model, revision or source.revision) if model is None else (model, revision)
    loaded = load_model(named, revision=commit, **place)
    check_model(chosen.directions, loaded, chosen.name)
    if gate is not None:
        check_model(gate.directions, loaded, gate.name)
    for note in chosen.notes:
        print(f"note: {note}", file=sys.stderr)
    return Asked(loaded, chosen, gate)


def write_rows(out: str, rows: list[dict[str, Any]]) -> None:
    """Write rows as JSONL, whole."""
    import json
    from pathlib import Path

    from creativity_lens.files import plain, write_text

    write_text(Path(out), "".join(json.dumps(plain(row), ensure_ascii=False) + "\n" for row in rows))
