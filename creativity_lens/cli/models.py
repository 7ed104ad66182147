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

    from creativity_lens.model_hub import describe_model, list_models

    found = list_models() if name is None else describe_model(name, revision)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif name is None:
        _print_list(found)
    else:
        _print_model(found)


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
        "\nAlso any local folder in Hugging Face format and any hub id: TransformerLens lists "
        f"{len(listed_models()):,} models.\n`clens models NAME` shows one."
    )


def _print_model(about: dict[str, Any]) -> None:
    from creativity_lens.model_hub import readable

    where = {
        "built in": "ships with clens",
        "folder": "a folder",
        "hub": f"cached in {about['folder']}" if about["folder"] else "on the hub, not in the cache",
    }[about["kind"]]
    sizes = about["memory_bytes"]
    free = f" (free now: {readable(about['free_bytes'])})" if about["free_bytes"] is not None else ""
    rows = {
        "resolves to": f"{about['id']} ({where})",
        "architecture": f"{about['architecture']}, which TransformerLens supports",
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
