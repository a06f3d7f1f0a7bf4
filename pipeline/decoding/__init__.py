"""From bytes to records."""

from .errors import SourceError
from .text import Utf8Decoder

__all__ = ["SourceError", "Utf8Decoder"]
