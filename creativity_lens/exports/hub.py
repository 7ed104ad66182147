"""A folder for the Hugging Face hub: the directions, a GGUF control vector, and a model card."""

import html
import json
import re
import shlex
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError
from creativity_lens.exports import gguf
from creativity_lens.exports.payload import Payload
from creativity_lens.files import write_text
from creativity_lens.layers import layer_ranges

DIRECTIONS, VECTOR, CARD = "directions.safetensors", "control_vector.gguf", "README.md"
FILES = (DIRECTIONS, VECTOR, CARD)
TAGS = ("steering-vector", "control-vector", "creativity")
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


def write(payload: Payload, path: Path) -> None:
    """Write the folder's files, each whole; it is made where it is not there."""
    gguf.check(payload)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be made ({error.strerror}); choose another place.") from None
    named = replace(payload.directions.source, model=payload.base_model)  # a folder's path says nothing elsewhere
    gguf.write(payload, path / VECTOR)
    replace(payload.directions, source=named).save(path / DIRECTIONS)
    write_text(path / CARD, card(payload))


def usage(payload: Payload, path: Path) -> str:
    """How to use the folder."""
    return (
        f"Read {path / CARD}, add a licence to its head, then:  hf upload USER/NAME {shlex.quote(str(path))}\n"
        "(or `clens export ... --to hub --push USER/NAME`)"
    )


def card(payload: Payload) -> str:
    """The model card: what was measured, by which controls, and how the files are used."""
    source, positive = payload.directions.source, _plain(payload.directions.positive)
    on_hub = _REPO.fullmatch(source.model) is not None
    lines = ["---"]
    if on_hub:
        lines.append(f"base_model: {json.dumps(source.model)}")
    else:
        lines.append(f"# base_model: measured on {json.dumps(payload.base_model)}, which is no repository of the hub")
    lines += ["tags:", *(f"- {tag}" for tag in TAGS), "# license: yours to choose; add it here", "---", ""]
    lines += [
        f"# {positive.capitalize()}: a direction in {_plain(payload.base_model)}",
        "",
        f"One unit vector per layer that points to more {positive} text, measured from {source.n_pairs} contrastive "
        f"pairs ({_plain(payload.directions.method)}, position rule {_plain(source.position)}), and a "
        f"control vector: {payload.dose}. Strength is a fraction of the median residual norm at the layer; layer l is "
        "the residual stream after block l, counted from 0.",
        "",
        *_verdict(payload),
        "",
        "## Use",
        "",
        f"Scale 1.0 of `{VECTOR}` adds what `clens steer` adds at {payload.dose}, at every position.",
        "",
        "```sh",
        f"llama-cli -m MODEL.gguf --control-vector-scaled {VECTOR}:1.0",
        f'clens steer "Write about a lighthouse." --directions {DIRECTIONS} '
        f"--layer {layer_ranges(payload.layers)} --strength {payload.strength:g}",
        "```",
        "",
        "```python",
        "# repeng, on a transformers model",
        "from repeng import ControlModel, ControlVector",
        f'ControlModel(model, {list(payload.layers)}).set_control(ControlVector.import_gguf("{VECTOR}"), 1.0)',
        "```",
        "",
        "## What it was measured on",
        "",
        f"| model | {_plain(payload.base_model)} |",
        "|---|---|",
        *(f"| {what} | {_plain(str(value))} |" for what, value in _origin(payload).items() if value is not None),
        "",
        f"Written by {payload.record()['written_by']}.",
        "",
    ]
    return "\n".join(lines)


def _verdict(payload: Payload) -> list[str]:
    verdict: Any = (payload.run or {}).get("verdict")
    if not isinstance(verdict, dict):
        return [
            "## Does it steer?",
            "",
            "Not tested: no sweep came with these directions. `clens sweep` measures whether pushing along them works.",
        ]
    choice: Any = (payload.run or {}).get("choice") or {}
    tested = f"layer {choice.get('layer')}, strength {choice.get('strength')}"
    lines = [
        "## Does it steer?",
        "",
        _plain(str(verdict.get("sentence", ""))),
        "",
        f"Tested once, at {tested}, acting on the generated tokens, beside controls whose labels were flipped:",
        "",
        "| question | estimate (95 % interval) | needed | passed |",
        "|---|---|---|---|",
    ]
    for part in verdict.get("parts") or []:
        ends = "" if part.get("low") is None else f" ({part['low']:.2f} to {part['high']:.2f})"
        shown = f"{part['estimate']:.3g} {part['unit']}{ends}" if part.get("estimate") is not None else "not measured"
        passed = "yes" if part.get("passed") else "no"
        lines.append(f"| {_cell(part['question'])} | {_cell(shown)} | {_cell(part['needed'])} | {passed} |")
    beside = [item for item in verdict.get("beside") or [] if isinstance(item, dict)]
    if beside:
        lines += ["", "Said beside it, and no part of the claim:", ""]
        lines += [f"- {_plain(str(item.get('label')))}: {_plain(str(item.get('text')))}" for item in beside]
    if (choice.get("layer"),) != payload.layers or choice.get("strength") != payload.strength:
        lines += ["", f"**The control vector is of {payload.dose}, which is not what was tested.**"]
    return lines


def _plain(text: str) -> str:
    """What a user named, as text: Markdown lets HTML through."""
    return html.escape(text, quote=False)


def _cell(text: object) -> str:
    return _plain(" ".join(str(text).split())).replace("|", "\\|")


def _origin(payload: Payload) -> dict[str, object]:
    source = payload.directions.source
    return {
        "revision": source.revision, "config (sha256)": source.config_hash, "weights": source.weights_hash,
        "layers, width": f"{payload.n_layers}, {payload.d_model}", "number type": source.dtype,
        "pairs (sha256)": source.pairs_sha256, "hook": source.hook,
        "versions": ", ".join(f"{name} {version}" for name, version in source.versions),
    }  # fmt: skip


def check_repo(name: str) -> None:
    """Refuse what is no USER/NAME, before anything is written."""
    if not _REPO.fullmatch(name):
        raise InputError(f"--push {name}: expected USER/NAME, as in jane/creative-direction.")


def push(folder: Path, repo: str) -> str | None:
    """Upload the folder's files and return the address; None, with a warning, where no token is present.

    A new repository is made private. Raises `InputError` where the hub refuses or does not answer.
    """
    from huggingface_hub import HfApi, get_token

    from creativity_lens.model_files import one_line

    token = get_token()
    if not token:
        warnings.warn(
            f"nothing was uploaded: no token of the hub is present; run `hf auth login` or set HF_TOKEN, then "
            f"`hf upload {repo} {shlex.quote(str(folder))}`. {folder} is kept.",
            stacklevel=2,
        )
        return None
    try:
        api = HfApi(token=token)
        address = str(api.create_repo(repo, private=True, exist_ok=True))
        api.upload_folder(
            repo_id=repo, folder_path=folder, allow_patterns=list(FILES), commit_message="Add a steering direction"
        )
    except Exception as error:  # whatever the hub's client may raise
        raise InputError(
            f"--push {repo}: the hub refused or does not answer ({one_line(error)}); {folder} is kept."
        ) from error
    return address
