"""faiss: which build is there, what is said of two at once, and that what it learns is the same either way."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest

from bench import devices, faiss_library
from bench.commands import examination
from bench.errors import BenchError


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Puts a distribution of this name and version where Python looks for them, as pip notes one."""

    def put(name: str, version: str) -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    return put


def test_the_build_is_told_from_what_is_imported() -> None:
    found = faiss_library.build()
    assert found.version == faiss.__version__
    assert (found.gpus is None) == (not hasattr(faiss, "StandardGpuResources"))
    assert str(faiss_library.Build("1.15.1", None)) == "1.15.1, built for the CPU"
    assert str(faiss_library.Build("1.15.1", 0)) == "1.15.1, built for GPUs, of which it sees none"
    assert str(faiss_library.Build("1.15.1", 2)) == "1.15.1, built for GPUs, of which it sees 2"


def test_two_distributions_at_once_are_refused_with_the_command_that_helps(install) -> None:  # type: ignore[no-untyped-def]
    assert not faiss_library.conflict()
    install("faiss-gpu", "1.15.1")
    with pytest.raises(BenchError) as caught:
        faiss_library.kmeans(np.eye(4, dtype=np.float32), 2, 0)
    assert str(caught.value).count("\n") == 0
    assert "pip uninstall -y faiss-cpu faiss-gpu && pip install faiss-gpu (or faiss-cpu)" in str(caught.value)
    (fact,) = (fact for fact in examination._libraries() if fact.name == "faiss")
    assert fact.broken
    assert "installed together" in fact.value


def test_the_build_for_gpus_alone_is_no_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_library, "installed", {"faiss-gpu": "1.15.1"}.get)
    monkeypatch.setattr(examination, "installed", lambda name: None if name == "faiss-cpu" else "99")
    facts = {fact.name: fact for fact in examination._libraries()}
    assert "faiss-cpu" not in facts
    assert not facts["faiss"].broken
    assert not faiss_library.conflict()


def test_what_is_left_of_an_uninstalled_package_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uninstalling one of two takes the files of both, and leaves a folder that Python imports as an empty package."""
    monkeypatch.delitem(__import__("sys").modules, "faiss")
    (tmp_path / "faiss").mkdir()
    (tmp_path / "faiss" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BenchError, match=r"files of faiss are gone.*pip install --force-reinstall --no-deps faiss-cpu"):
        faiss_library.library()
    (tmp_path / "faiss" / "__init__.py").write_text("raise RuntimeError('libcudart.so.12 is missing')")
    monkeypatch.delitem(__import__("sys").modules, "faiss", raising=False)
    with pytest.raises(BenchError, match=r"faiss does not load \(libcudart"):
        faiss_library.library()


def test_keys_say_nothing_of_the_cpu_and_of_the_usual_libraries(install) -> None:  # type: ignore[no-untyped-def]
    assert devices.key("cpu") == () == faiss_library.key()
    assert devices.key("pretend:0") == devices.key("pretend:1") == ("pretend",)
    install("faiss-gpu-cu12", "1.14.1")
    assert faiss_library.key() == ("faiss-gpu-cu12 1.14.1",)


def test_kmeans_is_that_of_the_library_itself() -> None:
    vectors = np.random.default_rng(0).standard_normal((400, 8)).astype(np.float32)
    codes, centroids = faiss_library.kmeans(vectors, 16, 3)
    plain = faiss.Kmeans(8, 16, niter=25, seed=3, min_points_per_centroid=1)
    with faiss_library.one_thread():
        plain.train(vectors)
    assert np.array_equal(plain.centroids, centroids)
    distances = ((vectors[:, None] - centroids) ** 2).sum(-1)
    assert np.allclose(distances.min(1), distances[np.arange(400), codes], atol=1e-5)
    assert not faiss_library.on_gpu("cpu")
    if not faiss_library.build().gpus:  # a run on a GPU whose faiss has none clusters on the CPU
        again = faiss_library.kmeans(vectors, 16, 3, "cuda:0")
        assert np.array_equal(again[1], centroids)


def test_the_limit_on_threads_ends_with_what_it_is_for() -> None:
    before = faiss.omp_get_max_threads()
    with faiss_library.one_thread():
        assert faiss.omp_get_max_threads() == 1
    assert faiss.omp_get_max_threads() == before
    with pytest.raises(AssertionError), faiss_library.one_thread():  # of another width than it was made for
        faiss.OPQMatrix(4, 2).train(np.zeros((300, 0), np.float32))
    assert faiss.omp_get_max_threads() == before


@pytest.mark.parametrize(("count", "codes"), [(15, 70), (40, 300), (3000, 64), (300, 2100)])
def test_of_equally_near_codes_the_first_is_taken(count: int, codes: int) -> None:
    """Whole numbers, so that no rounding tells two of them apart; faiss multiplies matrices from 20 vectors on, and
    1,024 codes at a time.
    """
    random = np.random.default_rng(count)
    vectors, codebook = (random.integers(-2, 3, (rows, 4)).astype(np.float32) for rows in (count, codes))
    distances = ((vectors[:, None].astype(int) - codebook.astype(int)) ** 2).sum(2)
    assert ((distances == distances.min(1, keepdims=True)).sum(1) > 1).any(), "some are equally near"
    assert faiss_library.nearest(vectors, codebook).tolist() == distances.argmin(1).tolist()
