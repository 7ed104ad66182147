"""Tokens and their text: the readable piece that each token adds, and which tokens of a prompt are its own words.

Everything takes a Hugging Face fast tokenizer and knows no model.
"""

import codecs
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from creativity_lens.errors import InputError
from creativity_lens.model_files import one_line
from creativity_lens.model_names import is_base

Span = tuple[int, int]


class EncodedPrompt(NamedTuple):
    """A prompt as the model sees it: token ids, and which of them are the prompt's own words (not template tokens)."""

    ids: tuple[int, ...]
    own: tuple[bool, ...]


_ELSE = "load the model with template='none'."

# Stands for a prompt while a template is taken apart: no letters and no blanks, so that nothing alters it.
_MARK = "91827364546372819"

# Shadows the clock that templates are given (Llama 3, SmolLM3); the date is the one Llama 3 prints without a clock.
# The empty expression keeps the template's own first line break.
_FIXED_CLOCK = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}{{ '' }}"

# How one user message may have to be put: most templates take the first, some insist on a system message (left empty),
# those of models that also see images take a list of parts.
_FORMS: tuple[Callable[[str], list[dict[str, Any]]], ...] = (
    lambda text: [{"role": "user", "content": text}],
    lambda text: [{"role": "system", "content": ""}, {"role": "user", "content": text}],
    lambda text: [{"role": "user", "content": [{"type": "text", "text": text}]}],
)


def load_tokenizer(folder: Path, name: str) -> Any:
    """The fast tokenizer of a model's folder, as its makers set it up."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # whatever a library may raise on files from elsewhere
        raise InputError(f"{name}: its tokenizer cannot be read ({one_line(error)}); fetch it again.") from error
    if not tokenizer.is_fast:
        raise InputError(f"{name}: expected a fast tokenizer, which knows where words lie; add its tokenizer.json.")
    tokenizer.model_max_length = int(1e9)  # prompts are held to the context with an error instead of a log line
    return tokenizer


def encode_all(tokenizer: Any, texts: Sequence[str]) -> list[tuple[int, ...]]:
    """Token ids of plain texts, without any special token. Raises `InputError` for a text that holds a surrogate."""
    texts = list(texts)
    if not texts:  # tokenizers raise
        return []
    try:
        encoded = tokenizer(texts, add_special_tokens=False, return_attention_mask=False).input_ids
    except TypeError:  # what the tokenizer says of a text that it cannot take
        odd = next((text for text in texts if any("\ud800" <= letter <= "\udfff" for letter in text)), None)
        if odd is None:
            raise
        raise InputError(f"text {odd[:40]!r}: holds a lone surrogate, which is no character; remove it.") from None
    return [tuple(ids) for ids in encoded]


def choose_template(tokenizer: Any, template: str, name: str) -> str:
    """Return "chat" or "none"; "auto" is "chat" where there is a template and `name` is not that of a base model.

    A template that takes no user message is refused here rather than in the middle of a run.
    """
    if template == "chat" and not tokenizer.chat_template:
        raise InputError(f"{name}: expected a chat template for template='chat', found none; use 'auto' or 'none'.")
    if template == "none" or not tokenizer.chat_template or (template == "auto" and is_base(name)):
        return "none"
    chat_text(tokenizer, "Hello")
    return "chat"


def chat_text(tokenizer: Any, prompt: str) -> tuple[str, list[Span]]:
    """The chat template around one user message, up to where the answer begins, and the spans of the message in it.

    Templates that print today's date get a fixed one, and "thinking" is switched off where a template knows the switch:
    the same prompt must give the same tokens tomorrow. Raises `InputError` when the template takes no user message.
    """
    reason = "it drops the user's message"
    for form in _FORMS:
        try:
            frame = _render(tokenizer, form(_MARK)).split(_MARK)
            whole = _render(tokenizer, form(prompt))
        except Exception as error:  # a template is a program from elsewhere: it can fail in any way
            reason = str(error).split("\n")[0]
            continue
        if len(frame) > 1:
            return whole, _message_spans(whole, frame, prompt)
    raise InputError(
        f"chat template: expected one that takes a user message, got one that does not ({reason}); {_ELSE}"
    )


def turns_text(tokenizer: Any, turns: Sequence[str]) -> str:
    """The chat template around a conversation, up to where the next answer begins.

    Turns alternate, the user's first and last. Raises `InputError` when the template takes no such conversation.
    """
    reason = "it drops a turn"
    for form in _FORMS:
        messages = form(turns[0])
        for number, turn in enumerate(turns[1:], start=1):
            message = form(turn)[-1]
            messages.append({**message, "role": "assistant"} if number % 2 else message)
        try:
            whole = _render(tokenizer, messages)
        except Exception as error:  # a template is a program from elsewhere: it can fail in any way
            reason = one_line(error)
            continue
        if turns[-1].strip() in whole:
            return whole
    raise InputError(f"chat template: expected one that takes a conversation, got one that does not ({reason}).")


def _render(tokenizer: Any, messages: list[dict[str, Any]]) -> str:
    return tokenizer.apply_chat_template(
        messages,
        chat_template=_FIXED_CLOCK + tokenizer.get_chat_template(),
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=False,
        date_string="26 Jul 2024",
    )


def _message_spans(whole: str, frame: list[str], prompt: str) -> list[Span]:
    """Where the message stands in `whole`: what is left between the parts of the empty frame, or, where the template
    changes with the message, the last place that repeats it.
    """  # fmt: skip
    copies = len(frame) - 1
    length = (len(whole) - sum(map(len, frame))) // copies
    spans, at = [], 0
    for part in frame[:-1]:
        spans.append((at + len(part), at + len(part) + length))
        at = spans[-1][1]
    edges = [0, *(edge for span in spans for edge in span), len(whole)]
    around = [whole[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]
    if length >= 0 and around == frame and len({whole[a:b] for a, b in spans}) == 1:
        return spans
    start = whole.rfind(prompt.strip())
    if start < 0:
        raise InputError(
            f"chat template: expected it to repeat the prompt; it alters {prompt[:40]!r} beyond recognition; {_ELSE}"
        )
    return [(start, start + len(prompt.strip()))]


def own_tokens(whole: str, offsets: Sequence[Span], spans: Sequence[Span]) -> tuple[bool, ...]:
    """For each token, whether its text lies inside one of the spans; blanks at a token's edges do not count.

    The blank before a prompt's first word, or the line break after its last stop, often shares the word's token.
    """

    def inside(start: int, end: int) -> bool:
        return end > start and any(a <= start and end <= b for a, b in spans)

    def trimmed(start: int, end: int) -> Span:
        text = whole[start:end]
        return (end - len(text.lstrip()), start + len(text.rstrip())) if text.strip() else (start, end)

    return tuple(inside(*trimmed(start, end)) for start, end in offsets)


def token_bytes(tokenizer: Any) -> list[bytes]:
    """The bytes that each token id stands for: empty for special tokens, a guess where the tokenizer's kind is unknown.

    Byte-level vocabularies (GPT-2, Llama 3, Qwen) write bytes as printable characters; SentencePiece ones (Llama 2,
    Gemma) write blanks as U+2581 and lone bytes as <0xNN>.
    """
    decoder = tokenizer.backend_tokenizer.decoder
    byte_level = decoder is not None and b"ByteLevel" in decoder.__getstate__()
    vocabulary = tokenizer.get_vocab()
    added = tokenizer.added_tokens_decoder
    found = [b""] * (max(vocabulary.values(), default=-1) + 1)
    for token, index in vocabulary.items():
        if index in added:
            found[index] = b"" if added[index].special else added[index].content.encode()
        elif byte_level:
            found[index] = b"".join(_BYTE_OF.get(letter, letter.encode()) for letter in token)
        elif lone := re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", token):
            found[index] = bytes.fromhex(lone[1])
        else:
            found[index] = token.replace("\u2581", " ").encode("utf-8", "replace")
    return found


def _byte_letters() -> dict[str, bytes]:
    """Byte-level BPE writes the printable Latin-1 bytes as themselves and moves the other 68 to U+0100 and up."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    moved = [byte for byte in range(256) if byte not in printable]
    letters = {chr(byte): bytes([byte]) for byte in printable}
    return letters | {chr(256 + place): bytes([byte]) for place, byte in enumerate(moved)}


_BYTE_OF = _byte_letters()


def text_pieces(ids: Sequence[int], table: Sequence[bytes], decode: Callable[[Sequence[int]], str]) -> list[str]:
    """The piece of text that each token completes; joined, they are `decode(ids)`, whatever the tokenizer.

    A token that ends inside a character gives "", the one that completes it gives the character. Linear in the number
    of tokens for byte-level and SentencePiece vocabularies; for others each prefix is decoded.
    """
    whole = decode(ids)
    if not ids:
        return []
    reader = codecs.getincrementaldecoder("utf-8")("replace")
    pieces = [reader.decode(table[index] if index < len(table) else b"") for index in ids]
    pieces[-1] += reader.decode(b"", True)
    joined = "".join(pieces)
    if joined == whole:
        return pieces
    if joined == " " + whole:  # SentencePiece puts a blank before the first word, and decoding takes it away
        first = next(place for place, piece in enumerate(pieces) if piece)
        pieces[first] = pieces[first][1:]
        return pieces
    ends = [0]
    for count in range(1, len(ids)):
        so_far = decode(ids[:count]).rstrip("\ufffd")
        differing = (place for place, (a, b) in enumerate(zip(so_far, whole, strict=False)) if a != b)
        ends.append(max(ends[-1], next(differing, min(len(so_far), len(whole)))))
    return [whole[start:end] for start, end in zip(ends, [*ends[1:], len(whole)], strict=True)]
