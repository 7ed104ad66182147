"""Monoculture: generated text that is narrower than the human text about the same things, and how that is shown."""

from creativity_lens.monoculture.measuring import measure_monoculture
from creativity_lens.monoculture.reading import Filter, Side, load_side, read_filter
from creativity_lens.monoculture.result import Monoculture

__all__ = ["Filter", "Monoculture", "Side", "load_side", "measure_monoculture", "read_filter"]
