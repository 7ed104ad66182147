import contextlib
import itertools
import os
import subprocess
import sys

import pytest

from creativity_lens import model_names
from creativity_lens.errors import InputError
from creativity_lens.model_names import BUILT_IN, SHORT_NAMES, is_base, listed_models, nearest_model, resolve_name


def test_every_short_name_is_a_model_that_transformer_lens_lists():
    assert set(SHORT_NAMES.values()) <= set(listed_models())
    for name, repo in SHORT_NAMES.items():
        for spelling in (
            name,
            name.upper(),
            name.replace("-", "_"),
            name.replace("-", " "),
            f"  {name} ",
            repo.lower(),
        ):
            assert resolve_name(spelling) == (repo, None), spelling


@pytest.mark.parametrize(
    ("typed", "repo"),
    [
        ("llama-2-7b", "meta-llama/Llama-2-7b-hf"),
        ("Llama2-7B-Chat", "meta-llama/Llama-2-7b-chat-hf"),
        ("llama-2-7b-instruct", "meta-llama/Llama-2-7b-chat-hf"),
        ("llama-3-70b-instruct", "meta-llama/Meta-Llama-3-70B-Instruct"),
        ("llama 3.1 70b", "meta-llama/Llama-3.1-70B"),
        ("qwen-2.5-14b", "Qwen/Qwen2.5-14B"),
        ("qwen3-4b-instruct", "Qwen/Qwen3-4B-Instruct-2507"),
        ("gemma-3-12b", "google/gemma-3-12b-pt"),
        ("gemma-2-27b-chat", "google/gemma-2-27b-it"),
        ("olmo-2-13b-instruct", "allenai/OLMo-2-1124-13B-Instruct"),
        ("olmo-7b", "allenai/OLMo-7B-hf"),
        ("pythia-160m-deduped", "EleutherAI/pythia-160m-deduped"),
        ("opt-125m", "facebook/opt-125m"),
        ("EleutherAI/PYTHIA-70m", "EleutherAI/pythia-70m"),
        ("https://huggingface.co/gpt2-medium", "openai-community/gpt2-medium"),
        ("https://huggingface.co/somebody/their-model", "somebody/their-model"),
        ("Somebody/Their_Model-v1.2", "Somebody/Their_Model-v1.2"),
    ],
)
def test_tolerant_names(typed, repo):
    assert resolve_name(typed) == (repo, None)


def test_built_in_names():
    assert [resolve_name(name)[0] for name in ("pocket-chat", "Pocket Base", "POCKET_CHAT")] == [
        "pocket-chat",
        "pocket-base",
        "pocket-chat",
    ]


@pytest.mark.parametrize(
    ("typed", "hint"),
    [("pockt-chat", "pocket-chat"), ("lama-2-7b", "llama-2-7b"), ("gpt3", "gpt2"), ("qwen2.5-7b-instuct", "instruct")],
)
def test_unknown_names_offer_the_nearest(typed, hint):
    with pytest.raises(InputError, match=rf"got '{typed}'\. Did you mean '[^']*{hint}'\? `clens models`"):
        resolve_name(typed)


def test_names_that_mean_nothing():
    for typed in ("", "  ", "zzzzzzzzzzzz", "a\0b", "x" * 2000, "-", "owner/", "a/../b/"):
        with pytest.raises(InputError) as refusal:
            resolve_name(typed)
        assert "\n" not in str(refusal.value)


def test_a_name_of_two_repositories_is_refused_by_both_names(monkeypatch):
    """Never a silent default: the same short name at the same publisher, twice."""
    twins = ("allenai/OLMo-9-0101-7B", "allenai/OLMo-9-0202-7B")
    listed = dict.fromkeys((*twins, "somebody/OLMo-9-7B"), "Olmo2ForCausalLM")
    monkeypatch.setattr(model_names, "listed_models", lambda: listed)
    model_names._bare_names.cache_clear()
    try:
        with pytest.raises(InputError, match=" or ".join(twins)):
            resolve_name("olmo-9-7b")
        assert resolve_name("olmo-9-0202-7b") == (twins[1], None)
    finally:
        monkeypatch.undo()
        model_names._bare_names.cache_clear()


def test_nobody_takes_over_a_bare_name():
    """Among 15,000 listed repositories only those of publishers answer to a bare name."""
    strangers = [repo for repo in listed_models() if repo.split("/")[0].lower() not in model_names._PUBLISHERS]
    assert len(strangers) > 1000
    for stranger in itertools.islice(strangers, 0, None, 17):
        with contextlib.suppress(InputError):  # two publishers' models may be meant
            assert model_names._from_tables(stranger.split("/")[1]) != stranger


def test_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "gpt2"
    folder.mkdir()
    real = os.path.realpath(folder)
    assert resolve_name("gpt2") == ("openai-community/gpt2", None)  # an empty folder hides no name
    assert resolve_name("./gpt2") == resolve_name(folder) == resolve_name(str(folder)) == (real, folder.resolve())
    (folder / "config.json").write_text("{}")
    assert resolve_name("gpt2") == (real, folder.resolve())
    (tmp_path / "own" / "model").mkdir(parents=True)
    assert resolve_name("own/model")[1] == (tmp_path / "own" / "model").resolve()
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        resolve_name("./nowhere")
    with pytest.raises(InputError, match="expected a folder in Hugging Face format, got a file"):
        resolve_name(folder / "config.json")


BASE = ["pocket-base", "meta-llama/Llama-2-7b-hf", "Qwen/Qwen2.5-7B", "Qwen/Qwen3-8B-Base", "google/gemma-3-4b-pt"]
BASE += [
    "allenai/OLMo-2-1124-7B",
    "allenai/Olmo-3-1025-7B",
    "mistralai/Mistral-7B-v0.1",
    "/models/some-base",
    "/x/Qwen2.5-7B",
]
TUNED = [
    "pocket-chat",
    "meta-llama/Llama-2-7b-chat-hf",
    "Qwen/Qwen2.5-7B-Instruct",
    "Qwen/Qwen3-8B",
    "google/gemma-3-4b-it",
]
TUNED += [
    "allenai/Olmo-3-7B-Think",
    "microsoft/phi-4",
    "HuggingFaceH4/zephyr-7b-beta",
    "/models/basement",
    "/models/chat",
]


def test_base_models_are_known_by_name():
    assert [name for name in BASE if not is_base(name)] == []
    assert [name for name in TUNED if is_base(name)] == []


def test_without_the_list_short_names_and_ids_still_work(monkeypatch):
    """A later TransformerLens may not ship its list in this place."""
    monkeypatch.setattr(model_names.importlib.util, "find_spec", lambda name: None)
    caches = (model_names.listed_models, model_names._bare_names, model_names._by_lowered_id)
    for cached in caches:
        cached.cache_clear()
    try:
        assert dict(listed_models()) == {}
        assert resolve_name("Llama-2-7B") == ("meta-llama/Llama-2-7b-hf", None)
        assert resolve_name("a/b") == ("a/b", None)
        assert nearest_model("gtp2") == " Did you mean 'gpt2'?"
        assert is_base("x/y-base")
    finally:
        monkeypatch.undo()
        for cached in caches:
            cached.cache_clear()


def test_names_need_no_heavy_import():
    code = """
import sys
from creativity_lens.model_names import is_base, resolve_name
resolve_name("llama-2-7b"), is_base("Qwen/Qwen3-8B")
print([name for name in ("torch", "transformers", "transformer_lens", "pandas") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert set(BUILT_IN) == {"pocket-base", "pocket-chat"}
