"""The notebooks run from top to bottom without a warning, define nothing, and are stored with their outputs."""

import ast
import base64
import importlib.util
import json
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError, CellTimeoutError

ROOT = Path(__file__).parent.parent
NAMES = (
    "01_first_direction",
    "02_layer_sweep",
    "03_steer_and_score",
    "04_export_and_use_elsewhere",
    "05_price_of_alignment",
)
LIMIT = 60  # seconds, the kernel's start left out
LARGEST = 1_500_000
PNG = "image/png"
MACHINE = re.compile(r"(?<![\w.:-])/(?:tmp|work|root|home|Users|usr|opt|var|mnt)/\w|file://|\.venv|site-packages")


@pytest.fixture(scope="module")
def program() -> Any:
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "docs" / "notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(name: str) -> Any:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(notebook: Any) -> list[list[tuple[str, ...]]]:
    """Per code cell what its outputs are; pictures, which are added when a notebook is stored, left out."""
    return [
        [(output.output_type, *sorted(set(output.get("data", ())) - {PNG})) for output in cell.outputs]
        for cell in code(notebook)
    ]


def test_these_are_all_of_them(program):
    assert sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")) == list(NAMES)
    assert program.NAMES == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_imports_and_calls_and_defines_nothing(name):
    for cell in code(load(name)):
        tree = ast.parse(cell.source)  # a magic would not be Python
        defining = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
        assert not [node for node in ast.walk(tree) if isinstance(node, defining)]
        filtered = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and "warnings" in node.attr]
        assert not filtered
        assert "import warnings" not in cell.source
        assert len(cell.source.splitlines()) <= 20
        assert max(len(line) for line in cell.source.splitlines()) <= 110, "as wide as viewers show"


@pytest.mark.parametrize("name", NAMES)
def test_it_is_stored_with_what_it_gave_and_nothing_of_the_machine(name):
    file = ROOT / "notebooks" / f"{name}.ipynb"
    notebook = load(name)
    nbformat.validate(notebook)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert [cell.id for cell in notebook.cells] == [f"{name[:2]}-{n:02d}" for n in range(1, len(notebook.cells) + 1)]
    assert all(cell.source.strip() and cell.metadata == {} for cell in notebook.cells)
    assert notebook.cells[0].source.startswith("# ")
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1)), "top to bottom"
    for cell in code(notebook):
        shows = isinstance(ast.parse(cell.source).body[-1], ast.Expr)
        assert bool(cell.outputs) >= shows, cell.source
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"execute_result", "display_data", "stream"}
    for output in outputs:
        data = dict(output.get("data", {}))
        assert ("application/vnd.plotly.v1+json" in data) == (PNG in data), "viewers on the web run no scripts"
        if PNG in data:
            assert base64.b64decode(data.pop(PNG)).startswith(b"\x89PNG")
        assert "application/vnd.jupyter.widget-view+json" not in data
        said = MACHINE.search(output.get("text", "") + json.dumps(data))
        assert said is None, said
    assert file.stat().st_size <= LARGEST


def test_what_no_notebook_may_hold_would_be_found():
    """A control of the test above."""
    assert MACHINE.search('see "' + "/".join(["", "tmp", "tmp3x"]) + '/formal.gguf"')
    assert MACHINE.search("in " + "/".join(["", "usr", "lib"]))
    assert not MACHINE.search("https://example.org/home/page, 3/4, a/b")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_within_a_minute_without_warnings_and_gives_what_is_stored(name, program, tmp_path):
    copied = shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", tmp_path)
    notebook, seconds = program.executed(Path(copied), limit=LIMIT)
    assert program.complaints(notebook) == []
    assert seconds <= LIMIT
    assert kinds(notebook) == kinds(load(name)), "stored as it runs today: make notebooks"
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in load(name).cells]
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.ipynb"], "it leaves nothing beside itself"


def written(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.mark.slow
def test_a_warning_a_failure_and_a_late_one_are_found(program, tmp_path):
    """The controls of the test above."""
    warns = written(tmp_path / "warns.ipynb", "import warnings", "warnings.warn('mind the gap')\n1")
    notebook, seconds = program.executed(warns)
    assert "mind the gap" in "".join(program.complaints(notebook))
    assert 0 < seconds < 60
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        program.executed(written(tmp_path / "fails.ipynb", "1", "1 / 0"))
    with pytest.raises(CellTimeoutError):
        program.executed(written(tmp_path / "late.ipynb", *["import time\ntime.sleep(1)"] * 4), limit=2)


@pytest.mark.slow
def test_figures_are_stored_with_a_picture_and_progress_is_not(program, tmp_path):
    if shutil.which("chromium") is None and shutil.which("chromium-browser") is None:
        pytest.skip("no chromium on this machine: install it to draw pictures")
    draws = "import plotly.express as px\npx.line(x=[0, 1], y=[2, 3], height=300)"
    notebook, _ = program.executed(written(tmp_path / "draws.ipynb", draws))
    widget = nbformat.v4.new_output("display_data", {program.WIDGET: {"model_id": "a"}, "text/plain": "Output()"})
    notebook.cells[0].outputs.append(widget)
    with program.browser_page() as page:
        kept = program.stored(notebook, page)
    (output,) = kept.cells[0].outputs
    png = base64.b64decode(output.data[PNG])
    assert [int.from_bytes(png[at : at + 4]) for at in (16, 20)] == [900, 300], "as wide as viewers, as high as drawn"
    assert output.data[program.PLOTLY]["data"][0]["type"] == "scatter"
