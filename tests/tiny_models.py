"""Small random models and tokenizers, saved as any model on the hub is; and a hub's cache made of them."""

import hashlib
import shutil
from pathlib import Path

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, GPT2Config, GPTNeoXConfig, LlamaConfig, PreTrainedTokenizerFast

from creativity_lens.files import data_folder
from creativity_lens.loading import quiet_loaders

CHATML = (
    "{% for message in messages %}<|user|>{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SMALL = {"vocab_size": 4096, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
CONFIGS = {
    "llama": lambda: LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=128, **SMALL,
    ),
    "gpt2": lambda: GPT2Config(n_embd=32, n_layer=3, n_head=4, n_positions=128, **SMALL),
    "neox": lambda: GPTNeoXConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=128,
        **SMALL,
    ),
}  # fmt: skip
BLOCKS = {"llama": "model.layers", "gpt2": "transformer.h", "neox": "gpt_neox.layers"}


def save_model(
    folder: Path, kind: str = "llama", *, template: str | None = None, dtype=torch.float32, **changes
) -> Path:
    """A random model with pocket's tokenizer; initialised wide, so that layers differ measurably."""
    with torch.random.fork_rng(), quiet_loaders():
        torch.manual_seed(0)
        config = CONFIGS[kind]()
        config.initializer_range = 0.2
        model = transformers.AutoModelForCausalLM.from_config(config).to(dtype)
        model.save_pretrained(folder, **changes)
    tokenizer = byte_level_tokenizer()
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


def save_other_model(folder: Path, config: str, **options):
    """A random model of any architecture, by the name of its config; returned in plain transformers, with blocks."""
    small = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, **SMALL, **options}
    if config not in ("BloomConfig", "MambaConfig"):
        small |= {"intermediate_size": 64, "max_position_embeddings": 128}
    with torch.random.fork_rng(), quiet_loaders():
        torch.manual_seed(0)
        made = getattr(transformers, config)(**small)
        made.initializer_range = 0.2
        transformers.AutoModelForCausalLM.from_config(made).save_pretrained(folder)
    byte_level_tokenizer().save_pretrained(folder)
    plain = plain_model(folder)
    blocks = next(module for module in plain.modules() if isinstance(module, torch.nn.ModuleList) and len(module) == 4)
    return plain, blocks


def plain_model(folder: Path):
    """The same model in plain transformers, the independent reference."""
    with quiet_loaders():
        return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def block_outputs(plain, blocks, ids, **options):
    """What hooks of torch alone see after each block, and the logits."""
    seen = {}
    handles = [
        block.register_forward_hook(lambda module, inputs, out, layer=layer: seen.__setitem__(layer, out))
        for layer, block in enumerate(blocks)
    ]
    with torch.no_grad():
        logits = plain(input_ids=ids, use_cache=False, **options).logits
    for handle in handles:
        handle.remove()
    return {layer: out[0] if isinstance(out, tuple) else out for layer, out in seen.items()}, logits


def byte_level_tokenizer():
    """GPT-2-like: bytes written as letters, a blank belongs to the word after it."""
    return AutoTokenizer.from_pretrained(data_folder() / "pocket" / "chat")


def sentencepiece_tokenizer() -> PreTrainedTokenizerFast:
    """Llama-2-like: blanks written as U+2581, one before the first word, unknown characters as lone bytes."""
    words = ["▁", *"abcdefghijklmnopqrstuvwxyzTWH.,:?!<>[]/|", "th", "the", "▁the", "▁T", "▁Th", "wr", "▁wr"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *words]
    merges = [("t", "h"), ("th", "e"), ("▁", "the"), ("▁", "T"), ("▁T", "h"), ("w", "r"), ("▁", "wr")]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    inner = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    inner.decoder = decoders.Sequence(parts)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>", add_bos_token=True
    )


def word_piece_tokenizer() -> PreTrainedTokenizerFast:
    """Of a third kind, whose tokens tell nothing about blanks: only decoding does."""
    tokens = ["[UNK]", "the", "fox", "jump", "##s", "##ing", "over", ",", "."]
    inner = Tokenizer(models.WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece(cleanup=False)
    inner.add_special_tokens([AddedToken("[END]", special=True)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", eos_token="[END]")


def put_in_cache(cache: Path, repo: str, folder: Path, *, commit: str = "c" * 40, files=None) -> Path:
    """Lay a folder out as the hub's cache does: blobs named by SHA-256, a snapshot of links, refs/main."""
    root = cache / f"models--{repo.replace('/', '--')}"
    snapshot = root / "snapshots" / commit
    for part in ("refs", "blobs"):
        (root / part).mkdir(parents=True, exist_ok=True)
    snapshot.mkdir(parents=True, exist_ok=True)
    for source in folder.iterdir():
        if files is None or source.name in files:
            blob = root / "blobs" / hashlib.sha256(source.read_bytes()).hexdigest()
            shutil.copyfile(source, blob)
            (snapshot / source.name).unlink(missing_ok=True)
            (snapshot / source.name).symlink_to(blob)
    (root / "refs" / "main").write_text(commit)
    return snapshot


def padded_batch(left):
    """Three texts of different length, padded; with positions that count from each text's own start."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(2, 4096, (3, 9), generator=generator)
    mask = torch.ones(3, 9, dtype=torch.long)
    for row, short in enumerate((0, 2, 5)):
        padding = slice(0, short) if left else slice(9 - short, 9)
        mask[row, padding], ids[row, padding] = 0, 1
    return ids, mask, (mask.cumsum(1) - 1).clamp(min=0)
