"""Scored texts with every word coloured by its projection: a page of its own, and a fragment for notebooks."""

from creativity_lens.colored.page import colored_tokens, write_colored

__all__ = ["colored_tokens", "write_colored"]
