"""The table of heads. A new head is one file and one row here."""

from __future__ import annotations

from .attention import ATTENTION
from .head import Head
from .last import LAST
from .max import MAX
from .mean import MEAN
from .steps import Steps

__all__ = ["HEADS"]

HEADS: dict[str, Head] = {head.name: head for head in (Steps(), LAST, MEAN, MAX, ATTENTION)}
