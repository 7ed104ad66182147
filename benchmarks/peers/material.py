"""What is read and written: the texts of the pairs, the prompts, and the folders of the models."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from benchmarks.peers import plan
from creativity_lens.model_hub import find_model
from creativity_lens.prompts import load_pairs, load_prompts

_FROM_POCKET = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")


def texts_of_pairs(count: int) -> list[tuple[str, str]]:
    """The two instructions of the shipped pairs that differ in them, and as many more of their length as are needed.

    No text comes twice, since ours would read it once.
    """
    shipped = [(pair.creative, pair.boring) for pair in load_pairs() if pair.creative != pair.boring]
    found = []
    for number in range(count):
        copy, place = divmod(number, len(shipped))
        one, other = shipped[place]
        found.append((one, other) if copy == 0 else (f"{copy}. {one}", f"{copy}. {other}"))
    assert len({text for pair in found for text in pair}) == 2 * count
    return found


def prompts_of_sweep(count: int) -> list[str]:
    """Writing prompts as the model is given them, without the line break that follows."""
    return [prompt.text for prompt in load_prompts()[1][:count]]


def model_folder(name: str, build: Path) -> Path:
    """A folder in Hugging Face's format; one with random weights is made where it is not there, from a seed."""
    pocket = Path(find_model("pocket-chat").files.folder)
    shape = plan.MODELS[name]
    if shape is None:
        return pocket
    folder = build / "models" / name
    wanted = json.dumps({**asdict(shape), "seed": plan.SEED, "spread": plan.SPREAD})
    made = folder / "made.json"
    if made.exists() and made.read_text() == wanted:
        return folder
    # only here: what wants a table or a refusal need not wait for these
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from creativity_lens.loading import quiet_loaders

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    given = json.loads((pocket / "config.json").read_text())
    shared = {key: given[key] for key in ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id")}
    config = LlamaConfig(
        **asdict(shape), **shared, num_key_value_heads=shape.num_attention_heads, tie_word_embeddings=True,
        max_position_embeddings=512, initializer_range=plan.SPREAD,
    )  # fmt: skip
    with torch.random.fork_rng(), quiet_loaders():
        torch.manual_seed(plan.SEED)
        LlamaForCausalLM(config).save_pretrained(folder)
    for file in _FROM_POCKET:
        shutil.copyfile(pocket / file, folder / file)
    made.write_text(wanted)  # last: a folder without it is made again
    return folder
