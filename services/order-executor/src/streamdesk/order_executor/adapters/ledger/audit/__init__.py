"""Audit of the books: every figure that is kept is recomputed from what it follows from."""

from streamdesk.order_executor.adapters.ledger.audit.book_audit import BookAudit, Checked, verify
from streamdesk.order_executor.adapters.ledger.audit.findings import Discrepancy, Findings

__all__ = ["BookAudit", "Checked", "Discrepancy", "Findings", "verify"]
