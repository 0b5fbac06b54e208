"""Which libraries are installed, asked without importing them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "item-identifier-bench"  # the name of this package for pip; it is imported as ``bench``


def installed(package: str) -> str | None:
    """The version of a package; None where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
