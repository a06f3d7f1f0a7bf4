"""The heads: what comes after the recurrent stack, up to the loss; a file each, and `table` lists them."""

from .head import Head, HeadPasses
from .table import HEADS

__all__ = ["HEADS", "Head", "HeadPasses"]
