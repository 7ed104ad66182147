"""`python -m creativity_lens` is `clens`."""

from creativity_lens.cli import run

run()
