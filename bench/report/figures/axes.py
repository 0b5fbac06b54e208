"""A logarithmic axis whose numbers are read at a glance: names are never read as mathematics, so neither are powers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator
from numpy.typing import NDArray

ROOM = 2  # times the least and the greatest value: a tick at 1, 2 or 5 is always in sight


def logarithmic(panel: Axes, values: NDArray[np.float64], written: Callable[[float], str] = "{:g}".format) -> None:
    """Ticks at powers of ten, also at 2 and 5 where ``values``, all positive, span no more than two of them."""
    panel.set_xscale("log")
    decades = float(np.log10(values.max() / values.min())) if len(values) else 0.0
    panel.xaxis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2 else (1.0, 2.0, 5.0)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    panel.minorticks_off()
    if len(values):
        panel.set_xlim(values.min() / ROOM, values.max() * ROOM)
