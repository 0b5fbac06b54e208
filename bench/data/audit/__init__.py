"""What a data set is like, and what it can and cannot measure."""

from bench.data.audit.statistics import order_notes, plain, rows, statistics

__all__ = ["order_notes", "plain", "rows", "statistics"]
