"""The table of heads. A new head is one file and one row here."""

from __future__ import annotations

from .attention import Attention
from .head import Head
from .last import Last
from .max import Max
from .mean import Mean
from .steps import Steps

__all__ = ["HEADS"]

HEADS: dict[str, Head] = {head.name: head for head in (Steps(), Last(), Mean(), Max(), Attention())}
