"""docs/scale.md says what the cost model says, and the benchmarks that measure it run."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("scale_tables", ROOT / "docs" / "scale_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")


def section(page: str, name: str) -> str:
    return re.search(f"<!-- predicted: {name} -->\\n(.*?)\\n<!-- end of {name} -->", page, flags=re.S)[1]


def test_every_predicted_number_is_the_cost_models(page, program):
    tables = program.tables()
    assert sorted(re.findall("<!-- predicted: (.*?) -->", page)) == sorted(tables)
    for name, text in tables.items():
        assert section(page, name) == text, f"python docs/scale_tables.py --write ({name})"
    assert program.filled(page) == page
    assert program.filled(page.replace("| llama-2-7b |", "| 1 |")) == page, "the control: a changed number is seen"


def test_the_line_on_the_page_is_the_one_that_is_printed(page, monkeypatch):
    import torch

    from creativity_lens import memory_needed

    monkeypatch.setattr(memory_needed, "free_memory", lambda place: 76_100_000_000)
    config = {
        "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 11008,
        "num_attention_heads": 32, "vocab_size": 32000,
    }  # fmt: skip
    stored = {"F16": 6_738_415_616}
    line = memory_needed.memory_line(
        memory_needed.Needed("llama-2-7b", stored, "bfloat16", torch.device("cuda"), config=config)
    )
    assert f"\n{line}\n" in page


def test_what_is_not_measured_says_so(page):
    constants = section(page, "constants")
    for line in constants.splitlines()[2:]:
        assert ("data sheet" in line) or ("the same" in line) or ("assumed" in line) or ("measured, below" in line)
    assert page.count("not measured: no GPU was at hand") >= 3
    assert "gpu.py" in page


def run(program: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / program), "--quick"], capture_output=True, text=True, cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_benchmark_on_a_gpu_runs_on_a_tiny_shape_too(tmp_path):
    out = run("gpu.py", tmp_path)
    for said in ("bare body", "activations of all layers", "generate, unsteered", "sweep, sampled", "of the memory"):
        assert said in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_constants_are_measured_and_predictions_compared(tmp_path):
    out = run("scale.py", tmp_path)
    assert "12,288 bytes a cached token (12,288 predicted)" in out
    assert "1,024 bytes a cached token (1,024 predicted)" in out
    for kind in ("written", "read", "scored"):
        assert re.search(rf"{kind} +[\d.]+ s measured, +[\d.]+ s predicted, ratio", out)


@pytest.mark.slow
def test_a_model_written_in_shards_is_read_as_it_was_made(tmp_path, monkeypatch):
    """The benchmark's own files, read by transformers."""
    import torch
    from transformers import AutoModelForCausalLM

    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import gpu

    from creativity_lens.costs import dimensions_of
    from creativity_lens.loading import quiet_loaders

    monkeypatch.setattr(gpu, "SHARD", 200_000)
    gpu.write_model(tmp_path / "m", gpu.SHAPES["tiny"], device=torch.device("cpu"))
    assert len(list((tmp_path / "m").glob("*.safetensors"))) > 2
    with quiet_loaders():
        model, report = AutoModelForCausalLM.from_pretrained(tmp_path / "m", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert sum(p.numel() for p in model.parameters()) == dimensions_of(gpu.SHAPES["tiny"]).parameters
    assert 0.019 < float(model.lm_head.weight.detach().float().std()) < 0.021
