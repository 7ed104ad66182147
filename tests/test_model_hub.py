import json
import shutil
import time
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants, errors
from huggingface_hub.utils import filter_repo_objects
from tiny_models import CHATML, put_in_cache, save_model
from typer import Typer
from typer.testing import CliRunner

from creativity_lens import model_hub
from creativity_lens.cli.models import models
from creativity_lens.errors import InputError
from creativity_lens.model_hub import cached_folder, cached_ids, describe_model, find_model, look_up

REPO = "meta-llama/Llama-2-7b-chat-hf"
SHA = "d" * 40


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("models") / "llama", template=CHATML)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and a hub that does not answer."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    return tmp_path / "hub"


@pytest.fixture
def hub(cache, llama, monkeypatch):
    """A hub with one repository: what the three calls to the library return, without a network."""
    asked = []
    sizes = {path.name: path.stat().st_size for path in llama.iterdir()} | {"pytorch_model.bin": 10**9}

    def model_info(self, repo, **options):
        asked.append("info")
        files = [SimpleNamespace(rfilename=name, size=size) for name, size in sizes.items()]
        numbers = SimpleNamespace(parameters={"F32": 5_000})
        return SimpleNamespace(sha=SHA, siblings=files, safetensors=numbers)

    def hf_hub_download(repo, file, *, revision, **options):
        asked.append(file)
        return str(put_in_cache(cache, repo, llama, commit=revision, files=[file]) / file)

    def snapshot_download(repo, *, revision, allow_patterns, ignore_patterns, **options):
        asked.append("everything")
        names = ["pytorch_model.bin", "modeling.py", "original/params.json", "consolidated.safetensors", *sizes]
        wanted = list(filter_repo_objects(names, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns))
        assert sorted(wanted) == sorted(path.name for path in llama.iterdir())
        shutil.rmtree(cache)
        return str(put_in_cache(cache, repo, llama, commit=revision))

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return SimpleNamespace(asked=asked, sizes=sizes)


def test_the_cache_is_used_without_asking_the_hub(cache, llama, hub):
    snapshot = put_in_cache(cache, REPO, llama)
    found = find_model("llama-2-7b-chat")
    assert (found.id, found.commit, found.files.folder) == (REPO, "c" * 40, snapshot)
    assert find_model(REPO, revision="c" * 40).commit == "c" * 40
    assert hub.asked == []
    assert cached_ids() == [REPO]


def test_old_names_in_the_cache(cache, llama):
    put_in_cache(cache, "gpt2", llama)
    assert find_model("gpt2").id == "openai-community/gpt2"
    rows = {row["name"]: row["cached"] for row in model_hub.list_models()["short_names"]}
    assert rows["gpt2"]
    assert not rows["gpt2-xl"]
    assert model_hub.list_models()["other_cached"] == []


def test_a_model_is_fetched_once(cache, hub):
    seen = []
    found = find_model("llama-2-7b-chat", before_download=seen.append)
    assert hub.asked == ["info", "config.json", "everything"]
    assert (found.id, found.commit) == (REPO, SHA)
    assert [(listing.repo, dict(listing.stored)) for listing in seen] == [(REPO, {"F32": 5_000})]
    assert seen[0].download == hub.sizes["model.safetensors"]
    find_model("llama-2-7b-chat")
    assert len(hub.asked) == 3


def test_what_is_cached_in_part_is_completed(cache, llama, hub):
    put_in_cache(cache, REPO, llama, files=["config.json"])
    assert cached_ids() == []
    assert find_model(REPO).commit == SHA


def test_refusals_come_before_the_download(cache, llama, hub, monkeypatch):
    def too_large(listing):
        raise InputError("too large")

    with pytest.raises(InputError, match="too large"):
        find_model(REPO, before_download=too_large)
    monkeypatch.setattr(model_hub.shutil, "disk_usage", lambda place: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match=r"expected \d+ MB free on disk to download it, got 0 MB .*HF_HOME"):
        find_model(REPO)
    del hub.sizes["model.safetensors"]
    with pytest.raises(InputError, match=r"only 'pytorch_model.bin'"):
        find_model(REPO)
    del hub.sizes["pytorch_model.bin"]
    with pytest.raises(InputError, match="expected weights as safetensors, found none"):
        find_model(REPO)
    config = json.loads((llama / "config.json").read_text()) | {"architectures": ["BertForMaskedLM"]}
    monkeypatch.setattr(model_hub, "read_config", lambda folder, name: config)
    hub.sizes["model.safetensors"] = 1
    with pytest.raises(InputError, match="text-generating"):
        find_model(REPO)
    assert "everything" not in hub.asked


def http_error(kind, status):
    return kind("said the hub\nin many lines", response=SimpleNamespace(headers={}, request=None, status_code=status))


REFUSALS = [
    (
        http_error(errors.GatedRepoError, 403),
        r"licence .*gated.* accept it at http\S+/meta-llama/Llama-2-7b-chat-hf, then run `hf auth login`",
    ),
    (http_error(errors.RepositoryNotFoundError, 404), r"no such repository on the hub .*`clens models`"),
    (
        http_error(errors.RevisionNotFoundError, 404),
        r"expected a branch, tag or commit of it, got revision 'nonsense';",
    ),
    (http_error(errors.RemoteEntryNotFoundError, 404), r"expected config.json in the repository"),
    (http_error(errors.HfHubHTTPError, 503), r"does not answer \(HfHubHTTPError: said the hub\)"),
    (errors.LocalEntryNotFoundError("no cache"), r"does not answer .*HF_HOME .*local folder"),
    (
        errors.OfflineModeIsEnabled("offline"),
        r"revision 'nonsense' in the cache .*\(HF_HUB_OFFLINE is set\).*HF_HOME .*local folder",
    ),
    (ConnectionError(), r"does not answer \(ConnectionError: no reason given\)"),
    (
        OSError(28, "No space left on device"),
        r"cannot be written to the cache \(.*: No space left on device\).*HF_HOME",
    ),
]


@pytest.mark.parametrize(("error", "said"), REFUSALS, ids=[type(error).__name__ for error, _ in REFUSALS])
@pytest.mark.parametrize("at", ["info", "config", "download"])
def test_what_the_hub_refuses_is_said_in_one_line(hub, monkeypatch, error, said, at):
    def fail(*arguments, **options):
        raise error

    target = {"info": (huggingface_hub.HfApi, "model_info"), "config": (huggingface_hub, "hf_hub_download")}
    monkeypatch.setattr(*target.get(at, (huggingface_hub, "snapshot_download")), fail)
    said = said.replace("revision 'nonsense'", f"revision '{SHA}'") if at == "download" else said
    with pytest.raises(InputError, match=said) as refused:
        find_model(REPO, revision="nonsense")
    assert str(refused.value).startswith(f"{REPO}: ")
    assert "\n" not in str(refused.value)


def test_an_unknown_repository_offers_the_nearest(cache, monkeypatch):
    def fail(*arguments, **options):
        raise http_error(errors.RepositoryNotFoundError, 404)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", fail)
    with pytest.raises(InputError, match="Did you mean 'EleutherAI/pythia-160m'"):
        find_model("EleutherAI/pythia-166m")


def test_without_a_network_the_answer_comes_at_once(cache, monkeypatch):
    """The library itself, against a port where nothing listens, and in its offline mode: no retries, no hanging."""
    start = time.monotonic()
    with pytest.raises(InputError, match=r"does not answer \(ConnectError"):
        find_model("llama-2-7b")
    with pytest.raises(InputError, match=r"expected revision 'v9' in the cache"):
        find_model("llama-2-7b", revision="v9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
        find_model("llama-2-7b")
    assert time.monotonic() - start < 5


def test_a_cache_in_part_says_so_without_a_network(cache, llama):
    put_in_cache(cache, REPO, llama, files=["config.json", "tokenizer.json"])
    with pytest.raises(InputError, match=r"in the cache .*, where it is only in part, or on the hub"):
        find_model(REPO)


def test_no_revision_of_what_lies_here(llama):
    for name in ("pocket-chat", str(llama)):
        with pytest.raises(InputError, match="expected no revision for a model on this machine, got 'main'"):
            find_model(name, revision="main")


def test_ids_that_the_hub_does_not_allow(cache):
    assert cached_folder("a/b--c..") is None
    with pytest.raises(InputError, match="no such repository"):
        look_up("a/b--c..")


def test_describes_without_weights(cache, llama, hub):
    about = describe_model("llama-2-7b-chat")
    assert (about["layers"], about["width"], about["folder"], about["download_bytes"] > 0) == (3, 32, None, True)
    assert about["memory_bytes"] == {"float32": 21_000, "bfloat16": 10_500, "float16": 10_500}
    assert "everything" not in hub.asked
    put_in_cache(cache, REPO, llama)
    about = describe_model("llama-2-7b-chat")
    assert (about["kind"], about["template"], about["architecture"]) == ("hub", "chat", "LlamaForCausalLM")


@pytest.fixture
def clens():
    app = Typer()
    app.command()(models)

    def run(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    return run


def test_command_lists_names(clens, cache, llama):
    put_in_cache(cache, REPO, llama)
    put_in_cache(cache, "somebody/own-model", llama)
    text = clens()
    assert "Ship with clens: pocket-base, pocket-chat" in text
    assert "  llama-2-7b-chat           meta-llama/Llama-2-7b-chat-hf  (cached)\n" in text
    assert "  llama-2-7b                meta-llama/Llama-2-7b-hf\n" in text
    assert "Also in the hub's cache:\n\n  somebody/own-model\n" in text
    found = json.loads(clens("--json"))
    assert found["built_in"] == ["pocket-base", "pocket-chat"]
    assert found["other_cached"] == ["somebody/own-model"]


def test_command_shows_a_model(clens, cache):
    text = clens("Pocket Chat")
    for line in (
        "resolves to   pocket-chat (ships with clens)",
        "layers        8",
        "width         192",
        "template      chat",
    ):
        assert f"{line}\n" in text
    about = json.loads(clens("pocket-base", "--json"))
    assert (about["template"], about["vocabulary"], about["stored_dtype"]) == ("none", 4096, "bfloat16")
    text = clens("llama-2-7b")  # listed, but neither here nor to be reached
    assert "resolves to   meta-llama/Llama-2-7b-hf (on the hub, not in the cache)\n" in text
    assert "note          meta-llama/Llama-2-7b-hf: expected it in the cache" in text
    with pytest.raises(InputError, match="Did you mean 'llama-2-7b'"):
        clens("lama-2-7b")
    with pytest.raises(InputError, match="does not answer"):
        clens("somebody/unlisted-model")


def test_command_shows_an_example(clens):
    assert "Example: clens models pocket-chat" in clens("--help")
