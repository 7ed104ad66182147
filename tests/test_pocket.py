"""The pocket models that ship: their card, their weights and the recipe say the same."""

import json
import re
import shlex
import sys

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from creativity_lens.files import data_folder, sha256_of

POCKET = data_folder() / "pocket"
sys.path.insert(0, str(POCKET))  # the recipe is a package of its own, run from that folder

from recipe.evaluate import Evaluation  # noqa: E402
from recipe.finetune import Finetuning  # noqa: E402
from recipe.instructions import CHAT_TEMPLATE  # noqa: E402
from recipe.model import new_model, read_model, save_model  # noqa: E402
from recipe.prepare import Preparation  # noqa: E402
from recipe.pretrain import Pretraining  # noqa: E402
from recipe.settings import parse  # noqa: E402
from recipe.tokenizer import Tokenization  # noqa: E402

STEPS = {
    "prepare": Preparation, "tokenizer": Tokenization, "pretrain": Pretraining, "finetune": Finetuning,
    "evaluate": Evaluation,
}  # fmt: skip


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return ModelCard.load(POCKET / "README.md")


@pytest.mark.parametrize("name", ["base", "chat"])
def test_shipped_files_are_the_ones_on_the_card(card, name):
    assert f"`{name}/model.safetensors` | `{sha256_of(POCKET / name / 'model.safetensors')}`" in card.text
    config = json.loads((POCKET / name / "config.json").read_text())
    shape = (
        "{num_hidden_layers} blocks, d_model {hidden_size}, {num_attention_heads} heads of {head_dim}, feed-forward "
    )
    shape += "{intermediate_size}, vocabulary {vocab_size}, context {max_position_embeddings}"
    assert shape.format_map(config) in " ".join(card.text.split())
    weights = load_file(POCKET / name / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    assert f"{sum(weight.numel() for weight in weights.values()):,} parameters" in card.text


def test_card_has_front_matter(card):
    assert card.data.license
    assert card.data.language == "en"
    assert card.data.library_name == "transformers"
    assert card.data.pipeline_tag == "text-generation"


def test_the_recipe_writes_the_shipped_configuration(tmp_path):
    _, tokenizer = read_model(POCKET / "chat")
    tokenizer.chat_template = CHAT_TEMPLATE
    shape = {key: getattr(Pretraining, key) for key in ("width", "layers", "heads", "feed_forward", "seed")}
    save_model(new_model(vocabulary=len(tokenizer), context=tokenizer.model_max_length, **shape), tokenizer, tmp_path)
    for name in ("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json"):
        assert json.loads((tmp_path / name).read_text()) == json.loads((POCKET / "chat" / name).read_text()), name
    assert (tmp_path / "chat_template.jinja").read_text() == (POCKET / "chat" / "chat_template.jinja").read_text()
    assert set(load_file(tmp_path / "model.safetensors")) == set(load_file(POCKET / "chat" / "model.safetensors"))


def test_the_cards_commands_are_ones_the_recipe_takes(card):
    commands = re.findall(r"^python -m recipe\.(\w+) (.*)$", card.text, re.MULTILINE)
    assert {step for step, _ in commands} == set(STEPS)
    for step, options in commands:
        parse(STEPS[step], None, shlex.split(options, comments=True))
