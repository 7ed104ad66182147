"""The local engine: works are done in this process, one after the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from creativity_lens.cell_store import CellStore
from creativity_lens.work import Result, Work, do, largest_first, work_key


@dataclass(frozen=True, eq=False)
class Local:
    """Works are done here; with a `store`, what it holds is read, and what is new is kept at once."""

    store: CellStore | None = None
    cache_bytes: int | None = None  # that the caches of one batch may take; None: from the memory that is free
    on_halved: Callable[[int], None] | None = None  # told at once when a batch is cut to so many rows

    @property
    def threads(self) -> int:
        """Threads that PyTorch uses in this process."""
        import torch

        return torch.get_num_threads()

    def keeping(self, store: CellStore, cache_bytes: int, on_halved: Callable[[int], None]) -> "Local":
        """The same engine for one run, which keeps its results."""
        return Local(store, cache_bytes, on_halved)

    def room(self, model: Any) -> int | None:
        """Bytes for the caches of a batch, as they were fixed."""
        return self.cache_bytes

    def run(self, model: Any, works: Sequence[Work]) -> Iterator[tuple[int, Result]]:
        """Do the works, the largest first. Under hooks of others nothing is kept: the results are not the model's."""
        store = None if model.is_hooked else self.store
        identity = model.identity | {"threads": self.threads} if store is not None else {}
        for number in largest_first(works):
            if store is None:
                yield number, do(model, works[number], self.on_halved)
                continue
            key = work_key(works[number], identity)
            found = store.read(key)
            if found is not None:
                if self.on_halved is not None:
                    for size in found.halved:
                        self.on_halved(size)
            else:
                found = do(model, works[number], self.on_halved)
                store.write(key, found)
            yield number, found
