"""The README of an export for servers says what the run did; needs none of the servers' libraries."""

from __future__ import annotations

from typing import Any

import pytest

from bench.results import serving


@pytest.mark.parametrize(
    ("contract", "said"), [({}, "`float32`"), ({"decoding_precision": "bf16"}, "products in bf16")]
)
def test_it_says_what_precision_the_run_was_ranked_in(contract: dict[str, str], said: str) -> None:
    run = {"scheme": "numeric/sequential@1", "dataset": "toy", "contract": contract}
    facts: dict[str, Any] = {"run": run, "scores": {"normalized_over": "vocabulary"}}
    shown: dict[str, list[str]] = {"before": [], "separator": [], "after": ["<s>"]}
    found = {"prompt": {"shown": shown, "items": 20, "tokens": 512}}
    assert f"The run was ranked in {said}." in serving.page(found, facts)
