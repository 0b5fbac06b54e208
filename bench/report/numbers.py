"""Numbers as text, each kind in one way everywhere."""

from __future__ import annotations

from bench.report.table import DASH


def number(value: float | None, digits: int = 1) -> str:
    return DASH if value is None else f"{value:,.{digits}f}"


def signed(value: float | None, digits: int = 4) -> str:
    """``+0.0021``: a difference."""
    return DASH if value is None else f"{value:+,.{digits}f}"


def share(value: float | None) -> str:
    """``14.3%``; what is not nothing never reads as nothing."""
    return DASH if value is None else "0%" if not value else f"{value:.1%}" if value >= 0.001 else "< 0.1%"


def probability(value: float | None) -> str:
    """``0.0310``; what may happen never reads as impossible."""
    return "< 0.0001" if value is not None and value < 0.0001 else number(value, 4)


def change(value: float | None) -> str:
    """``+12.5%``: a relative difference."""
    return DASH if value is None else f"{value:+,.1%}"


def weights(value: float | None) -> str:
    """``58.3 M``: a number of parameters."""
    if value is None:
        return DASH
    size, unit = next(
        ((size, unit) for size, unit in ((1e9, " B"), (1e6, " M"), (1e3, " k")) if value >= size), (1, "")
    )
    return f"{value / size:,.1f}{unit}" if unit else f"{value:,.0f}"


def flops(value: float | None) -> str:
    """``2.41 P``: floating-point operations, with a prefix (M, G, T, P)."""
    if value is None:
        return DASH
    size, unit = next(
        ((size, unit) for size, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G")) if value >= size), (1e6, "M")
    )
    return f"{value / size:,.3g} {unit}"


def seconds(value: float | None) -> str:
    """Three digits where seconds are few, whole seconds where they are many; what took time is never 0."""
    if value is not None and value < 0.005:
        return "< 0.01" if value else "0"
    return number(value, 0 if value is None or value >= 100 else 1 if value >= 10 else 2)


def plain(value: float | None) -> str:
    """A number of unknown kind: counts whole, everything else with three digits behind the point."""
    return number(value, 0 if value is None or float(value).is_integer() else 3)


def metric_title(name: str) -> str:
    """``NDCG@10`` for ``ndcg@10``."""
    kind, _, cutoff = name.partition("@")
    return (kind.capitalize() if kind in ("hit", "recall", "precision") else kind.upper()) + (
        f"@{cutoff}" if cutoff else ""
    )
