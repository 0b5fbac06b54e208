"""Versions are those of the metadata, whether a package can be imported or not."""

from __future__ import annotations

import numpy as np

from bench.versions import installed


def test_a_package_has_its_version_or_none() -> None:
    assert installed("numpy") == np.__version__
    assert installed("no-such-package-anywhere") is None
