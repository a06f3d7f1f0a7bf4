"""Text: vocabularies, and a model with its vocabulary."""

from .text_model import TextModel
from .vocabularies import ByteVocabulary, CharVocabulary, SubwordVocabulary, Vocabulary, WordVocabulary

__all__ = ["ByteVocabulary", "CharVocabulary", "SubwordVocabulary", "TextModel", "Vocabulary", "WordVocabulary"]
