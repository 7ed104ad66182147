"""`clens monoculture`: is generated text narrower than the human text about the same things?"""

import sys
from typing import Annotated, Any

import typer

from creativity_lens.cli.options import Device, Json, Seed

Generated = Annotated[str, typer.Option(metavar="FILE", help="Generated texts: .jsonl, or .csv with a header.")]
Source = Annotated[str, typer.Option(metavar="FILE", help="Human texts about the same items.")]
Group = Annotated[str, typer.Option(metavar="FIELD", help="Field that names the item a text belongs to.")]
Attributes = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        metavar="WHAT",
        help="sentiment, topic, embedding, label:FIELD, set:FIELD or number:FIELD; several times for several.",
    ),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(metavar="CONDITION", help="Such as 'perplexity<=20', on both sides; the share kept is reported."),
]
SkipMissing = Annotated[bool, typer.Option("--skip-missing", help="Leave out items that one file has not, and say so.")]
SentimentModel = Annotated[
    str | None, typer.Option(metavar="NAME", help="A classifier of texts, by hub name or folder; default: VADER.")
]
Positive = Annotated[str | None, typer.Option(metavar="LABEL", help="The classifier's label that counts as positive.")]
Topics = Annotated[str, typer.Option(metavar="nmf|kmeans", help="Topics by NMF over words, or k-means of embeddings.")]
NTopics = Annotated[int, typer.Option(help="How many topics.", min=2, max=200)]
EmbedderName = Annotated[
    str | None, typer.Option("--embedder", metavar="NAME", help="A sentence-transformers model; default: MiniLM.")
]
Draws = Annotated[int, typer.Option(help="Random swaps and splits.", min=99, max=99_999)]
Out = Annotated[str | None, typer.Option(metavar="FILE", help="Write .json (everything) or .csv (the items).")]
Figure = Annotated[
    str | None, typer.Option(metavar="FILE.html", help="Draw the items, as one page that opens offline.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files.")]


def monoculture(
    generated: Generated,
    source: Source,
    group: Group = "item",
    attribute: Attributes = None,
    text: Annotated[str, typer.Option(metavar="FIELD", help="Field that holds the text.")] = "text",
    keep: Keep = None,
    skip_missing: SkipMissing = False,
    sentiment_model: SentimentModel = None,
    positive: Positive = None,
    topics: Topics = "nmf",
    n_topics: NTopics = 10,
    embedder: EmbedderName = None,
    device: Device = "auto",
    draws: Draws = 1999,
    out: Out = None,
    figure: Figure = None,
    force: Force = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Compare the dispersion of generated and human texts, item by item, at equal numbers of texts.

    Example: clens monoculture --generated g.jsonl --source s.jsonl --group item --attribute sentiment
    """
    from creativity_lens.cli.asking import check_out
    from creativity_lens.errors import InputError

    # every option and file is checked before a model loads
    if out is not None and not out.endswith((".csv", ".json")):
        raise InputError(f"--out {out}: expected a name that ends in .csv or .json.")
    if figure is not None and not figure.endswith((".html", ".htm")):
        raise InputError(f"--figure {figure}: expected a name that ends in .html.")
    check_out(out, force=force)
    check_out(figure, force=force, option="--figure")
    asked = list(attribute or ["sentiment"])

    from creativity_lens.errors import check_choice
    from creativity_lens.monoculture.extracting import needs_text
    from creativity_lens.monoculture.reading import load_side, read_filter
    from creativity_lens.monoculture.topics import METHODS

    check_choice("--topics", topics, METHODS)
    for name in asked:
        needs_text(name)
    _refuse_unused(asked, sentiment_model, positive, topics, embedder)
    filters = [read_filter(one) for one in keep or []]
    sides = (load_side(generated), load_side(source))

    from creativity_lens.monoculture import measure_monoculture

    found = measure_monoculture(
        *sides,
        attribute=asked,
        group=group,
        text=text,
        keep=filters,
        skip_missing=skip_missing,
        sentiment_model=sentiment_model,
        positive=positive,
        topics=topics,
        n_topics=n_topics,
        embedder=embedder,
        device=device,
        draws=draws,
        seed=seed,
    )
    for note in found.meta["notes"]:
        print(f"clens: note: {InputError(note)}.", file=sys.stderr)
    _write(found, out, figure)
    if as_json:
        import json

        from creativity_lens.files import plain

        print(json.dumps(plain(_described(found))))
    else:
        _print(found)


def _refuse_unused(
    asked: list[str], sentiment_model: str | None, positive: str | None, topics: str, embedder: str | None
) -> None:
    """An option that nothing would read is a mistake."""
    from creativity_lens.errors import InputError

    if "sentiment" not in asked and (sentiment_model or positive):
        raise InputError("--sentiment-model and --positive: belong to --attribute sentiment, which is not asked for.")
    if positive is not None and sentiment_model is None:
        raise InputError("--positive: names a label of --sentiment-model, and none is given; leave it away.")
    if embedder is not None and "embedding" not in asked and not ("topic" in asked and topics == "kmeans"):
        raise InputError("--embedder: belongs to --attribute embedding or --topics kmeans, and neither is asked for.")


def _write(found: Any, out: str | None, figure: str | None) -> None:
    from pathlib import Path

    from creativity_lens.files import write_json, write_with

    if out is not None and out.endswith(".json"):
        write_json(Path(out), {**_described(found), "per_item": found.items.to_dict("records")})
    elif out is not None:
        write_with(Path(out), lambda path: found.items.to_csv(path, index=False))
    if out is not None:
        print(f"{found.meta['items']} items: {out}", file=sys.stderr)
    if figure is not None:
        from creativity_lens.reports.monoculture import write_monoculture

        write_monoculture(found, figure)
        print(f"Figure: {figure}", file=sys.stderr)


def _described(found: Any) -> dict[str, Any]:
    return {
        "sentence": found.sentence,
        "outcome": found.outcome,
        "table": found.table.to_dict("records"),
        "meta": found.meta,
    }


def _print(found: Any) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from creativity_lens.errors import InputError
    from creativity_lens.html_tables import with_interval

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("attribute", "measure", "side", "estimate"):
        table.add_column(heading, no_wrap=heading != "attribute")
    table.add_column("n", justify="right")
    table.add_column("p", justify="right", no_wrap=True)
    last = ""
    for row in found.table.itertuples():
        ends = with_interval(row.estimate, row.low, row.high, sign="+" if row.side == "difference" else "")
        unit = f" {row.unit}" if row.unit == "bits" else ""
        cells = ["" if row.attribute == last else row.attribute, row.measure, row.side, ends + unit, str(row.n)]
        table.add_row(*(Text(str(InputError(cell))) for cell in cells), "" if row.p != row.p else f"{row.p:.3g}")
        last = row.attribute
    console = Console(width=max(112, Console().width))
    console.print(table)
    for name, about in found.meta["attributes"].items():
        for topic, words in about["words"].items():
            console.print(Text(str(InputError(f"{name} {topic}: {', '.join(words)}"))), style="dim")
    for sentence in found.sentences.values():
        console.print(Text(str(InputError(sentence))))
    if found.meta["keep"]:
        kept = {side: f"{100 * done / max(1, of):.1f} % of {of}" for side, (done, of) in found.meta["kept"].items()}
        told = f"Kept by {'; '.join(found.meta['keep'])}: {kept['generated']} generated, {kept['source']} human texts."
        console.print(Text(str(InputError(told))))
