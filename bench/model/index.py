"""A faiss index over the catalogue of a recommender whose items are vectors, for recommending at scale."""

from __future__ import annotations

import numpy as np

from bench.data.dataset import Sequences
from bench.errors import BenchError
from bench.faiss_library import library
from bench.model.recommender import TopK
from bench.model.vector_set import VectorSetRecommender

EXACT = "Flat"


class CatalogueIndex:
    """Searches the items' vectors, laid side by side, for the highest inner product with a user's.

    ``kind`` is a description for faiss's ``index_factory``. ``Flat`` compares with every item: its scores are those of
    ``VectorSetRecommender.rank`` up to rounding. Others, such as ``IVF1024,Flat``, are approximate and faster. The
    index holds the catalogue as it was when the index was made, and reads histories as its vectors. BenchError without
    faiss, or where it can't build this.
    """

    def __init__(self, recommender: VectorSetRecommender, kind: str = EXACT) -> None:
        self.recommender = recommender.eval()
        self.vectors = recommender.catalogue()
        catalogue = self.vectors.cpu().numpy()
        faiss = library()
        try:
            self.index = faiss.index_factory(catalogue.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
            self.index.train(catalogue)
            self.index.add(catalogue)
        except RuntimeError as error:
            cause = " ".join(str(error).split())[-160:]
            raise BenchError(f"faiss can't build an index '{kind}' over {len(catalogue):,} items: {cause}") from error

    def search(self, histories: Sequences, count: int, without: Sequences | None = None) -> TopK:
        """The best ``count`` items for every history, as ``rank`` gives them; none of its row of ``without``."""
        longest = 0 if without is None else int(without.lengths.max(initial=0))
        wanted = min(count + longest, self.index.ntotal)
        scores, items = self.index.search(self.recommender.query(histories, self.vectors).cpu().numpy(), wanted)
        valid = items >= 0
        if without is not None:
            valid &= ~np.stack([np.isin(items[row], without[row]) for row in range(len(without))])
        order = np.lexsort((items, -scores, ~valid))[:, :count]
        items, scores, valid = (np.take_along_axis(array, order, 1) for array in (items, scores, valid))
        return TopK(items, scores, valid, complete=count >= self.index.ntotal)
