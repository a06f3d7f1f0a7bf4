"""Tasks: from rows of a file to what is trained, how good it is, and what is kept of it."""

from .classification import Classification
from .transcription import Transcription
from .translation import Translation

__all__ = ["Classification", "Transcription", "Translation"]
