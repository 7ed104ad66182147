"""The inputs of a run: everything in its run.json that can change a number, and nothing else.

Two runs with the same inputs are the same experiment: one may go on where the other broke off. So the day, the command,
timings, names of folders and files, the host's name and everything that was found stay out.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from creativity_lens.files import plain, sha256_text

_MODEL = (
    "id", "revision", "weights_hash", "config_hash", "template", "template_hash", "dtype", "quantize",
)  # fmt: skip
_SOURCE = (
    "model", "revision", "weights_hash", "config_hash", "dtype", "template_hash", "pairs_sha256", "position", "hook",
    "max_tokens",
)  # fmt: skip
# Which fields of a part of run.json count; None: all of them. The most telling part stands first.
_PARTS: dict[str, tuple[str, ...] | None] = {
    "versions": None,
    "model": _MODEL,
    "models": (*_MODEL, "device"),  # an audit's, by stage
    "base": (*_MODEL, "device"),
    "reader": _MODEL,
    "pairs": ("sha256",),
    "prompts": ("sha256",),
    "given": ("method", "source"),
    "concept": None,
    "sides": None,
    "control": None,
    "embedder": ("id",),
    "options": None,
    "seed": None,
    "writer": None,
    "backend": None,
    "machine": ("threads", "device"),
}
# What kinds of runs without a part of options keep on top.
_OPTIONS = (
    "stages", "conditions", "samples", "length", "temperature", "scored", "gammas", "decode", "steering", "baselines",
)  # fmt: skip
_SAME_MODEL = ("weights_hash", "config_hash")
_NAMES = {
    "model": "the model",
    "base": "the base model",
    "reader": "the second reader",
    "pairs": "the pairs",
    "prompts": "the prompts",
    "concept": "the concept",
    "sides": "--sides",
    "control": "--positive-control",
    "embedder": "the embedder",
    "seed": "--seed",
    "writer": "what writes the texts",
    "backend": "--backend",
    "machine.threads": "the number of threads",
    "machine.device": "the device",
}
_FIELDS = {
    "id": "",
    "revision": "'s revision",
    "weights_hash": "'s weights",
    "config_hash": "'s config.json",
    "template": "'s use of its chat template",
    "template_hash": "'s chat template",
    "dtype": "'s dtype",
    "quantize": "'s quantization",
    "device": "'s device",
    "sha256": "",
}
_NO_FLAGS = {  # of a plan: chosen from Python only
    "band": "the plan's number of pushes in a layer's band",
    "temperatures": "the temperatures",
    "screen_pairs": "the plan's number of screened pairs",
    "cosine": "scoring by cosine",
    "conditions": "the conditions",
    "stages": "the stages",
    "scored": "what is scored",
    "length": "--max-new-tokens",
    "decode": "the decoding",
    "steering": "the push",
}


def inputs_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """What went into a run, flat, by dotted names ("model.id", "options.samples"), the most telling first.

    `run` is what run.json holds, or will hold: a sweep's, an audit's or one over gamma, finished or not. Values are
    those that JSON would give back, so that a run in memory and one that was read compare equal. Parts that are missing
    or null are left out.

    >>> inputs_of({"created": "2025-01-01", "model": {"id": "gpt2", "name": "GPT-2"}, "options": {"samples": 4}})
    {'model.id': 'gpt2', 'options.samples': 4}
    """
    found: dict[str, Any] = {}
    for part, fields in _PARTS.items():
        value = plain(run.get(part))
        if part == "models" and isinstance(value, Mapping):
            for stage, model in value.items():
                found |= _flat(f"models.{stage}", model, fields)
        elif part == "given" and isinstance(value, Mapping):
            found |= _flat(part, {**value, "source": _of_source(value.get("source"))}, fields)
        elif part == "options":
            # the seed stands on its own
            own = {key: item for key, item in value.items() if key != "seed"} if isinstance(value, Mapping) else {}
            found |= _flat(part, own or {name: _names(plain(run.get(name))) for name in _OPTIONS}, None)
        else:
            found |= _flat(part, value, fields)
    if "prompts.sha256" not in found and isinstance(texts := run.get("prompts_text"), Mapping):
        found["prompts.sha256"] = sha256_text(*map(str, texts.values()))
    return found


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Inputs in which two runs differ: (name, value in `a`, value in `b`), the most telling first.

    `a` and `b` are descriptions of runs, as run.json holds them. A value that one of them lacks is None, which equals a
    missing one. The same weights and config.json under another name are the same model, so that a model's folder may
    be moved.

    >>> differences({"seed": 0, "created": "yesterday"}, {"seed": 1, "created": "today"})
    [('seed', 0, 1)]
    """
    one, other = inputs_of(a), inputs_of(b)
    names = sorted({**one, **other}, key=_rank)
    return [
        (name, one.get(name), other.get(name))
        for name in names
        if one.get(name) != other.get(name) and not _is_same_model(name, one, other)
    ]


def described(name: str) -> str:
    """An input in words that fit into a message.

    >>> described("options.samples"), described("model.weights_hash"), described("versions.torch")
    ('--samples', "the model's weights", 'the version of torch')
    """
    part, _, field = name.partition(".")
    if name in _NAMES:
        return _NAMES[name]
    if part == "versions":
        return f"the version of {field}"
    if part == "options":
        top = field.split(".")[0]
        return _NO_FLAGS.get(top, f"--{top.replace('_', '-')}")
    if part == "given":
        return "--directions"
    if part == "models":
        stage, _, field = field.rpartition(".")
        return f"the model of stage {stage}{_FIELDS.get(field, f' ({field})')}"
    if part in _NAMES:
        return f"{_NAMES[part]}{_FIELDS.get(field, f' ({field})')}"
    return name


def _flat(name: str, value: Any, fields: Iterable[str] | None) -> dict[str, Any]:
    """The leaves of nested mappings by dotted names; lists are leaves, None is left out."""
    if isinstance(value, Mapping):
        keys = list(value) if fields is None else [key for key in fields if key in value]
        return {inner: leaf for key in keys for inner, leaf in _flat(f"{name}.{key}", value[key], None).items()}
    return {name: value} if value is not None else {}


def _of_source(source: Any) -> Any:
    """What directions were measured on; the versions that measured them are theirs, not this run's."""
    return {key: source[key] for key in _SOURCE if key in source} if isinstance(source, Mapping) else source


def _names(value: Any) -> Any:
    """A list of conditions by their names, which say all that sets them apart."""
    is_listed = (
        isinstance(value, list) and value and all(isinstance(each, Mapping) and "name" in each for each in value)
    )
    return [each["name"] for each in value] if is_listed else value


def _is_same_model(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    part, _, field = name.rpartition(".")
    hashes = [f"{part}.{key}" for key in _SAME_MODEL]
    return field in ("id", "model") and all(key in one and one.get(key) == other.get(key) for key in hashes)


def _rank(name: str) -> tuple[int, int, str]:
    """Parts in their order, fields of a model in theirs, the rest by name."""
    part, _, field = name.partition(".")
    fields = _PARTS[part] or ()
    last = field.rpartition(".")[2]
    place = fields.index(last) if last in fields else len(fields)
    return list(_PARTS).index(part), place - (field == "creativity-lens"), name
