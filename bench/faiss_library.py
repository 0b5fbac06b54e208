"""faiss: the one module that imports it, says which build is there, and clusters with it.

Several distributions bring the package ``faiss``, and pip lets two of them write into one folder: the files of the last
one stay, and uninstalling either removes them from both. So with two of them nothing is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.devices import is_cpu
from bench.errors import BenchError
from bench.versions import installed

CPU_BUILD, GPU_BUILD = "faiss-cpu", "faiss-gpu"
DISTRIBUTIONS = (CPU_BUILD, GPU_BUILD, "faiss-gpu-cuvs", "faiss-gpu-cu12", "faiss-gpu-cu11")
ITERATIONS = 25  # of k-means
SEEDS = 2**31 - 1  # faiss has so many
SHARD = 1 << 18  # vectors that are worked on at once
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Build:
    """The library as it was imported: ``gpus`` are those that it sees, None where it is built without them."""

    version: str
    gpus: int | None

    def __str__(self) -> str:
        if self.gpus is None:
            return f"{self.version}, built for the CPU"
        return f"{self.version}, built for GPUs, of which it sees {self.gpus or 'none'}"


def distributions() -> dict[str, str]:
    """What is installed that brings faiss, with versions."""
    return {name: version for name in DISTRIBUTIONS if (version := installed(name))}


def key() -> tuple[str, ...]:
    """Of a library other than the two that every key names: its name and version."""
    return tuple(f"{name} {version}" for name, version in distributions().items() if name not in (CPU_BUILD, GPU_BUILD))


def conflict() -> str:
    """Why faiss cannot be relied on as it is installed, and the command that helps; empty where it can."""
    found = distributions()
    if len(found) < 2:
        return ""
    names, wanted = list(found), next((name for name in found if name != CPU_BUILD), CPU_BUILD)
    return (
        f"{' and '.join(names)} are installed together and overwrite each other's files; keep one: "
        f"pip uninstall -y {' '.join(names)} && pip install {wanted} (or {CPU_BUILD})"
    )


def library() -> Any:
    """The module. BenchError where there is none, where it does not load, or where two distributions bring it."""
    if reason := conflict():
        raise BenchError(reason)
    try:
        import faiss
    except ImportError as error:
        raise BenchError(f"k-means and the index need faiss ({error}): pip install {CPU_BUILD}") from error
    except (RuntimeError, OSError) as error:  # a build for GPUs looks for the libraries of CUDA
        cause = " ".join(str(error).split())[:200]
        raise BenchError(
            f"faiss does not load ({cause}); install what it lacks, or {CPU_BUILD} in its place"
        ) from error
    if not hasattr(faiss, "Kmeans"):  # what is left of a package when one of two distributions is uninstalled
        raise BenchError(
            f"the files of faiss are gone, though {' and '.join(distributions()) or 'its folder'} is there: "
            f"pip install --force-reinstall --no-deps {next(iter(distributions()), CPU_BUILD)}"
        )
    return faiss


def build() -> Build:
    """What is installed. BenchError as from ``library``."""
    faiss = library()
    for_gpus = hasattr(faiss, "StandardGpuResources")
    return Build(str(faiss.__version__), int(faiss.get_num_gpus()) if for_gpus else None)


def on_gpu(device: str) -> bool:
    """Whether faiss computes on the GPU for a run on this device; without a build for GPUs it takes the CPU."""
    return not is_cpu(device) and bool(build().gpus)


@contextmanager
def one_thread() -> Iterator[None]:
    """Faiss computes on one thread, then on as many as before: what it trains depends on their number (the rotation of
    OPQ does, in the last bits), and at the size of a catalogue one is the fastest.
    """
    faiss = library()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def kmeans(
    vectors: Vectors, size: int, seed: int, device: str = "cpu", learned: Vectors | None = None
) -> tuple[NDArray[np.int64], Vectors]:
    """Nearest centroid of every vector ``[n, d]``, and the centroids: ``size`` of them, or as many as there are
    vectors, learned from these or from others. On a GPU where the run is on one and faiss is built for it.
    """
    faiss = library()
    size, learned = min(size, len(vectors)), vectors if learned is None else learned
    clustering = faiss.Kmeans(
        vectors.shape[1],
        size,
        niter=ITERATIONS,
        seed=seed % SEEDS,
        min_points_per_centroid=1,
        max_points_per_centroid=max(256, len(learned) // size + 1),
        gpu=int(on_gpu(device)),
    )
    with one_thread():
        clustering.train(learned)
        found = [_nearest(clustering.index, vectors[rows]) for rows in shards(len(vectors))]
    return np.concatenate(found), np.asarray(clustering.centroids, np.float32)


def shards(count: int) -> Iterator[slice]:
    """Rows that are worked on at once."""
    return (slice(start, start + SHARD) for start in range(0, count, SHARD))


def nearest(vectors: Vectors, codebook: Vectors) -> NDArray[np.int64]:
    """The nearest row of ``codebook [codes, d]`` to each of ``vectors [n, d]``; of equally near ones the first."""
    index = library().IndexFlatL2(codebook.shape[1])
    index.add(codebook)
    with one_thread():
        return _nearest(index, vectors)


def _nearest(index: Any, vectors: Vectors) -> NDArray[np.int64]:
    found: NDArray[np.int64] = index.search(np.ascontiguousarray(vectors), 1)[1][:, 0]
    return found.astype(np.int64, copy=False)


def rotation(vectors: Vectors, levels: int) -> tuple[Vectors, Vectors]:
    """Vectors ``[n, d]`` turned so that ``levels`` blocks of dimensions carry like shares, and the matrix ``[d, d]``
    that turned them: OPQ (Ge et al., 2013), which faiss has for the CPU alone.
    """
    faiss = library()
    turn = faiss.OPQMatrix(vectors.shape[1], levels)
    turn.pq = quantizer = faiss.ProductQuantizer(vectors.shape[1], levels, 8)
    quantizer.cp.min_points_per_centroid = 1  # or every round would warn of few points
    with one_thread():
        turn.train(vectors)
        matrix = faiss.vector_to_array(turn.A).reshape(turn.d_out, turn.d_in)
        return np.asarray(turn.apply(vectors), np.float32), matrix
