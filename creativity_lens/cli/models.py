"""`clens models`: which names there are and what they stand for, or what one name resolves to and needs."""

from typing import Annotated, Any

import typer


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A name, hub id or folder; without one, all names are listed.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """List the models that clens knows by name, or show what one is: where it lies, its size, memory and template.

    Example: clens models pocket-chat
    """
    import json

    found = list_models() if name is None else describe_model(name, revision)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif name is None:
        _print_list(found)
    else:
        _print_model(found)


def list_models() -> dict[str, Any]:
    """Built-in names, short names with their hub ids, and what else the hub's cache holds."""
    from creativity_lens.model_hub import cached_ids
    from creativity_lens.model_names import BUILT_IN, SHORT_NAMES

    cached = cached_ids()
    short = [{"name": short, "id": repo, "cached": repo in cached} for short, repo in SHORT_NAMES.items()]
    others = sorted(set(cached) - set(SHORT_NAMES.values()))
    return {"built_in": list(BUILT_IN), "short_names": short, "other_cached": others}


def _print_list(found: dict[str, Any]) -> None:
    from creativity_lens.model_names import listed_models

    typer.echo("Ship with clens: " + ", ".join(found["built_in"]))
    typer.echo("\nShort names (case, '-', '_' and blanks do not matter):\n")
    width = max(len(row["name"]) for row in found["short_names"])
    for row in found["short_names"]:
        typer.echo(f"  {row['name']:<{width}}  {row['id']}{'  (cached)' if row['cached'] else ''}")
    if found["other_cached"]:
        typer.echo("\nAlso in the hub's cache:\n")
        for repo in found["other_cached"]:
            typer.echo(f"  {repo}")
    typer.echo(
        f"\nAlso any local folder in Hugging Face format and any hub id: TransformerLens lists {len(listed_models()):,} "
        "models.\n`clens models NAME` shows one."
    )


def describe_model(name: str, revision: str | None = None) -> dict[str, Any]:
    """What a name resolves to, and what its files say; the hub is asked (once, 10 s) for what is not on this machine.

    Raises `InputError` for a name that means nothing and for a folder that cannot be loaded.
    """
    from creativity_lens.errors import InputError
    from creativity_lens.files import data_folder
    from creativity_lens.memory import free_memory
    from creativity_lens.model_files import (
        bytes_needed,
        check_config,
        describe_config,
        has_chat_template,
        is_complete,
        read_model,
        stored_dtype,
    )  # fmt: skip
    from creativity_lens.model_hub import cached_folder, look_up
    from creativity_lens.model_names import BUILT_IN, is_base, listed_models, resolve_name

    model_id, folder = resolve_name(name)
    kind = "built in" if model_id in BUILT_IN else "folder" if folder else "hub"
    if kind == "built in":
        folder = data_folder() / "pocket" / model_id.removeprefix("pocket-")
    elif kind == "hub":
        cached = cached_folder(model_id, revision)
        folder = cached if cached is not None and is_complete(cached) else None
    about: dict[str, Any] = {"name": name, "id": model_id, "kind": kind, "folder": str(folder) if folder else None}
    config, stored, fused = {}, None, 0
    if folder is not None:
        files = read_model(folder, model_id)
        config, stored, fused = files.config, files.stored, files.fused
        about["template"] = "chat" if has_chat_template(folder) and not is_base(model_id) else "none"
    else:
        try:
            listing = look_up(model_id, revision)
            config, stored = listing.config, listing.stored
            check_config(config, model_id)
            about["download_bytes"] = listing.download
        except InputError as error:
            if config or model_id not in listed_models():
                raise
            about["note"] = str(error)
        about["template"] = "none" if is_base(model_id) else None
    named = config.get("architectures") or [listed_models().get(model_id)]
    about |= {"architecture": named[0], "supported": True, **describe_config(config)}
    about["stored_dtype"] = stored_dtype(stored) if stored else None
    sizes = ("float32", "bfloat16", "float16")
    about["memory_bytes"] = {dtype: bytes_needed(stored, dtype, fused=fused) for dtype in sizes} if stored else None
    about["free_bytes"] = free_memory()
    return about


def _print_model(about: dict[str, Any]) -> None:
    from creativity_lens.model_hub import readable

    where = {
        "built in": "ships with clens",
        "folder": "a folder",
        "hub": f"cached in {about['folder']}" if about["folder"] else "on the hub, not in the cache",
    }[about["kind"]]
    sizes = about["memory_bytes"] or {}
    free = f" (free now: {readable(about['free_bytes'])})" if about["free_bytes"] is not None else ""
    rows = {
        "resolves to": f"{about['id']} ({where})",
        "architecture": f"{about['architecture']}, supported",
        "layers": about["layers"],
        "width": about["width"],
        "context": about["context"],
        "vocabulary": about["vocabulary"],
        "template": about["template"],
        "stored as": about["stored_dtype"],
        "download": readable(about["download_bytes"]) if "download_bytes" in about else None,
        "memory": ", ".join(f"{dtype} {readable(size)}" for dtype, size in sizes.items()) + free if sizes else None,
        "note": about.get("note"),
    }
    for label, value in rows.items():
        if value is not None:
            typer.echo(f"{label:<14}{value}")
