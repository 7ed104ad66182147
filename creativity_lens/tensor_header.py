"""The header of a safetensors file, put in order: the library writes its metadata in another order every time.

With it, equal content gives equal bytes.
"""

import json

LENGTH = 8  # bytes before the header that say how long it is, little-endian


def ordered(header: bytes) -> bytes:
    """The same header, of the same length, its metadata sorted by name.

    >>> ordered(b'{"__metadata__":{"b":"1","a":"2"}}  ')
    b'{"__metadata__":{"a":"2","b":"1"}}  '
    """
    parts = json.loads(header)
    if "__metadata__" in parts:
        parts["__metadata__"] = dict(sorted(parts["__metadata__"].items()))
    written = json.dumps(parts, separators=(",", ":"), ensure_ascii=False).encode()
    if len(written) > len(header):
        raise ValueError(f"expected a header of at most {len(header)} bytes, got {len(written)}")
    return written.ljust(len(header))


def ordered_file(data: bytes) -> bytes:
    """A whole file's bytes with its header in order."""
    end = LENGTH + int.from_bytes(data[:LENGTH], "little")
    return data[:LENGTH] + ordered(data[LENGTH:end]) + data[end:]
