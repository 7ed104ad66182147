"""The report of a run: one self-contained HTML file, from a sweep's table, texts and run, and people's ratings."""

from creativity_lens.reports.page import MAX_BYTES, write_report

__all__ = ["MAX_BYTES", "write_report"]
