"""A ``.csv`` of a report in a spreadsheet: what strangers have written there is text, and on lines of its own row."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from bench.report.frames import FORMULA, NUMBERS, inert

TEXTS = ["=1+1", "\r=1+1", "a\r=1+1", "a\r\n=1+1", "a\n=1+1", "a,b\r@SUM(1)", "\t=1", "\uff1d1", 'a"\r-cmd', "+1|x"]


@pytest.mark.parametrize("text", TEXTS)
def test_no_cell_is_a_formula_wherever_a_program_ends_its_lines(text: str) -> None:
    written = inert(pd.DataFrame({text: [text, "plain"], "number": ["-1.5", "0.2"]})).to_csv(index=False)
    rows = list(csv.reader(io.StringIO(written, newline=None)))  # which ends a line at either sign
    assert [len(row) for row in rows] == [2, 2, 2]
    cells = [cell for row in rows for cell in row]
    assert not [cell for cell in cells if FORMULA.match(cell) and not NUMBERS.fullmatch(cell)]
    assert {"-1.5", "0.2", "plain"} <= set(cells)
    assert "\r" not in written
