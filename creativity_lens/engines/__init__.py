"""Engines: where a model's works are done, in this process or on workers elsewhere."""

from creativity_lens.engines.local import Local

__all__ = ["Local"]
