"""Draft by CORE, local folders only; STORE replaces this file."""

from dataclasses import dataclass
from pathlib import Path

from creativity_lens.files import whole_file


@dataclass(frozen=True)
class Storage:
    place: str
    root: Path

    def read(self, name: str) -> bytes | None:
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            temporary.write_bytes(data)

    def names(self, folder: str = "") -> list[str]:
        top = self.root / folder
        return sorted(p.relative_to(self.root).as_posix() for p in top.rglob("*") if p.is_file())

    def delete(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    def within(self, folder: str) -> "Storage":
        return Storage(self.place, self.root / folder)


def is_url(place: str | Path) -> bool:
    return "://" in str(place)


def open_storage(place: str | Path) -> Storage:
    return Storage(str(place), Path(place))
