"""Numbers as they are printed."""

from __future__ import annotations

import pytest

from bench.report.numbers import change, metric_title, number, plain, seconds, share, signed, weights
from bench.report.table import DASH


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (940, "940"), (4_812_544, "4.8 M"), (60.5e6, "60.5 M"), (1.2e9, "1.2 B"), (None, DASH)],
)
def test_parameters(value: float | None, text: str) -> None:
    assert weights(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.004, "< 0.01"), (0.021, "0.02"), (12.34, "12.3"), (4321.4, "4,321"), (None, DASH)],
)
def test_seconds(value: float | None, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.0, "0%"), (0.0001, "< 0.1%"), (0.143, "14.3%"), (None, DASH)])
def test_a_collision_never_rounds_to_none(value: float | None, text: str) -> None:
    assert share(value) == text


def test_differences_carry_their_sign() -> None:
    assert [signed(value) for value in (0.00214, -0.5, None)] == ["+0.0021", "-0.5000", DASH]
    assert [change(value) for value in (0.125, -1.0, 12.0, None)] == ["+12.5%", "-100.0%", "+1,200.0%", DASH]


def test_figures_of_any_kind() -> None:
    assert [plain(value) for value in (256.0, 5.5437, None)] == ["256", "5.544", DASH]
    assert number(None) == DASH
    assert [metric_title(name) for name in ("ndcg@10", "hit@5", "recall@5", "mrr")] == [
        *("NDCG@10", "Hit@5", "Recall@5", "MRR"),
    ]
