"""Where a sweep runs is asked for on the command line; what cannot be is refused before a model loads."""

from pathlib import Path

import pytest
import torch
from commands import refused

from creativity_lens.cli.engines import Place, loader


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "0", "--engine", "ray"], "workers: expected 1 or more, got 0"),
        (["--workers", "2"], "--workers: expected --engine ray with it, got --engine local"),
        (["--address", "10.0.0.1:6379"], "--address: expected --engine ray with it"),
        (["--gpus-per-worker", "2"], "--gpus-per-worker: expected --engine ray with it"),
        (["--threads", "0"], "--threads: expected 1 or more, got 0"),
        (["--engine", "rya"], "Did you mean 'ray'?"),
        (["--backend", "vlm"], "Did you mean 'vllm'?"),
        (["--engine", "ray", "--devices", "2"], "--devices: expected --gpus-per-worker with --engine ray"),
        (["--engine", "ray", "--backend", "vllm"], "--backend vllm: expected --engine local, got ray"),
        (["--quantize", "4bit", "--device", "cpu"], "quantize '4bit': expected a GPU, got device 'cpu'"),
        (["--quantize", "3bit", "--device", "cpu"], "Did you mean '4bit'?"),
        (["--out", "s4://bucket/run"], "unknown scheme 's4'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_and_leaves_nothing(here, capsys, options, said):
    assert said in refused(capsys, "sweep", *options)
    assert list(here.iterdir()) == []


def test_threads_are_set_for_the_command_and_put_back():
    before = torch.get_num_threads()
    with loader(Place(threads=before + 1)) as load:
        assert torch.get_num_threads() == before + 1
        assert load("pocket-base").engine.threads == before + 1
    assert torch.get_num_threads() == before
