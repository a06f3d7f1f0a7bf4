"""Sound: what a model reads of it."""

from .log_mel import BANDS, log_mel, normalise_utterance

__all__ = ["BANDS", "log_mel", "normalise_utterance"]
