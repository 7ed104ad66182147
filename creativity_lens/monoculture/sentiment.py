"""The sentiment of texts: by a text-classification model where one is named, else by VADER; which one is said."""

import importlib.metadata
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError
from creativity_lens.progress import track

INSTALL = "pip install 'creativity-lens[sentiment]'"
COMPOUND = 0.05  # VADER: positive from here, negative from -0.05; its authors' thresholds
FOREIGN = 0.2  # share of texts without an English function word above which VADER is warned about
BATCH = 32
# Any English text of a few words holds one of these, and few texts in other languages do.
_WORDS = "the and of to a is was it that i this for with you not are be but have on my as they we at he she his her its"
_FUNCTION = frozenset(re.findall(r"\w+", _WORDS))


@dataclass(frozen=True)
class Sentiments:
    """The label of each text, and how it was found."""

    labels: tuple[str, ...]
    positive: str  # the label whose share is the mean of an item
    by: str
    notes: tuple[str, ...] = ()


def vader_sentiment(texts: Sequence[str]) -> Sentiments:
    """Positive, neutral or negative by VADER's compound score; equal texts are read once.

    VADER knows English words: where more than a fifth of the texts (of four words or more) hold none of the words that
    English is glued together with, a note says so. Raises `InputError` where the extra is not installed.

    >>> vader_sentiment(["A lovely book!", "It has pages.", "A terrible book."]).labels
    ('positive', 'neutral', 'negative')
    """
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError:
        raise InputError(
            f"sentiment: expected VADER, which is not installed; run: {INSTALL}, or give --sentiment-model."
        ) from None
    analyser, found = SentimentIntensityAnalyzer(), {}
    distinct = list(dict.fromkeys(texts))
    with track("sentiment", len(distinct), unit="texts") as advance:
        for text in distinct:
            compound = analyser.polarity_scores(text)["compound"]
            found[text] = "positive" if compound >= COMPOUND else "negative" if compound <= -COMPOUND else "neutral"
            advance(1)
    notes = []
    words = [re.findall(r"\w+", text.casefold()) for text in distinct]
    foreign = sum(len(each) >= 4 and not _FUNCTION & set(each) for each in words)
    if foreign > FOREIGN * len(distinct):
        notes.append(
            f"{foreign} of {len(distinct)} different texts do not look like English, and VADER knows only English "
            "words: name a model of their language with --sentiment-model"
        )
    version = importlib.metadata.version("vaderSentiment")
    by = f"VADER {version} (lexicon; positive from compound {COMPOUND:+g}, negative from {-COMPOUND:+g})"
    return Sentiments(tuple(found[text] for text in texts), "positive", by, tuple(notes))


def model_sentiment(texts: Sequence[str], name: str, *, positive: str | None = None, device: str = "cpu") -> Sentiments:
    """The likeliest label of each text by a `transformers` text-classification model, by hub name or folder.

    The local cache is asked before the network; weights are safetensors, and no code of the model's own is run. Texts
    longer than the model reads are cut, and a note says how many. `positive` names the label whose share is an item's
    mean; by default the only one with "pos" in its name. Raises `InputError` for a model that cannot be loaded.

    >>> model_sentiment(["A lovely book!"], "distilbert-base-uncased-finetuned-sst-2-english")  # doctest: +SKIP
    """
    tokenizer, model, commit = _loaded(name)

    import torch

    from creativity_lens.loading import choose_device

    labels = [str(model.config.id2label[i]).lower() for i in range(model.config.num_labels)]
    chosen = _positive(name, labels, positive)
    place = choose_device(device)
    model = model.to(place).eval()
    longest = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", 10**9), 10**6)
    distinct = sorted(dict.fromkeys(texts), key=lambda text: (len(text), text))
    found: dict[str, str] = {}
    cut: set[str] = set()
    with track("sentiment", len(distinct), unit="texts") as advance, torch.inference_mode():
        for start in range(0, len(distinct), BATCH):
            batch = distinct[start : start + BATCH]
            made = tokenizer(batch, truncation=True, max_length=longest, padding=True, return_tensors="pt")
            whole = tokenizer(batch, truncation=False, verbose=False)["input_ids"]
            cut |= {text for text, ids in zip(batch, whole, strict=True) if len(ids) > longest}
            best = model(**{key: value.to(place) for key, value in made.items()}).logits.argmax(dim=-1).tolist()
            found |= {text: labels[i] for text, i in zip(batch, best, strict=True)}
            advance(len(batch))
    notes = [f"{sum(text in cut for text in texts)} texts longer than {longest} tokens were cut"] if cut else []
    by = f"{name}{f' (commit {commit[:8]})' if commit else ''}, likeliest of {', '.join(labels)}"
    return Sentiments(tuple(found[text] for text in texts), chosen, by, tuple(notes))


def _positive(name: str, labels: list[str], asked: str | None) -> str:
    if asked is not None:
        from creativity_lens.errors import check_choice

        return check_choice("--positive", asked.lower(), labels)
    found = [label for label in labels if "pos" in label and "very" not in label]
    if len(found) != 1:
        raise InputError(
            f"{name}: its labels are {', '.join(labels)[:200]}; expected one that says positive: name it with "
            "--positive."
        )
    return found[0]


def _loaded(name: str) -> tuple[Any, Any, str]:
    """Tokenizer, model and the commit of the hub's repository, "" for a folder."""
    if not name.strip():
        raise InputError("--sentiment-model: expected a name or a folder, got an empty one.")
    place = Path(name).expanduser()
    if not place.is_dir() and name.startswith((".", "/", "~")):
        raise InputError(f"{name}: no such folder; expected one with a classifier of texts.")
    from creativity_lens.loading import quiet_loaders
    from creativity_lens.model_files import is_complete, one_line
    from creativity_lens.model_hub import cached_folder, fetch, look_up

    folder, commit = (place, "") if place.is_dir() else (cached_folder(name), "")
    if folder != place:
        if folder is None or not is_complete(folder):
            folder = fetch(look_up(name, in_part=folder is not None))
        commit = folder.name
    with quiet_loaders():
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(folder), **safe)
            model, told = AutoModelForSequenceClassification.from_pretrained(
                str(folder), use_safetensors=True, output_loading_info=True, **safe
            )
        except Exception as error:
            raise InputError(f"{name}: cannot be loaded as a classifier of texts ({one_line(error)}).") from None
    if told["missing_keys"]:  # a language model without a classifying head: its labels would be random
        raise InputError(f"{name}: has no trained classifier ({sorted(told['missing_keys'])[0]} is missing).")
    if tokenizer.pad_token_id is None or model.config.pad_token_id is None:
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        model.config.pad_token_id = tokenizer.pad_token_id
    return tokenizer, model, commit
