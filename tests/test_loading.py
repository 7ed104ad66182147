import logging
import subprocess
import sys
import warnings

import pytest
import torch
import transformers
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from creativity_lens import loading, memory
from creativity_lens.errors import InputError
from creativity_lens.loading import choose_device, choose_dtype, count_devices, quiet_loaders, refuse_too_large
from creativity_lens.memory import free_memory


@pytest.fixture
def gpus(monkeypatch):
    """Pretend that there are so many GPUs."""

    def pretend(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return pretend


def test_devices_by_name(gpus, monkeypatch):
    gpus(0)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    gpus(2)
    assert [str(choose_device(name)) for name in ("auto", "cuda", "cuda:1", "cpu")] == ["cuda", "cuda", "cuda:1", "cpu"]


def test_apple_gpus_are_taken_as_transformer_lens_takes_them(gpus, monkeypatch):
    from transformer_lens.utilities import get_device

    gpus(0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: True)
    for allowed in ("0", "1"):
        monkeypatch.setenv("TRANSFORMERLENS_ALLOW_MPS", allowed)
        assert choose_device("auto").type == get_device() == ("mps" if allowed == "1" else "cpu")
    assert choose_device("mps").type == "mps"


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("gpu", r"expected auto, cpu, cuda, cuda:N or mps, got 'gpu'"),
        ("cudo", r"Did you mean 'cuda'"),
        ("cuda:x", "got 'cuda:x'"),
        ("CPU", "Did you mean 'cpu'"),
        ("cuda:2", "expected a GPU for 'cuda:2', found 2"),
        ("mps", "Apple GPU"),
    ],
)
def test_unknown_devices(gpus, device, said):
    gpus(2)
    with pytest.raises(InputError, match=f"^device: .*{said}"):
        choose_device(device)


def test_no_gpu_for_cuda(gpus):
    gpus(0)
    with pytest.raises(InputError, match="expected a GPU for 'cuda', found none; use device 'cpu'"):
        choose_device("cuda")


def test_number_of_devices(gpus):
    gpus(4)
    assert [count_devices(n, "auto") for n in (None, 1, 3, "2", "auto", 4)] == [1, 1, 3, 2, 4, 4]
    assert count_devices("auto", "cpu") == count_devices("auto", "cuda:1") == count_devices(1, "cpu") == 1
    for devices, device, said in [
        (5, "auto", "expected 5 GPUs, found 4"),
        (2, "cpu", "expected device 'auto' or 'cuda' for 2 GPUs, got device 'cpu'"),
        (0, "auto", "expected a number of GPUs or 'auto', got '0'"),
        (-1, "auto", "got '-1'"),
        (True, "auto", "got 'True'"),
        ("two", "auto", "got 'two'"),
    ]:
        with pytest.raises(InputError, match=said):
            count_devices(devices, device)
    gpus(0)
    assert count_devices("auto", "auto") == 1
    with pytest.raises(InputError, match="expected 2 GPUs, found 0"):
        count_devices(2, "auto")


def test_number_types():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert [choose_dtype("auto", cpu, stored) for stored in ("bfloat16", "float32")] == ["float32", "float32"]
    assert [choose_dtype("auto", gpu, stored) for stored in ("bfloat16", "float16", "float32", "float64")] == [
        "bfloat16", "float16", "float32", "float32",
    ]  # fmt: skip
    assert choose_dtype("float16", cpu, "bfloat16") == "float16"


def test_memory_is_compared_where_it_is_needed(monkeypatch):
    free = {"cpu": 10.0, "cuda": 3.0, "cuda:0": 3.0, "cuda:1": 2.0}
    monkeypatch.setattr(loading, "free_memory", lambda place: None if free[place] is None else int(free[place] * 1e9))
    weights = {"BF16": 2_000_000_000}  # 4.2 GB as stored, 8.4 GB as float32
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    refuse_too_large("m", weights, "float32", cpu)
    refuse_too_large("m", weights, "bfloat16", gpu, gpus=2)
    with pytest.raises(
        InputError, match=r"m: expected 4.2 GB of free memory on cuda to load it as bfloat16, got 3.0 GB"
    ):
        refuse_too_large("m", weights, "bfloat16", gpu)
    with pytest.raises(
        InputError, match=r"8.4 GB of free memory on cuda:0 and cuda:1 .* as float32, got 5.0 GB; use dtype"
    ):
        refuse_too_large("m", weights, "float32", gpu, gpus=2)
    free.update(cpu=8.0, cuda=9.0)
    with pytest.raises(InputError, match=r"on cpu to load it as float32, got 8.0 GB; use dtype 'bfloat16' \(4.2 GB\)"):
        refuse_too_large("m", weights, "float32", cpu)
    with pytest.raises(InputError, match="on cpu"):  # converted there on its way to the GPU
        refuse_too_large("m", weights, "float32", gpu)
    free.update(cpu=1.0)
    refuse_too_large("m", weights, "bfloat16", gpu)  # only mapped from its files
    free.update(cpu=None)
    refuse_too_large("m", weights, "float32", cpu)  # not known: not refused
    free.update(cpu=8.4)
    refuse_too_large("m", weights, "float32", cpu)
    with pytest.raises(InputError):
        refuse_too_large("m", weights, "float32", cpu, fused=1_000_000_000)


def test_free_memory_is_less_than_the_machine_has():
    import psutil

    assert 0 < free_memory() <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("0::/jobs/7", ("memory.max", "memory.current", "inactive_file", "")),
        ("4:memory:/jobs/7", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "memory")),
    ],
)
def test_a_containers_limit_counts(tmp_path, monkeypatch, line, names):
    limit, usage, cache, branch = names
    for folder, most in ((tmp_path / branch, "max"), (tmp_path / branch / "jobs" / "7", "1000")):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in ((limit, most), (usage, "900"), ("memory.stat", f"anon 5\n{cache} 300\n")):
            (folder / name).write_text(text)
    real = memory.Path
    (tmp_path / "cgroup").write_text(f"12:cpu:/\n{line}\n")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(memory, "Path", lambda path: tmp_path / "cgroup" if "self" in path else real(path))
    assert memory._container() == free_memory() == 1000 - 900 + 300
    (tmp_path / branch / "jobs" / "7" / limit).write_text("max")
    assert memory._container() is None
    assert free_memory() == memory._machine()


def test_gpu_memory_counts_what_torch_holds_ready(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 5)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda place: (asked.append(place), (100, 999))[1])
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda place: 50)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda place: 20)
    assert free_memory("cuda") == free_memory("cuda:1") == 130
    assert asked == [5, 1]


def test_loaders_are_silent_and_left_as_they_were(capfd):
    from transformers.utils import logging as loaders

    def state():
        root, logger = logging.getLogger(), logging.getLogger("transformers")
        bars = (loaders.is_progress_bar_enabled(), are_progress_bars_disabled())
        return (logger.level, list(root.handlers), root.manager.disable, list(warnings.filters), bars)

    def noise():
        root = logging.getLogger()
        handlers, root.handlers[:] = list(root.handlers), []
        logging.warning("a first line, which installs a handler")
        root.handlers[:0] = handlers
        logging.getLogger("transformers").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", message="this one")
        warnings.warn("unwanted", stacklevel=1)
        list(loaders.tqdm(range(3), desc="Loading weights"))

    for shown in (True, False):
        (enable_progress_bars if shown else disable_progress_bars)()
        before = state()
        with quiet_loaders():
            noise()
        assert state() == before
        with pytest.raises(KeyError), quiet_loaders():
            raise KeyError
        assert state() == before
    enable_progress_bars()
    assert capfd.readouterr() == ("", "")
    list(loaders.tqdm(range(3), desc="Loading weights"))
    assert "Loading weights" in capfd.readouterr().err  # it would have been seen


def test_weights_that_transformers_would_make_up_are_noted(tmp_path):
    config = transformers.GPT2Config(n_embd=8, n_layer=1, n_head=2, n_positions=8, vocab_size=16)
    with quiet_loaders():
        transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
        loader = loading.NotingLoader(transformers.AutoModelForCausalLM)
        loader.from_pretrained(str(tmp_path))
        assert loader.missing == []  # tied weights are not missing
        config.n_layer = 2
        config.save_pretrained(tmp_path)
        loader.from_pretrained(str(tmp_path))
    assert len(loader.missing) == 12
    assert loader.missing[0].startswith("transformer.h.1.")


@pytest.mark.slow
def test_a_fresh_process_prints_nothing_and_keeps_its_settings():
    """Importing TransformerLens, too, changes nothing that a user sees."""
    code = """
import logging, warnings
import transformers
level, filters = logging.getLogger("transformers").level, list(warnings.filters)
import creativity_lens
model = creativity_lens.load_model("pocket-chat")
model.encode_prompt("Hello"), model.pieces(model.encode_text("Hello there"))
assert logging.getLogger("transformers").level == level
assert [f for f in warnings.filters if "generation flags" in str(f)] == []
assert logging.getLogger().handlers == []
assert transformers.utils.logging.is_progress_bar_enabled()
"""
    done = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
