"""What the two sides of a file of pairs are called, where they are not creativity's.

`creative` and `boring` are the names of the fields. A file may hold another contrast (formal against casual); a sidecar
beside it, `FILE.meta.json` with `{"sides": ["formal", "casual"]}`, names its sides for every table and figure.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError
from creativity_lens.files import write_text
from creativity_lens.rows import check_fields, checked_name, parse_row, read_lines

RESERVED = ("register", "sentiment", "formality", "length")  # names of controls and of nuisance directions


@dataclass(frozen=True)
class Sides:
    """The two names: the one that positive scores lean to, and the other.

    >>> Sides("formal", "casual").concept
    'formal'
    >>> Sides().concept
    'creativity'
    """

    creative: str = "creative"
    boring: str = "boring"

    @property
    def concept(self) -> str:
        """What the contrast is called in tables and titles."""
        return "creativity" if self.are_default else self.creative

    @property
    def urge(self) -> str:
        """What is said before a prompt to ask for the first side in plain words."""
        return f"Be {self.creative}. "

    @property
    def are_default(self) -> bool:
        """Whether this is the contrast that creativity-lens is about."""
        return (self.creative, self.boring) == ("creative", "boring")


def load_sides(path: str | Path | None, named: str | None = None) -> Sides:
    """The names of a file's sides: `named` ("formal,casual") before the sidecar before creative and boring.

    Raises `InputError` for names that are not two, equal, or those of a control.
    """
    if named is not None:
        return _checked("--sides", named.split(","))
    sidecar = sidecar_of(path) if path is not None else None
    if sidecar is None or not sidecar.exists():
        return Sides()
    lines = read_lines(sidecar, 'the names of a file\'s sides: {"sides": ["formal", "casual"]}')
    row = parse_row(str(sidecar), " ".join(line for _, line in lines))
    check_fields(str(sidecar), row, required=("sides",))
    if not isinstance(row["sides"], list):
        raise InputError(f'{sidecar}: field \'sides\': expected a list of two names; write ["formal", "casual"].')
    return _checked(f"{sidecar}: field 'sides'", row["sides"])


def write_sides(path: str | Path, sides: Sides) -> None:
    """Write the sidecar of a file of pairs."""
    write_text(sidecar_of(path), json.dumps({"sides": [sides.creative, sides.boring]}, ensure_ascii=False) + "\n")


def sidecar_of(path: str | Path) -> Path:
    """The sidecar's path: the file's with `.meta.json` behind."""
    return Path(f"{path}.meta.json")


def _checked(where: str, names: list[Any]) -> Sides:
    found = [checked_name(where, "sides", name.strip() if isinstance(name, str) else name) for name in names]
    if len(found) != 2 or found[0].casefold() == found[1].casefold():
        raise InputError(f"{where}: expected two different names such as formal,casual; got {', '.join(found)}.")
    if taken := [name for name in found if name.casefold() in RESERVED]:
        raise InputError(f"{where}: '{taken[0]}' is the name of a control; expected others, such as formal,casual.")
    return Sides(*found)
