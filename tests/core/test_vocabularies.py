"""What holds of every kind of vocabulary, the rules of words and subwords, and which kind suits some texts."""

from __future__ import annotations

import copy
import json
import pickle
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurrio.core import ArgumentError, CharVocabulary, SequenceModel, SubwordVocabulary, TextModel, WordVocabulary
from recurrio.core.text.vocabularies import (
    UNKNOWN,
    VOCABULARIES,
    Vocabulary,
    likely_kind,
    vocabulary_config,
    vocabulary_from_config,
    words_of,
)

TEXTS = ["Play the song.", "play it, don't stop!", "Is it à l'eau?", "the song the song"]


def learn(kind: str) -> Vocabulary:
    if kind == "subwords":
        pytest.importorskip("tokenizers", reason="subwords are cut by the package tokenizers")
    return VOCABULARIES[kind].learn(TEXTS)


@pytest.mark.parametrize("kind", VOCABULARIES)
def test_each_kind_encodes_what_it_learned_and_anything_else(kind: str) -> None:
    vocabulary = learn(kind)
    for text in [*TEXTS, "", "   ", "漢字 \N{SNOWMAN}", "\x00"]:
        tokens = vocabulary.encode(text)
        assert (tokens.dtype, tokens.ndim) == (np.int32, 1)
        assert all(0 <= token < len(vocabulary) for token in tokens)
        assert isinstance(vocabulary.decode(tokens), str)
    assert len({token for text in TEXTS for token in vocabulary.encode(text).tolist()}) > 2


@pytest.mark.parametrize("kind", VOCABULARIES)
def test_each_kind_goes_through_json_pickles_and_copies(kind: str) -> None:
    vocabulary = learn(kind)
    config = json.loads(json.dumps(vocabulary_config(vocabulary)))
    assert config["kind"] == kind
    others = [vocabulary_from_config(config), pickle.loads(pickle.dumps(vocabulary)), copy.deepcopy(vocabulary)]
    for other in others:
        assert len(other) == len(vocabulary)
        for text in [*TEXTS, "something else"]:
            assert other.encode(text).tolist() == vocabulary.encode(text).tolist()
            assert other.decode(vocabulary.encode(text)) == vocabulary.decode(vocabulary.encode(text))


@pytest.mark.parametrize("kind", VOCABULARIES)
def test_the_same_texts_give_the_same_vocabulary(kind: str) -> None:
    again = VOCABULARIES[kind].learn(iter([*TEXTS])) if learn(kind) else None
    assert again is not None
    assert again.config == learn(kind).config


def test_a_kind_that_there_is_not() -> None:
    with pytest.raises(ArgumentError, match="kind: expected one of chars, bytes, words, subwords, got 'syllables'"):
        vocabulary_from_config({"kind": "syllables"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Play the 2nd song.", ["play", "the", "2nd", "song", "."]),
        ("I don't, you can’t", ["i", "don'", "t", ",", "you", "can'", "t"]),
        ("''Conan'' 'said' dogs'", ["'", "'", "conan", "'", "'", "'", "said", "'", "dogs", "'"]),
        ("l'eau d’été", ["l'", "eau", "d'", "été"]),
        ("well-known… snake_case", ["well", "-", "known", "…", "snake_case"]),
        (unicodedata.normalize("NFD", "Été"), ["été"]),
        ("  \t ", []),
    ],
)
def test_the_rule_of_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.text())
def test_words_lose_nothing_but_spaces_and_case(text: str) -> None:
    plain = unicodedata.normalize("NFC", text).lower().replace("’", "'")
    assert "".join(words_of(text)) == "".join(plain.split())


def test_words_are_learned_where_they_are_frequent_enough() -> None:
    vocabulary = WordVocabulary.learn(["b b a", "a c", "b \ufffd \ufffd"])
    assert vocabulary.words == (UNKNOWN, "b", "a")
    assert vocabulary.encode("A c b ?").tolist() == [2, 0, 1, 0]
    assert WordVocabulary.learn(["b b a", "a c"], least=1).words == (UNKNOWN, "a", "b", "c")
    with pytest.raises(ArgumentError, match="least"):
        WordVocabulary.learn([], least=0)
    with pytest.raises(ArgumentError, match="each word once"):
        WordVocabulary(["a", "a"])


def test_words_come_back_as_a_text_is_written() -> None:
    vocabulary = WordVocabulary.learn(["He said (yes), don't! l'eau"], least=1)
    assert vocabulary.decode(vocabulary.encode("He said (yes), don't! L'eau")) == "he said (yes), don't! l'eau"
    assert vocabulary.decode([0, 0]) == "\ufffd \ufffd"
    text = "est-ce qu'il est là, a-t-il dit?"
    vocabulary = WordVocabulary.learn([text], least=1)
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_subwords_come_back_as_they_were() -> None:
    vocabulary = learn("subwords")
    for text in TEXTS:
        assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.encode("漢").tolist().count(0) == 1
    assert vocabulary.decode(vocabulary.encode(" the   song ")) == "the song"
    whole, pieces = (len(SubwordVocabulary.learn(TEXTS, size).encode("the song")) for size in (4000, 30))
    assert whole < pieces


def test_subwords_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for make in (lambda: SubwordVocabulary.learn(TEXTS), lambda: SubwordVocabulary("{}")):
        with pytest.raises(ImportError, match=r"pip install 'recurrio\[subwords\]'"):
            make()


def test_a_damaged_tokenizer() -> None:
    pytest.importorskip("tokenizers", reason="its messages are wrapped")
    with pytest.raises(ValueError, match="tokenizer: "):
        SubwordVocabulary("{}")


def test_names_are_characters_and_sentences_words() -> None:
    assert likely_kind(["Makushkin", "O'Neill", "de la Cruz"]) == "chars"
    assert likely_kind(["play it", "what is it", "stop"]) == "words"
    assert likely_kind(["我不知道", "他是谁"]) == "chars"
    assert likely_kind([" one ", "two words"]) == "chars"
    assert likely_kind([]) == "chars"


def test_a_text_that_is_read_on_and_on_has_characters_or_bytes() -> None:
    words = WordVocabulary(["a", "b"])
    with pytest.raises(ArgumentError, match="vocabulary: expected characters or bytes, got WordVocabulary"):
        TextModel(SequenceModel(3, embedding_size=2, hidden_size=2, seed=0), words)  # type: ignore[arg-type]
    assert len(CharVocabulary.learn(["ab", "ba"])) == 3
