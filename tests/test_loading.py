import logging
import subprocess
import sys
import warnings

import pytest
import torch
import transformers
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from creativity_lens import loading, memory, memory_needed
from creativity_lens.errors import InputError
from creativity_lens.loading import choose_device, choose_dtype, count_devices, quiet_loaders
from creativity_lens.memory import free_memory
from creativity_lens.memory_needed import Needed, memory_line, refuse_too_large, say_memory


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
    monkeypatch.setattr(
        memory_needed, "free_memory", lambda place: None if free[place] is None else int(free[place] * 1e9)
    )
    weights = {"BF16": 2_000_000_000}  # 4.2 GB as stored, 8.4 GB as float32
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    refuse_too_large(Needed("m", weights, "float32", cpu))
    refuse_too_large(Needed("m", weights, "bfloat16", gpu, gpus=2))
    with pytest.raises(
        InputError, match=r"m: expected 4.2 GB of free memory on cuda to load it as bfloat16, got 3.0 GB"
    ):
        refuse_too_large(Needed("m", weights, "bfloat16", gpu))
    with pytest.raises(
        InputError, match=r"8.4 GB of free memory on cuda:0 and cuda:1 .* as float32, got 5.0 GB; use dtype"
    ):
        refuse_too_large(Needed("m", weights, "float32", gpu, gpus=2))
    free.update(cpu=8.0, cuda=9.0)
    with pytest.raises(InputError, match=r"on cpu to load it as float32, got 8.0 GB; use dtype 'bfloat16' \(4.2 GB\)"):
        refuse_too_large(Needed("m", weights, "float32", cpu))
    with pytest.raises(InputError, match="on cpu"):  # converted there on its way to the GPU
        refuse_too_large(Needed("m", weights, "float32", gpu))
    free.update(cpu=1.0)
    refuse_too_large(Needed("m", weights, "bfloat16", gpu))  # only mapped from its files
    free.update(cpu=None)
    refuse_too_large(Needed("m", weights, "float32", cpu))  # not known: not refused
    free.update(cpu=8.4)
    refuse_too_large(Needed("m", weights, "float32", cpu))
    with pytest.raises(InputError):
        refuse_too_large(Needed("m", weights, "float32", cpu, fused=1_000_000_000))


LLAMA_2_7B = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000,
}  # fmt: skip
LLAMA_3_70B = {
    "model_type": "llama", "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80,
    "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 128256,
}  # fmt: skip
GPU = torch.device("cuda")


def test_what_a_model_takes_is_said_in_one_line(monkeypatch):
    free = {"cuda:0": 139_000_000_000, "cuda:1": 140_000_000_000}
    monkeypatch.setattr(memory_needed, "free_memory", lambda place: free.get(place, 76_100_000_000))
    stored = {"F16": 6_738_415_616}
    # a row: 128 x 524,288 bytes of cache, 32,000 logits of 4 bytes four times, 32 x 4,096 x 2 of work space;
    # (76.1e9 - 13,476,831,232) / 2 / 67,883,008 = 461
    assert memory_line(Needed("llama-2-7b", stored, "bfloat16", GPU, config=LLAMA_2_7B)) == (
        "llama-2-7b in bfloat16 on cuda: 13.5 GB of weights and 0.5 MB per cached token; 76.1 GB are free, room for "
        "batches of 461 rows of 128 tokens"
    )
    assert memory_line(Needed("m", stored, "bfloat16", GPU, config=LLAMA_2_7B, quantize="4bit")).startswith(
        "m in 4bit and bfloat16 on cuda: 3.9 GB of weights and 0.5 MB per cached token; 76.1 GB are free, room for "
    )
    large = memory_line(Needed("llama-3-70b", {"BF16": 70_553_706_496}, "bfloat16", GPU, config=LLAMA_3_70B, gpus=2))
    assert large.startswith(
        "llama-3-70b in bfloat16 on cuda:0 and cuda:1: 141.1 GB of weights and 0.3 MB per cached token; 279.0 GB are"
    )
    # of the first GPU, (139e9 - 70,553,706,496) / 2 / (128 x 327,680 + 16 x 128,256 + 64 x 8,192 bytes)
    assert large.endswith("room for batches of 768 rows of 128 tokens")
    small = memory_line(Needed("m", stored, "float32", torch.device("cpu"), config=LLAMA_2_7B))
    assert small == (  # 3 << 28 bytes of caches at most on a CPU
        "m in float32 on cpu: 27.0 GB of weights and 1.0 MB per cached token; 76.1 GB are free, room for batches of 5 "
        "rows of 128 tokens"
    )


def test_what_is_not_known_is_not_said(monkeypatch):
    monkeypatch.setattr(memory_needed, "free_memory", lambda place: None)
    stored = {"BF16": 6_738_415_616}
    said = memory_line(Needed("m", stored, "bfloat16", GPU, config=LLAMA_2_7B))
    assert said == "m in bfloat16 on cuda: 13.5 GB of weights and 0.5 MB per cached token"
    assert memory_line(Needed("m", stored, "bfloat16", GPU, config={})) == "m in bfloat16 on cuda: 13.5 GB of weights"
    monkeypatch.setattr(memory_needed, "free_memory", lambda place: int(5e9))
    assert memory_line(Needed("m", stored, "bfloat16", GPU, config={})).endswith("of weights; 5.0 GB are free")
    assert memory_line(Needed("m", stored, "bfloat16", GPU, config=LLAMA_2_7B)).endswith(
        "5.0 GB are free, which is too little"
    )


def test_only_large_models_are_talked_about(capsys, monkeypatch):
    monkeypatch.setattr(memory_needed, "free_memory", lambda place: int(50e9))
    say_memory(Needed("small", {"BF16": 400_000_000}, "bfloat16", GPU, config=LLAMA_2_7B))
    assert capsys.readouterr() == ("", "")
    say_memory(Needed("large", {"BF16": 6_738_415_616}, "bfloat16", GPU, config=LLAMA_2_7B))
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("large in bfloat16 on cuda: 13.5 GB of weights")


def test_packed_weights_are_refused_by_what_they_take(monkeypatch):
    stored, free = {"F16": 6_738_415_616}, {"cuda": 5e9, "cpu": 1e9}
    monkeypatch.setattr(memory_needed, "free_memory", lambda place: int(free[place]))
    how = {"config": LLAMA_2_7B, "gpus": 1}
    refuse_too_large(Needed("m", stored, "bfloat16", GPU, quantize="4bit", **how))  # 3.9 GB, packed as they are read
    with pytest.raises(InputError, match=r"load it as bfloat16, got 5.0 GB; use quantize '4bit' \(4.1 GB\), a smaller"):
        refuse_too_large(Needed("m", stored, "bfloat16", GPU, **how))
    free["cuda"] = 4e9
    with pytest.raises(
        InputError, match=r"m: expected 4.1 GB .* on cuda to load it as 4bit, got 4.0 GB; use a smaller"
    ):
        refuse_too_large(Needed("m", stored, "bfloat16", GPU, quantize="4bit", **how))
    with pytest.raises(InputError, match=r"use a smaller model") as caught:
        refuse_too_large(Needed("m", stored, "bfloat16", GPU, fused=10, **how))
    assert "4bit" not in str(caught.value), "fused matrices cannot be packed"


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
