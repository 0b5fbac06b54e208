"""Semantic identifiers: an item is the codes that a quantizer gives the embedding of its text.

``semantic/rqvae`` learns an auto-encoder with residual codebooks (TIGER; MTGRec, section 3.2), ``semantic/rqkmeans``
is k-means on residuals, with clusters of equal size in ``-balanced`` (OneRec) and with codebooks that go on learning
in ``semantic/rqkmeans+`` (GPR), ``semantic/fsq`` rounds channels, ``semantic/pq`` and ``semantic/opq`` quantize blocks
of dimensions. ``semantic/letter`` aligns codes with what users chose and spreads them. ``semantic/mtgrec`` pre-trains
the recommender on the codes of many epochs of one RQ-VAE. ``set/rpg`` has many codes that are written at once.
"""

from semantic_ids.letter import Letter, LetterNoCf, LetterNoDiversity
from semantic_ids.mtgrec import MtgRec, SingleVariant, UniformMixture
from semantic_ids.rpg import Rpg
from semantic_ids.schemes import Fsq, Opq, Pq, RqKmeans, RqKmeansBalanced, RqKmeansPlus, RqVae

__all__ = [
    "Fsq",
    "Letter",
    "LetterNoCf",
    "LetterNoDiversity",
    "MtgRec",
    "Opq",
    "Pq",
    "Rpg",
    "RqKmeans",
    "RqKmeansBalanced",
    "RqKmeansPlus",
    "RqVae",
    "SingleVariant",
    "UniformMixture",
]
