"""Sound: what a model reads of it, and writes, also while it comes."""

from .heard import BandStatistics, heard
from .listener import Listener
from .log_mel import BANDS, log_mel, normalise_utterance
from .transcriber import Transcriber

__all__ = ["BANDS", "BandStatistics", "Listener", "Transcriber", "heard", "log_mel", "normalise_utterance"]
