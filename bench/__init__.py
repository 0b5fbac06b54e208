"""Which item identifier is best? Generative-recommendation identifiers compared under one recommender."""

from __future__ import annotations

from bench.api import load

__all__ = ["__version__", "load"]

__version__ = "0.1.0"
