"""What a run that was broken off leaves in its folder: results, and files that were being written."""

import random
from pathlib import Path

from creativity_lens.cell_store import CellStore
from creativity_lens.runs import CELLS
from creativity_lens.storage import open_storage


def is_leftover(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".partial")


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if is_leftover(path)]


def cells(folder: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in folder.glob(f"{CELLS}/*.cell")}


def damage(folder: Path) -> list[str]:
    store = CellStore(open_storage(folder / CELLS))
    return [name for name in store.names() if store.check(name)]


def spoil(found: list[Path], chance: random.Random, folder: Path) -> None:
    """What a broken write left becomes something that looks whole, and is wrong."""
    known = sorted(folder.glob(f"{CELLS}/*.cell"))
    for path in found:
        wrong = chance.choice(known).read_bytes() if known else b"wrong"
        path.write_bytes(wrong[: chance.choice([0, 1, len(wrong) // 2, len(wrong)])])
