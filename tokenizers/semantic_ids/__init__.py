"""Semantic identifiers: an item is the codes that a quantizer gives the embedding of its text.

``semantic/rqvae`` learns an auto-encoder with residual codebooks (TIGER; MTGRec, section 3.2), ``semantic/rqkmeans``
is k-means on residuals, ``semantic/pq`` and ``semantic/opq`` quantize blocks of dimensions. ``semantic/mtgrec``
pre-trains the recommender on the codes of many epochs of one RQ-VAE.
"""

from semantic_ids.mtgrec import MtgRec, SingleVariant, UniformMixture
from semantic_ids.schemes import Opq, Pq, RqKmeans, RqVae

__all__ = ["MtgRec", "Opq", "Pq", "RqKmeans", "RqVae", "SingleVariant", "UniformMixture"]
