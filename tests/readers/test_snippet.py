"""The snippet pushes a plain transformers model, of whatever version, and runs as a program."""

import importlib.util
import os
import subprocess
import sys

import plain
import pytest


@pytest.mark.parametrize("condition", ["0", "1", "2", "1-2"])
def test_imported_it_gives_our_logits(prepared, condition, findings):
    shown = "the snippet"
    spec = importlib.util.spec_from_file_location("snippet", prepared.file(condition, "snippet.py"))
    snippet = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(snippet)
    model = plain.load(prepared.model)
    with snippet.steered(model, positions="all"):
        findings.logits("transformers", shown, prepared, condition, plain.logits(model, prepared.ids))
    findings.logits("transformers", shown, prepared, "clean", plain.logits(model, prepared.ids))


def test_as_a_program_it_writes_both_texts(prepared):
    command = [sys.executable, "-W", "error", "snippet.py", "A lighthouse", "--max-new-tokens", "8"]
    quiet = {**os.environ, "TRANSFORMERS_VERBOSITY": "error", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=prepared.folder / "1", env=quiet, capture_output=True, text=True, check=True)
    without, pushed = done.stdout.removeprefix("scale 0:\n").split("scale 1:\n")
    assert without.strip()
    assert pushed.strip()
    assert without != pushed
