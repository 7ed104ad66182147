"""The notebooks, run from top to bottom in a fresh kernel each, and stored with what they gave.

Prints the seconds and the size of each; with --write, puts the outputs into the files. Viewers on the web run no
scripts, so every figure is stored as a picture too. What would differ from run to run is not stored.
"""

import argparse
import base64
import math
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import plotly
from nbclient import NotebookClient
from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parent.parent / "notebooks"
NAMES = (
    "01_first_direction",
    "02_layer_sweep",
    "03_steer_and_score",
    "04_export_and_use_elsewhere",
    "05_price_of_alignment",
)
PLOTLY, PNG, WIDGET = "application/vnd.plotly.v1+json", "image/png", "application/vnd.jupyter.widget-view+json"
WIDTH, HEIGHT = 900, 450
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def main() -> None:
    """Run the notebooks named, or all, and say what they took; store them with --write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help="such as 01_first_direction")
    parser.add_argument("--write", action="store_true", help="put the outputs into the notebooks")
    options = parser.parse_args()
    with browser_page() as page:
        for name in options.names:
            path = FOLDER / f"{name}.ipynb"
            notebook, seconds = executed(path)
            for said in complaints(notebook):
                print(f"{name}: on standard error: {said}", file=sys.stderr)
            text = nbformat.writes(stored(notebook, page)) + "\n"
            print(f"{name}: {seconds:.0f} s, {len(text.encode()) / 1e6:.2f} MB", flush=True)
            if options.write:
                path.write_text(text, encoding="utf-8")


def executed(path: Path, *, limit: float = 600, folder: Path | None = None) -> tuple[Any, float]:
    """A notebook with the outputs of a run, and the seconds its cells took, the kernel's start not among them.

    It runs in `folder`, by default its own. Raises nbclient's errors for a cell that fails, and where all cells
    together take more than `limit` seconds.
    """
    notebook = nbformat.read(path, as_version=4)
    # the figure itself in the outputs, not a script that draws it
    environment = {**os.environ, "PLOTLY_RENDERER": "plotly_mimetype"}
    start = 0.0
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        record_timing=False,
        timeout_func=lambda cell: max(1, math.ceil(start + limit - time.monotonic())),
    )
    with client.setup_kernel(env=environment, cwd=str(folder or path.parent)):
        start = time.monotonic()
        for number, cell in enumerate(notebook.cells):
            client.execute_cell(cell, number)
        return notebook, time.monotonic() - start


def complaints(notebook: Any) -> list[str]:
    """What the cells wrote to standard error: warnings, and the progress of others."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]


def stored(notebook: Any, page: Page) -> Any:
    """The notebook as it is kept: figures with their picture, nothing that differs from run to run."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata.clear()
        if cell.cell_type != "code":
            continue
        # a progress bar is a widget, which is nothing without its kernel
        cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
        for output in cell.outputs:
            data = output.get("data", {})
            if PLOTLY in data:
                data[PNG] = base64.b64encode(picture(data[PLOTLY], page)).decode()
    nbformat.validate(notebook)
    return notebook


@contextmanager
def browser_page() -> Iterator[Page]:
    """A page of a headless browser that has plotly's own script."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_content("<div id='figure'></div>")
        page.add_script_tag(path=script)
        yield page
        browser.close()


def picture(figure: dict[str, Any], page: Page) -> bytes:
    """A plotly figure as a PNG image, as the browser draws it."""
    size = {"width": WIDTH, "height": figure["layout"].get("height", HEIGHT)}
    address = page.evaluate(
        "([figure, size]) => Plotly.toImage({data: figure.data, layout: figure.layout}, {format: 'png', ...size})",
        [figure, size],
    )
    return base64.b64decode(re.sub("^data:image/png;base64,", "", address))


if __name__ == "__main__":
    main()
