"""Which item identifier is best? Generative-recommendation identifiers compared under one recommender."""

__version__ = "0.1.0"
