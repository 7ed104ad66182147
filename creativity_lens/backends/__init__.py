"""Backends: programs other than TransformerLens's own bridge that draw texts for a model. There is one, vLLM."""

from creativity_lens.backends.edits import by_edit, check_writable
from creativity_lens.backends.vllm import Writer, boot_writer

__all__ = ["Writer", "boot_writer", "by_edit", "check_writable"]
