"""From bytes to what they mean: a `Decoder` owns what is not complete yet, and knows nothing of trio."""

from .decoder import Decoder
from .text import ByteDecoder, TextDecoder, check_encoding

__all__ = ["ByteDecoder", "Decoder", "TextDecoder", "check_encoding"]
