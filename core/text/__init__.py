"""Text: vocabularies, and a model with its vocabulary."""

from .text_model import TextModel
from .vocabulary import ByteVocabulary, CharVocabulary, Vocabulary

__all__ = ["ByteVocabulary", "CharVocabulary", "TextModel", "Vocabulary"]
