"""Text: vocabularies, a model with its vocabulary; from the outputs of one that was trained with CTC to labels."""

from .ctc_decoding import ctc_beam, ctc_greedy
from .text_model import TextModel
from .vocabulary import ByteVocabulary, CharVocabulary, Vocabulary

__all__ = ["ByteVocabulary", "CharVocabulary", "TextModel", "Vocabulary", "ctc_beam", "ctc_greedy"]
