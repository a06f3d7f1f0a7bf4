"""Text: vocabularies, and models with their vocabulary."""

from .text_classifier import Prediction, TextClassifier
from .text_model import TextModel
from .vocabularies import ByteVocabulary, CharVocabulary, SubwordVocabulary, Vocabulary, WordVocabulary

__all__ = [
    "ByteVocabulary",
    "CharVocabulary",
    "Prediction",
    "SubwordVocabulary",
    "TextClassifier",
    "TextModel",
    "Vocabulary",
    "WordVocabulary",
]
