"""The layers of all cells, for the suites that each of them goes through: a new row of the table is in all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import recurrio.core
from recurrio.core.cells.buffers import LayerSize
from recurrio.core.cells.table import CELLS

LAYERS: dict[str, Callable[..., Any]] = {
    name: partial(getattr(recurrio.core, cell.kind.split()[0]), **cell.options) for name, cell in CELLS.items()
}
RANKED = [name for name, cell in CELLS.items() if cell.most_ranks(LayerSize(1, 8)) > 1]  # those that ranks can share
LAYERS |= {f"{name} projected": partial(LAYERS[name], proj_size=1) for name, cell in CELLS.items() if cell.projects}
