"""Spectral clustering of items by common users, on sparse matrices of any size.

Two items are joined by the number of users who took both. With ``X`` the 0/1 matrix of users by items, that graph is
``X' X`` without its diagonal: multiplying by it takes two sparse products, so nothing of items by items is stored.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.linalg import qr, svd
from scipy.sparse.csgraph import breadth_first_order, connected_components
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

DENSE = 256  # items up to which a dense matrix is as quick and never fails
RESTARTS = 100  # of the Lanczos iteration, after which only what has converged is taken
BASIS = 40  # Lanczos vectors, or three times the eigenvectors asked for
DECIMALS = 6  # to which entries of eigenvectors are compared; of equal ones the first counts
TOLERANCE = 1e-4  # of eigenvalues; clusters are told apart by far more


def components(user_item: sparse.csc_array) -> Numbers:
    """``[items]``: the connected piece each item belongs to; users join items."""
    found = connected_components(_bipartite(user_item), directed=False)[1]
    return np.unique(found[user_item.shape[0] :], return_inverse=True)[1].astype(np.int64)


def _bipartite(user_item: sparse.csc_array) -> sparse.csr_array:
    """The graph with users as nodes too, numbered before the items."""
    users, items = user_item.shape
    entries = user_item.tocoo()
    edges = (entries.row, users + entries.col)
    return sparse.coo_array((entries.data, edges), shape=(users + items, users + items)).tocsr()


def eigenvectors(user_item: sparse.csc_array, count: int, random: np.random.Generator) -> Floats:
    """``[items, count]``: first eigenvectors of the random walk on the graph, the constant one first.

    They are those of the normalized Laplacian, divided by the square root of the degree as in scikit-learn's
    spectral embedding. Fewer where not all converge, as on a graph that is one long chain. The graph must be
    connected and have two or more items.
    """
    joined = Joined(user_item)
    if user_item.shape[1] <= max(DENSE, 4 * count):
        values, vectors = np.linalg.eigh(joined.dense())
    else:
        values, vectors = _lanczos(joined, count, random.random(user_item.shape[1]))
    largest = np.argsort(-values, kind="stable")[:count]
    return np.asarray(vectors[:, largest] * joined.scale[:, None])


def walk(user_item: sparse.csc_array) -> Numbers:
    """``[items]``: the items of a connected graph by their distance from the first, breadth first."""
    users = user_item.shape[0]
    order = breadth_first_order(_bipartite(user_item), users, directed=False, return_predecessors=False)
    return np.asarray(order[order >= users] - users, np.int64)


class Joined:
    """The normalized adjacency matrix ``D^-1/2 A D^-1/2`` of the graph, as a product."""

    def __init__(self, user_item: sparse.csc_array) -> None:
        self.user_item, self.transposed = user_item.tocsr(), user_item.T.tocsr()
        self.diagonal = user_item.sum(axis=0)
        self.scale = np.ones(user_item.shape[1])
        self.scale = 1 / np.sqrt(self(self.scale))

    def __call__(self, vector: Floats) -> Floats:
        scaled = self.scale * vector.reshape(-1)
        return np.asarray(self.scale * (self.transposed @ (self.user_item @ scaled) - self.diagonal * scaled))

    def dense(self) -> Floats:
        together = (self.transposed @ self.user_item).toarray()
        np.fill_diagonal(together, 0)
        return np.asarray(self.scale[:, None] * together * self.scale)


def _lanczos(joined: Joined, count: int, start: Floats) -> tuple[Floats, Floats]:
    """The largest eigenvalues, ``[count]``, and their vectors, ``[items, count]``; fewer where not all converge."""
    operator = LinearOperator((len(start), len(start)), matvec=joined, dtype=np.float64)
    basis = max(BASIS, 3 * count)
    try:
        values, vectors = eigsh(operator, count, which="LA", v0=start, ncv=basis, maxiter=RESTARTS, tol=TOLERANCE)
    except ArpackNoConvergence as error:
        values, vectors = error.eigenvalues, error.eigenvectors
    return values, vectors


def cluster(vectors: Floats) -> Numbers:
    """``[items]``: at most as many clusters as there are eigenvectors, of which one or more are needed.

    Damle, Minden and Ying, "Simple, direct and efficient multi-way spectral clustering" (2019): pivoted QR picks one
    item for each cluster, the nearest rotation lines the eigenvectors up with them. It draws no random numbers, and
    neither signs nor rotations of the eigenvectors matter.
    """
    picked = qr(vectors.T, pivoting=True, mode="r")[1][: vectors.shape[1]]
    left, _, right = svd(vectors[picked].T)
    near = np.abs(vectors @ (left @ right))
    return np.asarray(np.round(near / near.max(), DECIMALS).argmax(axis=1), np.int64)
