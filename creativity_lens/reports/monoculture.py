"""The figures of a measure of monoculture as one page that opens offline.

Names of items and topics are the user's: they are escaped, data cannot end their element, and the page's content
security policy names the hashes of its two scripts.
"""

import html
from pathlib import Path

from plotly.offline import get_plotlyjs

from creativity_lens import __version__
from creativity_lens.figures.monoculture import monoculture_figure
from creativity_lens.files import plain, write_text
from creativity_lens.monoculture import Monoculture
from creativity_lens.page_safety import embedded_json, source_hash

_DRAW = """
document.querySelectorAll("[data-figure]").forEach(function (box) {
  var figure = JSON.parse(document.getElementById(box.dataset.figure).textContent);
  Plotly.newPlot(box, figure.data, figure.layout, { responsive: true, displaylogo: false });
});
"""
_STYLE = """
body { font: 15px/1.5 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif; color: #1a1a1a;
  background: #ffffff; margin: 2em auto; max-width: 62em; padding: 0 1em; }
table { border-collapse: collapse; font-size: 13px; } h1 { font-size: 22px; } h2 { font-size: 17px; margin-top: 2em; }
th, td { text-align: left; padding: 0.15em 1em 0.15em 0; vertical-align: top; } footer { color: #595959; }
"""


def write_monoculture(found: Monoculture, path: str | Path) -> Path:
    """Write verdict, figure and top words of every attribute to one HTML file, whole, and return its path.

    >>> write_monoculture(measure_monoculture(generated, source), "monoculture.html")       # doctest: +SKIP
    """
    scripts = ["\n" + script.replace("\r", "").replace("</script", "<\\/script") for script in (get_plotlyjs(), _DRAW)]
    parts = []
    for place, name in enumerate(found.attributes):
        figure = plain(monoculture_figure(found.items, found.meta, name).to_plotly_json())
        figure["layout"].pop("title")  # the heading above it says the same
        figure["layout"]["margin"] = {"t": 40}
        about = found.meta["attributes"][name]
        words = "".join(
            f"<tr><th>{html.escape(topic)}</th><td>{html.escape(', '.join(listed))}</td></tr>"
            for topic, listed in about["words"].items()
        )
        parts.append(
            f"<h2>{html.escape(name)}</h2><p>{html.escape(found.sentences[name])}</p>"
            f"<div id='figure-{place}' data-figure='data-{place}'></div>"
            f"<script type='application/json' id='data-{place}'>{embedded_json(figure)}</script>"
            + (f"<p>Topics, the largest first, and their words:</p><table>{words}</table>" if words else "")
        )
    meta = found.meta
    policy = f"default-src 'none'; script-src {' '.join(map(source_hash, scripts))}; style-src 'unsafe-inline'; "
    policy += "img-src data: blob:; base-uri 'none'; form-action 'none'"
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in meta["notes"])
    kept = [
        f"{side}: {meta['kept'][side][0]} of {meta['kept'][side][1]} texts kept by {'; '.join(meta['keep'])}"
        for side in meta["kept"]
        if meta["keep"]
    ]
    notes += "".join(f"<li>{html.escape(line)}</li>" for line in kept)
    page = (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">'
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>Monoculture</title><style>{_STYLE}</style></head><body><h1>Monoculture</h1>"
        f"<p>{html.escape(meta['generated'])} against {html.escape(meta['source'])}, {meta['items']} items by "
        f"{html.escape(meta['group'])}.</p>{''.join(parts)}<ul>{notes}</ul>"
        "<p>A point is an item, at equal numbers of generated and human texts; below the diagonal its generated texts "
        "are more alike than its human ones. The bars show where the items' own means lie.</p>"
        f"<footer>creativity-lens {__version__}, seed {meta['seed']}, {meta['draws']} draws</footer>"
        f"<script>{scripts[0]}</script><script>{scripts[1]}</script></body></html>\n"
    )
    path = Path(path)
    write_text(path, page.encode("utf-8", "replace").decode("utf-8"))
    return path
