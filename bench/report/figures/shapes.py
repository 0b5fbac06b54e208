"""Many rectangles as one shape: drawn, measured and written once, however many they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from numpy.typing import ArrayLike

CODES = (Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY)


def rectangles(
    panel: Axes, left: ArrayLike, bottom: ArrayLike, width: ArrayLike, height: ArrayLike, **look: Any
) -> None:
    """Rectangles with the given corners and sizes, ``[n]`` each or one value for all; none at all is fine."""
    x, y, w, h = np.broadcast_arrays(*(np.asarray(part, np.float64) for part in (left, bottom, width, height)))
    if not x.size:
        return
    corners = np.stack([np.stack([x, x + w, x + w, x, x], -1), np.stack([y, y, y + h, y + h, y], -1)], -1)
    panel.add_patch(PathPatch(Path(corners.reshape(-1, 2), CODES * x.size), **look))
