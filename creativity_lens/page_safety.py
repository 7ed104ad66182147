"""What keeps a page that we write from running what it holds: data that cannot end its element, sources by their hash.

Texts stand in JSON blocks and are shown as text; the content security policy of each page names the hashes of its own
scripts and styles, so that no other one runs.
"""

import base64
import hashlib
import json
import re
from typing import Any


def embedded_json(value: Any) -> str:
    """JSON that is safe inside `<script type="application/json">`: no character in it can end the element.

    >>> embedded_json("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text)


def source_hash(source: str) -> str:
    """How a content security policy names a script or style, given as the browser's parser will see it.

    >>> source_hash("")
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
