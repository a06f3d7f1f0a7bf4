"""Lanes: how what has been decoded lies side by side in batches.

`open_source` puts transport, decoder and lanes together for a text: `TextFile` lays lanes over a file, `TextStream`
over what arrives. Both are async context managers, and async iterators of `recurrio.core.SequenceBatch`.
"""

from .open import open_source, read_vocabulary
from .source import Source
from .text_file import TextFile
from .text_stream import TextStream

__all__ = ["Source", "TextFile", "TextStream", "open_source", "read_vocabulary"]
