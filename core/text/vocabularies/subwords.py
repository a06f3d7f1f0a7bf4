"""The vocabulary of subwords: byte-pair encoding, by the package `tokenizers`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...base.checks import check_count
from ...base.parameters import Array
from .vocabulary import UNKNOWN

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["SubwordVocabulary"]


class SubwordVocabulary:
    """Pieces of words, the frequent ones whole, behind token 0, which stands for a character that is in none.

    `tokenizer` is the JSON of `tokenizers.Tokenizer`. Upper and lower case differ, and a text comes back as it was, but
    for its spaces: one stands between two words, and none at the ends. Raises ImportError where the package is not
    there, ValueError where the JSON is none of its.
    """

    kind: ClassVar[str] = "subwords"

    def __init__(self, tokenizer: str) -> None:
        from_str = _tokenizers("Tokenizer").from_str
        try:
            self._tokenizer: Tokenizer = from_str(tokenizer)
        except Exception as error:  # the package raises no narrower one
            raise ValueError(f"tokenizer: {error}") from None

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    @property
    def config(self) -> dict[str, Any]:
        """See `Vocabulary`."""
        return {"tokenizer": self._tokenizer.to_str()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> SubwordVocabulary:
        """See `Vocabulary`."""
        return cls(config["tokenizer"])

    @classmethod
    def learn(cls, texts: Iterable[str], size: int = 4000) -> SubwordVocabulary:
        """That of up to `size` pieces, by the pairs that are most frequent in `texts`.

        Characters are there in any case, also where they are more. Raises ArgumentError, ImportError.
        """
        size = check_count("size", size)
        tokenizer = _tokenizers("Tokenizer")(_tokenizers("models").BPE(unk_token=UNKNOWN))
        normalizers, pre_tokenizers = _tokenizers("normalizers"), _tokenizers("pre_tokenizers")
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Strip()])
        splits = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()]
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splits)
        tokenizer.decoder = _tokenizers("decoders").Metaspace()
        trainer = _tokenizers("trainers").BpeTrainer(vocab_size=size, special_tokens=[UNKNOWN], show_progress=False)
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer.to_str())

    def encode(self, text: str) -> Array:
        """The tokens ``(T,)`` of the pieces of `text`."""
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of `tokens`."""
        return str(self._tokenizer.decode([int(token) for token in tokens], skip_special_tokens=False))


def _tokenizers(name: str) -> Any:  # noqa: ANN401 (what the package has under this name)
    """The package is for this kind of symbols alone, and is imported where they are asked for."""
    try:
        import tokenizers
    except ImportError:
        raise ImportError("subwords need tokenizers; pip install 'recurrio[subwords]'", name="tokenizers") from None
    return getattr(tokenizers, name)
