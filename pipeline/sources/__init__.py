"""Sources: where sequence batches come from.

`open_source` looks at what the name stands for and opens it: a regular file as `TextFile`, anything that can only
be read once (standard input, a pipe) as `TextStream`. Both are async context managers, and async iterators of
`recurrio.core.SequenceBatch`.
"""

from ..decoding.errors import SourceError
from .file import TextFile
from .open import Source, open_source
from .stream import TextStream

__all__ = ["Source", "SourceError", "TextFile", "TextStream", "open_source"]
