"""Sound: what a model reads of it."""

from .log_mel import BANDS, LOWEST_RATE, log_mel, normalise_utterance

__all__ = ["BANDS", "LOWEST_RATE", "log_mel", "normalise_utterance"]
