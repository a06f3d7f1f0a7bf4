"""Text: vocabularies, models with their vocabulary; from the outputs of one that was trained with CTC to labels."""

from .ctc_decoding import ctc_beam, ctc_greedy
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
    "ctc_beam",
    "ctc_greedy",
]
