"""Reports, each one self-contained HTML file: of a sweep with people's ratings, and of an audit."""

from creativity_lens.reports.audit import write_audit_report
from creativity_lens.reports.page import write_report
from creativity_lens.reports.shell import MAX_BYTES

__all__ = ["MAX_BYTES", "write_audit_report", "write_report"]
