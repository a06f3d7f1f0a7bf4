"""Sources: where bytes come from.

`open_transport` opens an address as a `Transport`, which brings chunks of bytes, each with the position behind it: a
regular file as `FileTransport`, what can be read only once as `PipeTransport`, others by the scheme of the address.
What the bytes mean is the business of `decoding`; another kind of source is a file here and a row in the table of
`open`.
"""

from .address import shown
from .file import FileTransport
from .open import SCHEMES, open_transport, path_of
from .pipe import PipeTransport
from .source import GONE, Chunk, Position, SourceError, Streams
from .transport import Opening, Transport

__all__ = [
    "GONE",
    "SCHEMES",
    "Chunk",
    "FileTransport",
    "Opening",
    "PipeTransport",
    "Position",
    "SourceError",
    "Streams",
    "Transport",
    "open_transport",
    "path_of",
    "shown",
]
