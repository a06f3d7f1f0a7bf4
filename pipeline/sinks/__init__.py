"""Sinks: brokers that lines are written to.

`open_sink` opens an address; another kind of broker is a file here and a row in the table of `open`.
"""

from .open import SINKS, is_sink, open_sink
from .sink import Sink

__all__ = ["SINKS", "Sink", "is_sink", "open_sink"]
