"""Vocabularies: kinds of symbols that texts are made of, and the tokens that stand for them."""

from .bytes import ByteVocabulary
from .chars import CharVocabulary
from .subwords import SubwordVocabulary
from .table import (
    VOCABULARIES,
    TextVocabulary,
    learn_vocabulary,
    likely_kind,
    vocabulary_config,
    vocabulary_from_config,
)
from .vocabulary import UNKNOWN, Vocabulary
from .words import WordVocabulary, words_of

__all__ = [
    "UNKNOWN",
    "VOCABULARIES",
    "ByteVocabulary",
    "CharVocabulary",
    "SubwordVocabulary",
    "TextVocabulary",
    "Vocabulary",
    "WordVocabulary",
    "learn_vocabulary",
    "likely_kind",
    "vocabulary_config",
    "vocabulary_from_config",
    "words_of",
]
