"""Which item identifier is best? Generative-recommendation identifiers compared under one recommender."""

from __future__ import annotations

from bench.api import compare, load, read_results, run, write_report

__all__ = ["__version__", "compare", "load", "read_results", "run", "write_report"]

__version__ = "0.1.0"
