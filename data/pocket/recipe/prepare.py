"""Turn public text into the four corpora.

--sources holds four folders, and a file's ending says how it is read:
  imaginative/  *.txt  the collections ChiLit (children's literature) and AAW (African American writers) of CLiC
  novels/       *.txt  the collection ArTs of CLiC, without The Return of the Soldier (soldier.txt)
  plain/        *.md   the pages of digital.gov and of the 18F handbook (US General Services Administration)
                *.txt  Beeton's Book of Household Management (Project Gutenberg)
  simple/       *.txt  stories of TinyStories, a blank line or <|endoftext|> between two; *.json: a list of stories

example: python -m recipe.prepare --sources sources --corpus corpus
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from creativity_lens.errors import InputError
from recipe.corpus import COPIES, Document, write_collection
from recipe.settings import command, say


@dataclass(frozen=True)
class Preparation:
    """Settings of this step."""

    sources: Annotated[Path, "folder with imaginative/, novels/, plain/ and simple/"]
    corpus: Annotated[Path, "folder to write the four .jsonl.gz files to"]


TYPOGRAPHY = str.maketrans({
    "_": "", "“": '"', "”": '"', "’": "'", "‘": "'", "—": " - ", "–": "-", "…": "..."
})  # fmt: skip
HEADING = re.compile(r"(CHAPTER|BOOK|PART|VOLUME)\b")
MARKUP = [  # in this order
    (r"(?s)\A---.*?\n---\s*\n", ""),  # front matter
    (r"(?s)\{\{.*?\}\}", ""),  # short codes
    (r"<[^>]+>", ""),
    (r"!\[[^\]]*\]\([^)]*\)", ""),  # images
    (r"\[([^\]]*)\]\([^)]*\)", r"\1"),  # links keep their words
    (r"(?m)^#+ .*$", ""),  # headings
    (r"(?m)^\s*([-*+]|\d+\.)\s+", ""),  # list marks
    (r"[*`>]", ""),
    (r"https?://\S+", ""),
]


def plain_paragraphs(text: str) -> list[str]:
    """Paragraphs of prose in ASCII: headings, tables and lines of fewer than six words are left out.

    Other characters are dropped, not spelt out ("Brontë" is "Bront"), as they were for the shipped weights.
    """
    kept = []
    for block in re.split(r"\n\s*\n", text.replace("\r", "")):
        line = block.translate(TYPOGRAPHY).replace("--", " - ")
        line = re.sub(r"\s+", " ", re.sub(r"\[[^\]]{0,60}\]", "", re.sub(r"\s+", " ", line))).strip()
        letters = sum(character.isalpha() for character in line)
        if len(line.split()) >= 6 and letters >= 0.7 * len(line) and line.upper() != line and not HEADING.match(line):
            kept.append(line.encode("ascii", "ignore").decode())
    return kept


def markdown_paragraphs(text: str) -> list[str]:
    """Paragraphs of twelve words or more of a Markdown page, its markup taken off."""
    for pattern, replacement in MARKUP:
        text = re.sub(pattern, replacement, text)
    return [paragraph for paragraph in plain_paragraphs(text) if len(paragraph.split()) >= 12]


def documents(folder: Path, ending: str, paragraphs: Callable[[str], list[str]]) -> Iterator[Document]:
    """One document a file, in the order of their paths; those with fewer than 200 characters of prose are left out."""
    for path in sorted(folder.rglob(f"*.{ending}")):
        document = Document(path.stem, paragraphs(path.read_text(encoding="utf-8", errors="ignore")))
        if sum(map(len, document.paragraphs)) >= 200:
            yield document


def stories(folder: Path) -> Iterator[Document]:
    """One document a story; of stories that begin with the same 80 characters only the first, none of under 200."""
    found: list[str] = []
    for path in sorted([*folder.rglob("*.json"), *folder.rglob("*.txt")]):
        text = path.read_text(encoding="utf-8", errors="ignore")
        found += json.loads(text) if path.suffix == ".json" else re.split(r"\n\s*\n|<\|endoftext\|>", text)
    seen = set()
    for story in (re.sub(r"\s+", " ", item).strip() for item in found):
        if len(story) > 200 and story[:80] not in seen:
            seen.add(story[:80])
            yield Document("tinystories", [story.encode("ascii", "ignore").decode()])


def prepare(settings: Preparation) -> None:
    """Write the four corpora, or say which source is missing."""
    settings.corpus.mkdir(parents=True, exist_ok=True)
    for name in COPIES:
        folder = settings.sources / name
        if name == "simple":
            made = list(stories(folder))
        else:
            made = [*documents(folder, "md", markdown_paragraphs), *documents(folder, "txt", plain_paragraphs)]
        if not made:
            raise InputError(f"{folder}: expected text files with prose, found none; see --help for what goes where.")
        write_collection(settings.corpus, name, made)
        characters = sum(len(paragraph) for document in made for paragraph in document.paragraphs)
        say(f"{name}: {len(made)} documents, {characters / 1e6:.1f} M characters")


if __name__ == "__main__":
    command(Preparation, prepare, __doc__)
