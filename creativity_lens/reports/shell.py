"""What every report is made of: one HTML file that opens offline, prints, and trusts nothing it holds.

What must hold: every text and name is escaped by the template or set with `textContent`; JSON blocks cannot end their
own `<script>`; the page's content security policy names the hashes of its two scripts, so that no other one runs and
nothing is fetched; the file stays under `MAX_BYTES`.
"""

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from creativity_lens import files
from creativity_lens.page_safety import embedded_json, source_hash

MAX_BYTES = 8_000_000
ROOM = 400_000  # bytes for the page's words and tables
FOLDER = Path(__file__).parent


def scripts_of(*names: str) -> list[str]:
    """The two scripts of a page: plotly, and the package's own of these names as one."""
    own = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)
    return [_source(get_plotlyjs()), _source(own)]


def style_of(*names: str) -> str:
    """The page's style sheets of these names as one."""
    return "".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


def look(place: int, figure: go.Figure) -> dict[str, Any]:
    """A figure's data for the page; its title becomes a caption, which wraps on a narrow screen."""
    parts = figure.to_plotly_json()
    title = html.unescape(str(parts["layout"].pop("title", {}).get("text", "")))
    parts["layout"].setdefault("margin", {})["t"] = 34
    missing = "" if parts["data"] else html.unescape(parts["layout"]["annotations"][0]["text"])
    found = {"number": place, "title": title, "height": parts["layout"]["height"], "missing": missing}
    return found | {"json": "" if missing else embedded_json(rounded(parts))}


def used_bytes(scripts: Sequence[str], figures: Mapping[str, Mapping[str, Any]]) -> int:
    """How much of the file its scripts and figures take."""
    return sum(len(part.encode()) for part in scripts) + sum(len(figure["json"]) for figure in figures.values())


def write_page(template: str, path: Path, *, scripts: Sequence[str], **parts: Any) -> Path:
    """Fill a template that extends `base.html.j2`, write it whole or not at all, and return the path."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(policy=_policy(scripts), scripts=scripts, **parts)
    path = Path(path)
    # A lone surrogate in a name has no UTF-8; texts carry theirs inside JSON escapes.
    files.write_text(path, page.encode("utf-8", "replace").decode("utf-8"))
    return path


def rounded(value: Any) -> Any:
    """To five significant digits, more than a screen shows; NaN and infinities become null, as JSON has neither."""
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def _source(script: str) -> str:
    """A script as the browser's parser will see it, since its hash is taken over that."""
    return "\n" + script.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script") + "\n"


def _policy(scripts: Sequence[str]) -> str:
    hashes = " ".join(map(source_hash, scripts))
    # Plotly styles its elements in place; pictures are what its download button draws.
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
