"""`clens diversity`: how different texts are, within groups and across them, in one file or side by side in several."""

import sys
from typing import Annotated, Any

import typer

from creativity_lens.cli.options import Device, Json, Seed, given

Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Texts: .jsonl, .csv with a header, or .txt; several files are compared."),
]
Column = Annotated[str, typer.Option("--column", "--text-field", metavar="NAME", help="Field that holds the texts.")]
Group = Annotated[
    str | None,
    typer.Option(metavar="FIELD", help="What the texts belong to, such as their prompt; default: all are one group."),
]
By = Annotated[str | None, typer.Option(metavar="FIELD", help="Compare the conditions that this field names.")]
Length = Annotated[
    int | None, typer.Option(metavar="WORDS", help="Cut texts to so many words; default: what 95 % have.", min=1)
]
Count = Annotated[
    int | None,
    typer.Option(metavar="TEXTS", help="Texts of a group measured together; default: what 90 % have.", min=1),
]
Threshold = Annotated[
    float | None,
    typer.Option(help="Cosine distance of two clusters; default: the 1 % point between groups.", min=0, max=2),
]
Similarity = Annotated[
    float | None, typer.Option(help="Cosine of equivalent texts; default: 1 - threshold.", min=-1, max=1)
]
Hdbscan = Annotated[bool, typer.Option("--hdbscan", help="Cluster by HDBSCAN, in sets of more than 100 texts.")]
EmbedderName = Annotated[
    str | None, typer.Option("--embedder", metavar="NAME", help="A sentence-transformers model; default: MiniLM.")
]
NoEmbed = Annotated[bool, typer.Option("--no-embed", help="Lexical measures alone; nothing is embedded.")]
Coherent = Annotated[
    str | None, typer.Option(metavar="FIELD", help="Field that says true or false; default: by repeated 4-grams.")
]
Reader = Annotated[
    str | None, typer.Option("--reader", metavar="MODEL", help="Coherent is also what this model finds likely enough.")
]
MostRepeated = Annotated[
    float, typer.Option(help="Share of repeated 4-grams that a coherent text may have.", min=0, max=1)
]
MostSurprisal = Annotated[
    float | None, typer.Option(metavar="NATS", help="Per token, for the reader; default: 1 above the median.", min=0)
]
Out = Annotated[str | None, typer.Option(metavar="FILE", help="Write .csv or .json instead of printing.")]


def diversity(
    context: typer.Context,
    files: Files,
    group: Group = None,
    by: By = None,
    column: Column = "text",
    length: Length = None,
    count: Count = None,
    threshold: Threshold = None,
    similarity: Similarity = None,
    hdbscan: Hdbscan = False,
    embedder: EmbedderName = None,
    no_embed: NoEmbed = False,
    coherent: Coherent = None,
    reader: Reader = None,
    most_repeated: MostRepeated = 0.2,
    most_surprisal: MostSurprisal = None,
    device: Device = "auto",
    seed: Seed = 0,
    out: Out = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    as_json: Json = False,
) -> None:
    """Measure how different texts are: semantic spread within groups is primary, the rest describes.

    Texts are cut to one length, groups to one number of texts, and every measure is taken once more on the coherent
    texts alone. Several files, or --by, are measured on common ground and side by side.

    Example: clens diversity texts.jsonl --group prompt
    """
    from creativity_lens.cli.asking import check_out
    from creativity_lens.errors import InputError

    # every option and file is checked before a model loads
    if as_csv and as_json:
        raise InputError("--csv and --json: expected one of them; leave one away.")
    if out is not None and not out.endswith((".csv", ".json")):
        raise InputError(f"--out {out}: expected a name that ends in .csv or .json.")
    if out is not None and (as_csv or as_json):
        raise InputError(f"--out {out}: its ending says how it is written; leave --csv and --json away.")
    if by is not None and len(files) > 1:
        raise InputError(
            f"--by {by}: {len(files)} files are compared with each other; give one file, or leave it away."
        )
    if no_embed and (idle := given(context, "embedder", "threshold", "similarity", "hdbscan")):
        raise InputError(f"{idle[0]}: needs embeddings, and --no-embed makes none; leave one away.")
    if coherent is not None and (idle := given(context, "reader", "most_repeated", "most_surprisal")):
        raise InputError(f"{idle[0]}: --coherent {coherent} says already which texts are coherent; leave one away.")
    if most_surprisal is not None and reader is None:
        raise InputError("--most-surprisal: expected --reader MODEL, whose surprisal it is; name one or leave it away.")
    check_out(out, force=force)

    from creativity_lens.cli.measured import read_files, write_diversity
    from creativity_lens.diversity import coherence_of, compare_diversity, measure_diversity

    texts, groups, conditions, marked = read_files(files, column, group=group, by=by, coherent=coherent)
    vectors = None
    if not no_embed:
        vectors = _embedder(embedder, device)
    if marked is not None:
        mask, said = marked, f"Coherent: as '{coherent}' says; {sum(marked)} of {len(marked)} texts."
    else:
        read = None if reader is None else _surprisal(reader, device, texts)
        found = coherence_of(texts, read, most_repeated=most_repeated, most_surprisal=most_surprisal)
        mask, said = found.mask.tolist(), str(found)
    options: dict[str, Any] = {
        "embedder": vectors, "length": length, "count": count, "threshold": threshold, "similarity": similarity,
        "method": "hdbscan" if hdbscan else "average", "coherent": mask, "seed": seed,
    }  # fmt: skip
    if conditions is None:
        measured: Any = measure_diversity(texts, groups, **options)
    else:
        measured = compare_diversity(texts, groups, conditions, **options)
    if group is None:
        print("Without --group all texts are one group: no interval.", file=sys.stderr)
    write_diversity(measured, said, out, as_csv=as_csv, as_json=as_json)


def _embedder(name: str | None, device: str) -> Any:
    from creativity_lens.embeddings import load_embedder
    from creativity_lens.errors import InputError

    try:
        return load_embedder(name, device=device)
    except InputError as error:
        said = str(error).rstrip(".")
        raise InputError(f"{said}; or add --no-embed for the lexical measures alone.") from None


def _surprisal(name: str, device: str, texts: list[str]) -> Any:
    """Mean surprisal of each text, read alone, in nats per token; NaN for an empty one."""
    import numpy as np

    from creativity_lens.models import load_model
    from creativity_lens.token_readings import means_of, read_tokens, window_size

    model = load_model(name, device=device)
    ids = model.encode_texts(texts)
    _, found = read_tokens(model, [], ids, window_size(model, None), description="reading")
    return means_of(found[None], np.array([len(each) for each in ids], dtype=int))[0]
