"""Sound: what a model reads of it, and writes."""

from .log_mel import BANDS, log_mel, normalise_utterance
from .transcriber import Transcriber

__all__ = ["BANDS", "Transcriber", "log_mel", "normalise_utterance"]
