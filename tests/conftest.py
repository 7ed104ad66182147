"""What every test may ask for: the built-in models, loaded once, and a cache that is not the user's.

The package is imported inside the fixtures: jaxtyping can check its annotations only where it is not yet imported when
pytest starts.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from creativity_lens.models import Model

# Tests run side by side: threads that wait for a core another process holds make small models many times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

collect_ignore = ["readers"]  # run where other people's programs are: make test-readers


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLENS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def chat() -> "Model":
    from creativity_lens.models import load_model

    return load_model("pocket-chat")


@pytest.fixture(scope="session")
def base() -> "Model":
    from creativity_lens.models import load_model

    return load_model("pocket-base")


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that loads is a mistake: what is wrong was known before."""
    from creativity_lens import models

    def load_model(*args, **options):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(models, "load_model", load_model)


@pytest.fixture
def with_chat(monkeypatch: pytest.MonkeyPatch, chat: "Model") -> None:
    """Commands get the built-in model that was loaded once for all tests."""
    from creativity_lens import models

    monkeypatch.setattr(models, "load_model", lambda *args, **options: chat)
