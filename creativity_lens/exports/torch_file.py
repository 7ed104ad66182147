"""Torch files, which two readers ask for. They are written, of plain types only, and never read back."""

import io
from pathlib import Path
from typing import Any

from creativity_lens.files import write_with


def write_torch(path: Path, value: Any) -> None:
    """Write a value of dicts, texts, numbers and tensors whole, so that it loads with `weights_only=True`.

    By way of memory: written straight to a file, torch reports a full disk as an error of its own.
    """
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    write_with(path, lambda temporary: temporary.write_bytes(buffer.getvalue()))
