"""The snippet runs by itself: nothing of this package, the prompt as it was measured, the logits of our own hooks."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_pairs import refusal
from handed_over import config_only, directions_of
from tiny_models import plain_model, save_model

from creativity_lens.dosing import dose
from creativity_lens.exports import export
from creativity_lens.exports.host import Host, lists_of
from creativity_lens.files import data_folder, sha256_text
from creativity_lens.generation import generate
from creativity_lens.models import Model, load_model
from creativity_lens.steering import edit_table, steered

CHAT = data_folder() / "pocket" / "chat"


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["llama", "gpt2", "neox"])
def test_its_logits_are_those_of_our_own_hooks(kind, tmp_path):
    folder = save_model(tmp_path / kind, kind)
    directions = directions_of(folder)
    model, plain = load_model(folder), plain_model(folder)
    snippet = load(export(directions, "snippet", tmp_path / "push.py", layers="0-2", scale=0.5).path)
    ids = torch.randint(2, 4096, (2, 9), generator=torch.Generator().manual_seed(0))
    edits = dose(directions, "0-2", 0.5)
    with steered(model, edit_table([edits, edits], model)):
        ours = model.forward(ids)
    with torch.no_grad(), snippet.steered(plain, positions="all"):
        theirs = plain(ids).logits
    assert torch.allclose(theirs, ours, atol=1e-4)
    with torch.no_grad():
        assert torch.allclose(plain(ids).logits, model.forward(ids), atol=1e-4), "its hooks are gone"
        with snippet.steered(plain, positions="generated"):
            assert torch.allclose(plain(ids).logits, model.forward(ids), atol=1e-4), "a prompt is left alone"
        with snippet.steered(plain, scale=0.0, positions="all"):
            assert torch.equal(plain(ids).logits, plain(ids).logits)
    assert (ours - model.forward(ids)).abs().max() > 0.1, "the control"
    with pytest.raises(ValueError, match="expected 'generated' or 'all'"), snippet.steered(plain, positions="al"):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["generated", "all"])
def test_run_as_a_program_it_writes_what_generate_writes(chat: Model, tmp_path, scope):
    directions = replace(
        directions_of(CHAT, layers=range(8)),
        source=replace(directions_of(CHAT).source, model="pocket-chat", template_hash=chat.template_hash),
        residual_norms=torch.full((8,), 400.0),
    )
    path = export(directions, "snippet", tmp_path / "push.py", layers="3-4", scale=0.3).path
    prompt = "Write about a lighthouse."
    done = subprocess.run(
        [sys.executable, "-I", path, prompt, "--positions", scope, "--max-new-tokens", "24"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    edits = dose(directions, "3-4", 0.3)
    unsteered, pushed = generate(
        chat, [prompt], steering=[None, edits], max_new_tokens=24, temperature=0.0, scope=scope
    )
    assert pushed.text != unsteered.text, "the control"
    assert done.stdout == f"scale 0:\n{unsteered.text}\n\nscale 1:\n{pushed.text}\n\n"


@pytest.mark.parametrize("template", ["chat", "none"])
def test_it_asks_as_the_model_was_asked(chat: Model, tmp_path, template):
    model = chat if template == "chat" else load_model("pocket-chat", template="none")
    made = directions_of(CHAT)
    directions = replace(made, source=replace(made.source, template_hash=model.template_hash))
    snippet = load(export(directions, "snippet", tmp_path / "push.py", layers=[1], scale=0.3).path)
    prompt = "Two  words,\nand 'more'."
    assert tuple(snippet.encode(chat.tokenizer, prompt)[0].tolist()) == model.encode_prompt(prompt).ids
    assert snippet.CHAT is (template == "chat")


def test_it_names_nothing_of_this_package_and_runs_no_name(tmp_path):
    """A name that a user chose ends up in its docstring; it must not become code."""
    made = directions_of(config_only(tmp_path / "llama"))
    odd = replace(made, positive='odd""" + exit(1) + """\\')
    path = export(odd, "snippet", tmp_path / 'push "x".py', layers=[1], scale=0.3).path
    text = path.read_text()
    compile(text, "push", "exec")
    assert "import creativity_lens" not in text
    assert "from creativity_lens" not in text
    assert not [line for line in text.splitlines() if len(line) > 120]
    module = load(path)
    assert "exit(1)" in module.__doc__


def test_the_strength_is_in_it(tmp_path):
    made = directions_of(config_only(tmp_path / "llama"))
    module = load(export(made, "snippet", tmp_path / "push.py", layers="1-2", scale=0.3).path)
    assert module.STRENGTH == 0.3
    assert "layers 1-2, strength 0.3" in module.__doc__
    assert sorted(module.VECTORS) == [1, 2]
    assert module.CHAT is True
    assert made.source.template_hash != sha256_text("none", "")


def test_a_list_of_experts_is_no_list_of_blocks():
    """Each of three blocks holds three experts; two lists side by side are both named, and then neither is taken."""

    def block():
        return torch.nn.ModuleDict({"experts": torch.nn.ModuleList([torch.nn.Identity() for _ in range(3)])})

    blocks = torch.nn.ModuleList([block() for _ in range(3)])
    assert lists_of(3, torch.nn.ModuleDict({"inner": torch.nn.ModuleDict({"h": blocks})})) == ["inner.h"]
    both = torch.nn.ModuleDict({"encoder": blocks, "decoder": torch.nn.ModuleList([block() for _ in range(3)])})
    assert lists_of(3, both) == ["encoder", "decoder"]
    assert lists_of(4, both) == []


def test_a_model_without_such_a_list_of_blocks_is_refused(tmp_path):
    folder = config_only(tmp_path / "llama")  # of 3 blocks
    message = refusal(lambda: Host("odd", folder, {"num_hidden_layers": 4}).blocks)
    assert message == "odd: expected one list of 4 blocks in the model, found none; this format cannot name its layers."
