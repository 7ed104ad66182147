"""The data card says what the linter says, and the files load where people load such files."""

import importlib.util
import re
from pathlib import Path

import pandas as pd
import pytest

from creativity_lens.lint import lint_pairs
from creativity_lens.prompts import SHIPPED, load_pairs

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "data" / "contrastive_pairs"
FIELDS = [
    *("id", "topic", "domain", "kind", "split", "neutral", "creative", "boring"),
    *("creative_response", "boring_response"),
]


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("pairs_card", ROOT / "docs" / "pairs_card.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def card() -> str:
    return (FOLDER / "README.md").read_text(encoding="utf-8")


def section(card: str, name: str) -> str:
    return re.search(f"<!-- {name} -->\n(.*?)\n<!-- end of {name} -->", card, flags=re.S)[1]


def test_counts_and_hashes_are_those_of_the_files(card, program):
    assert section(card, "counts") == program.counts(load_pairs())


def test_the_form_of_the_other_files_is_as_it_says(card, program):
    assert section(card, "form") == program.form_table()


def test_what_the_words_of_the_gate_s_requests_tell_is_as_it_says(card, program):
    assert section(card, "gate words") == program.gate_words_table()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pocket-chat", "pocket-base"])
def test_how_well_the_gates_decide_is_measured(card, program, name):
    """One request of 24 on the other side of a threshold is 0.04."""
    alike(section(card, f"gate {name}"), program.gate_table(name), abs=0.05)


@pytest.mark.slow
def test_every_figure_is_the_linter_s(card, program):
    assert section(card, "lint") == program.lint_table(lint_pairs(load_pairs()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pocket-chat", "pocket-base"])
def test_what_the_models_read_is_measured(card, program, name):
    """Figures to two decimals may differ by rounding, and by the last bits of another machine's sums."""
    alike(section(card, name), program.readout_table(name, load_pairs()), abs=0.03)


def alike(said: str, found: str, *, abs: float) -> None:
    numbers = r"\d\.\d\d"
    assert re.sub(numbers, "#", said) == re.sub(numbers, "#", found)
    for one, other in zip(re.findall(numbers, said), re.findall(numbers, found), strict=True):
        assert float(one) == pytest.approx(float(other), abs=abs)


@pytest.mark.parametrize("name", ["pairs", *SHIPPED])
def test_pandas_reads_the_files_unchanged(name):
    rows = pd.read_json(FOLDER / f"{name}.jsonl", lines=True, dtype=False)
    pairs = load_pairs(FOLDER / f"{name}.jsonl")
    assert list(rows.columns) == FIELDS
    assert rows["creative_response"].tolist() == [pair.creative_response for pair in pairs]
    assert rows["id"].tolist() == [pair.id for pair in pairs]


@pytest.mark.parametrize("name", ["pairs", "adversarial"])
def test_datasets_reads_the_files_unchanged(name, tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed; TransformerLens usually brings it")
    file = str(FOLDER / f"{name}.jsonl")
    rows = datasets.load_dataset("json", data_files=file, split="train", cache_dir=str(tmp_path))
    pairs = load_pairs(file)
    assert rows.column_names == FIELDS
    assert rows["boring_response"][:] == [pair.boring_response for pair in pairs]


def test_the_card_is_spoken_of_where_its_files_are(card):
    for file in sorted(FOLDER.glob("*.jsonl")):
        assert f"`{file.name}`" in card
