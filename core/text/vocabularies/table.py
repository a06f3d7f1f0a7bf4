"""The kinds of vocabularies by name, and which of them suits some texts. A new kind is one file and one row here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...base.checks import ArgumentError
from .bytes import ByteVocabulary
from .chars import CharVocabulary
from .subwords import SubwordVocabulary
from .vocabulary import Vocabulary
from .words import WordVocabulary

__all__ = [
    "VOCABULARIES",
    "TextVocabulary",
    "learn_vocabulary",
    "likely_kind",
    "vocabulary_config",
    "vocabulary_from_config",
]

TextVocabulary = CharVocabulary | ByteVocabulary
"""Those of a text that is read on and on, whose symbols need nothing that comes later."""

TYPES: tuple[type[Vocabulary], ...] = (CharVocabulary, ByteVocabulary, WordVocabulary, SubwordVocabulary)
VOCABULARIES = {vocabulary.kind: vocabulary for vocabulary in TYPES}


def vocabulary_config(vocabulary: Vocabulary) -> dict[str, Any]:
    """`vocabulary` as plain JSON: its kind, and its config."""
    return {"kind": vocabulary.kind, **vocabulary.config}


def vocabulary_from_config(config: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary of a `vocabulary_config`.

    Raises ArgumentError for a kind that does not exist, KeyError, TypeError or ValueError where it is damaged, and
    ImportError where its kind needs a package that is not there.
    """
    kind = config["kind"]
    if kind not in VOCABULARIES:
        raise ArgumentError("kind", f"one of {', '.join(VOCABULARIES)}", repr(kind))
    return VOCABULARIES[kind].from_config(config)


def likely_kind(texts: Iterable[str]) -> str:
    """``"words"`` where more than half of `texts` are of several words, with a space between, else ``"chars"``.

    So sentences are words, and names are characters; so is what is written without spaces.
    """
    several = [len(text.split(None, 1)) > 1 for text in texts]
    return "words" if 2 * sum(several) > len(several) else "chars"


def learn_vocabulary(texts: Sequence[str], symbols: str | None = None) -> Vocabulary:
    """The vocabulary of `texts`, of the kind `symbols`, a name in `VOCABULARIES`; None is what `likely_kind` says.

    Raises ArgumentError, and ImportError where the kind needs a package that is not there.
    """
    symbols = likely_kind(texts) if symbols is None else symbols
    if symbols not in VOCABULARIES:
        raise ArgumentError("symbols", f"one of {', '.join(VOCABULARIES)}", repr(symbols))
    return VOCABULARIES[symbols].learn(texts)
