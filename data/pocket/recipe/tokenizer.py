"""Train the byte-level BPE tokenizer on the corpora, and pack them into tokens.

example: python -m recipe.tokenizer --corpus corpus --out tokens
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import UInt16
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from creativity_lens.files import whole_file
from recipe.corpus import COPIES, read_collection, split_passages
from recipe.settings import command, say

SPECIAL = ["<|endoftext|>", "<|pad|>", "<|user|>", "<|assistant|>"]  # ids 0 to 3
END, PAD = 0, 1  # the end of a text is also the beginning of the next


@dataclass(frozen=True)
class Tokenization:
    """Settings of this step."""

    corpus: Annotated[Path, "folder of the four .jsonl.gz files"]
    out: Annotated[Path, "folder to write the tokenizer and tokens.safetensors to"]
    vocabulary: Annotated[int, "entries, special tokens included"] = 4096
    context: Annotated[int, "longest sequence of the model"] = 512


def train_tokenizer(texts: Iterable[str], *, vocabulary: int, context: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer that puts <|endoftext|> in front of a text."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.post_processor = processors.TemplateProcessing(
        single=f"{SPECIAL[END]} $A", special_tokens=[(SPECIAL[END], END)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, min_frequency=5, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    core.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=SPECIAL[END], eos_token=SPECIAL[END], pad_token=SPECIAL[PAD],
        model_max_length=context, model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def pack(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> UInt16[np.ndarray, " token"]:
    """Token ids of the texts one after the other, <|endoftext|> in front of each."""
    parts = []
    for start in range(0, len(texts), 1000):  # a thousand at a time: the tokenizer's own objects take much memory
        rows = tokenizer(texts[start : start + 1000], return_attention_mask=False, verbose=False).input_ids
        parts.append(np.array([token for row in rows for token in row], dtype=np.uint16))
    return np.concatenate(parts)


def tokenize(settings: Tokenization) -> None:
    """Write the tokenizer's files and the packed train and held-out tokens."""
    documents = ((name, document) for name in COPIES for document in read_collection(settings.corpus, name))
    sample = (text for name, document in documents for text in document.paragraphs[:: 3 if name == "novels" else 1])
    tokenizer = train_tokenizer(sample, vocabulary=settings.vocabulary, context=settings.context)
    train, held = ([passage.text for passage in part] for part in split_passages(settings.corpus))
    tokens = {"train": pack(tokenizer, train), "held": pack(tokenizer, held)}
    settings.out.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(settings.out)
    with whole_file(settings.out / "tokens.safetensors") as path:
        save_file(tokens, path)
    size = tokens["train"].size
    say(f"{len(tokenizer)} entries, {size} tokens to train on, {sum(map(len, train)) / size:.3f} characters each")


if __name__ == "__main__":
    command(Tokenization, tokenize, __doc__)
