"""A classifier of texts: what it says, and its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recurrio.core import (
    Adam,
    ArgumentError,
    CharVocabulary,
    MSELoss,
    SequenceModel,
    TextClassifier,
    TextModel,
    WeightsError,
    WordVocabulary,
    load_weights,
    save_weights,
)
from recurrio.core.serial import train

TEXTS = ["what a day", "", "so", "it is what it is", "a day so long", "unheard"]


def make(output: str = "last", *, bidirectional: bool = False) -> TextClassifier:
    vocabulary = WordVocabulary.learn(TEXTS, least=1)
    sizes = {"embedding_size": 4, "hidden_size": 6, "output_size": 3}
    model = SequenceModel(len(vocabulary), **sizes, output=output, bidirectional=bidirectional, seed=1)
    return TextClassifier(model, vocabulary, ["bad", "good", "so so"])


@pytest.mark.parametrize("output", ["last", "mean"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_texts_are_classified_as_one_by_one(output: str, bidirectional: bool) -> None:
    classifier = make(output, bidirectional=bidirectional)
    found = classifier.probabilities(TEXTS)
    assert found.shape == (6, 3)
    assert np.allclose(found.sum(axis=1), 1)
    for text, row in zip(TEXTS, found, strict=True):
        tokens = classifier.vocabulary.encode(text)[:, None]
        if len(tokens):
            logits = classifier.model(tokens)[0][0, 0].astype(float)
            assert np.allclose(row, np.exp(logits) / np.exp(logits).sum(), atol=1e-6)
        assert np.allclose(row, classifier.probabilities([text])[0], atol=1e-6)
    predicted = classifier.predict(TEXTS)
    assert [one.label for one in predicted] == [classifier.classes[place] for place in found.argmax(axis=1)]
    assert [one.probability for one in predicted] == found.max(axis=1).tolist()
    assert classifier.predict([]) == []


def test_rows_become_a_batch_that_it_learns_from() -> None:
    classifier = make()
    rows = [("what a day", "good"), ("it is what it is", "so so"), ("so", "bad")]
    batch = classifier.batch(rows)
    assert (batch.inputs.shape, batch.targets.tolist(), batch.reset) == ((5, 3), [[1, 2, 0]], True)
    assert batch.lengths is not None
    for lane, (text, _) in enumerate(rows):
        assert batch.inputs[: batch.lengths[lane], lane].tolist() == classifier.vocabulary.encode(text).tolist()
    list(train(classifier.model, Adam(0.05), [batch] * 100))
    assert [one.label for one in classifier.predict([text for text, _ in rows])] == ["good", "so so", "bad"]
    with pytest.raises(ArgumentError, match="rows: expected labels of bad, good, so so, got 'fine'"):
        classifier.batch([("a day", "fine")])


def test_a_classifier_goes_round(tmp_path: Path) -> None:
    classifier, path = make("mean"), tmp_path / "model.safetensors"
    classifier.save(path, {"epoch": 3})
    again = TextClassifier.load(path)
    assert (again.classes, again.model.seed) == (("bad", "good", "so so"), 1)
    assert np.array_equal(again.probabilities(TEXTS), classifier.probabilities(TEXTS))
    others = np.zeros_like(classifier.model.parameters)
    classifier.save(path, parameters=others)
    assert not TextClassifier.load(path).model.parameters.any()


def test_a_file_of_something_else(tmp_path: Path) -> None:
    path, classifier = tmp_path / "model.safetensors", make()
    classifier.save(path)
    with pytest.raises(WeightsError, match="no text model"):
        TextModel.load(path)
    weights, metadata = load_weights(path)
    for name, value in {"classes": '["one"]', "vocabulary": '{"kind": "words"}', "model": "{}"}.items():
        save_weights(path, weights, {**metadata, name: value})
        with pytest.raises(WeightsError, match="a damaged classifier"):
            TextClassifier.load(path)
    TextModel(SequenceModel(3, embedding_size=2, hidden_size=2, seed=0), CharVocabulary("ab")).save(path)
    with pytest.raises(WeightsError, match="no classifier"):
        TextClassifier.load(path)


def test_what_is_no_classifier() -> None:
    vocabulary = WordVocabulary(["a"])
    for options in ({"output": "steps"}, {"output": "last", "loss": MSELoss()}):
        model = SequenceModel(2, output_size=2, embedding_size=2, hidden_size=2, seed=0, **options)
        with pytest.raises(ArgumentError, match="model: expected one that says a class of each sequence"):
            TextClassifier(model, vocabulary, ["x", "y"])
    model = SequenceModel(2, output_size=2, output="last", embedding_size=2, hidden_size=2, seed=0)
    with pytest.raises(ArgumentError, match="expected 2 symbols and 3 classes, got 2 symbols and 2 classes"):
        TextClassifier(model, vocabulary, ["x", "y", "z"])


def test_it_shows_what_it_is() -> None:
    assert repr(make()).endswith("WordVocabulary of 9 symbols, 3 classes)")
    assert "<td>words, 9 symbols</td>" in make()._repr_html_()
