"""From recordings with what is said in them to a transcriber that is good at them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.in_process import run_here
from support.wav import wav_file

from recurrio.core import Adam, ArgumentError, Listener, Transcriber
from recurrio.core.audio import heard
from recurrio.pipeline import Trainer, Transcription, read_recordings, train_epochs
from recurrio.pipeline.decoding.recordings import Recordings

RATE = 8000
PITCHES = {"a": 300, "b": 800, "c": 1900}  # Hz


def spoken(text: str, rng: np.random.Generator) -> np.ndarray:
    """Tones, one for each symbol of a text, with pauses and a little noise."""
    parts = [np.zeros(400)]
    for symbol in text.replace(" ", ""):
        steps = np.arange(int(rng.integers(480, 800)))
        parts += [np.sin(2 * np.pi * PITCHES[symbol] * steps / RATE) * rng.uniform(0.2, 0.6)]
        parts += [np.zeros(int(rng.integers(240, 480)))]
    sound = np.concatenate(parts)
    return (sound + rng.standard_normal(len(sound)) * 0.003).astype(np.float32)


def make(count: int, least: int, most: int, space: str = "") -> Recordings:
    """Recordings of from `least` to `most` symbols."""
    rng = np.random.default_rng(0)
    texts = [space.join(rng.choice([*PITCHES], rng.integers(least, most + 1))) for _ in range(count)]
    return Recordings([spoken(text, rng) for text in texts], texts, [""] * count, RATE, [])


async def test_strings_of_symbols_are_learned(tmp_path: Path) -> None:
    task = Transcription(make(120, 1, 4))
    assert (task.vocabulary.kind, task.rate) == ("chars", RATE)
    trainer = Trainer(task.model(hidden_size=12, seed=0), Adam(0.03), clip=1.0)
    before = task.score(trainer.model)
    best = await train_epochs(trainer, task.batches(8, epochs=12), task.score)
    assert best.score == task.score(trainer.model) > 0.95 > before
    task.trained(trainer.model).save(tmp_path / "model.safetensors")
    transcriber = Transcriber.load(tmp_path / "model.safetensors")
    rng = np.random.default_rng(1)
    for text in ("cab", "bb", "a"):
        assert transcriber.transcribe(spoken(text, rng), RATE) == text
    assert task.score(transcriber.model) == best.score


async def test_a_folder_of_labels_is_learned(tmp_path: Path) -> None:
    pytest.importorskip("soundfile", reason="WAV files are read by soundfile", exc_type=ImportError)
    rng = np.random.default_rng(0)
    for number in range(60):
        label = "abc"[number % 3]
        (tmp_path / f"{label}_ann_{number}.wav").write_bytes(wav_file(spoken(label, rng)))
    task = Transcription(read_recordings(tmp_path))
    trainer = Trainer(task.model(hidden_size=12, seed=0), Adam(0.03), clip=1.0)
    best = await train_epochs(trainer, task.batches(8, epochs=12), task.score)
    assert best.score == 1
    assert task.trained(trainer.model).transcribe(spoken("b", rng), RATE) == "b"


async def test_texts_with_spaces_are_words() -> None:
    task = Transcription(make(60, 2, 4, space=" "))
    assert (task.vocabulary.kind, len(task.vocabulary)) == ("words", 4)
    trainer = Trainer(task.model(hidden_size=12, bidirectional=False, seed=0), Adam(0.03), clip=1.0)
    best = await train_epochs(trainer, task.batches(8, epochs=12), task.score)
    assert best.score > 0.9
    assert task.trained(trainer.model).transcribe(spoken("a c", np.random.default_rng(1)), RATE) == "a c"


async def test_what_is_said_is_written_while_it_comes() -> None:
    task = Transcription(make(120, 1, 4), streaming=True)
    trainer = Trainer(task.model(hidden_size=16, seed=0), Adam(0.03), clip=1.0)
    assert not trainer.model.config["bidirectional"]
    best = await train_epochs(trainer, task.batches(8, epochs=15), task.score)
    assert best.score > 0.9
    transcriber, said = task.trained(trainer.model), list[str]()
    listener, samples = Listener(transcriber), spoken("abcab", np.random.default_rng(1))
    for start in range(0, len(samples), 160):
        said.append(listener.feed(samples[start : start + 160]))
    assert "".join(said) + listener.finish() == transcriber.transcribe(samples, RATE) == "abcab"
    assert "a" in said[: len(said) // 3]  # and not at the end


def test_sequences_are_those_of_other_recordings() -> None:
    found, others = make(20, 1, 3), make(7, 2, 4)
    task = Transcription(found)
    inputs, targets = task.sequences(others)
    assert all(np.array_equal(mine, heard(samples, RATE)) for mine, samples in zip(inputs, others.samples, strict=True))
    assert [task.vocabulary.decode(each) for each in targets] == others.texts


async def test_a_text_that_does_not_fit_into_its_recording_teaches_nothing() -> None:
    found = make(10, 1, 1)
    parameters = []
    for text in ("abc" * 40, "bca" * 40):
        task = Transcription(found._replace(texts=[text, *found.texts[1:]]), found)
        assert max(len(batch.targets) for batch in task.batches()) == 120
        trainer = Trainer(task.model(hidden_size=4, seed=0), Adam(0.03), clip=1.0)
        await train_epochs(trainer, task.batches(4, epochs=2), task.score)
        parameters.append(trainer.model.parameters)
    assert np.isfinite(parameters[0]).all()
    assert np.array_equal(*parameters)


def test_the_command_says_what_is_in_its_file(tmp_path: Path) -> None:
    task = Transcription(make(10, 3, 3))
    task.trained(task.model(hidden_size=2, seed=0)).save(tmp_path / "model.safetensors")
    shown = run_here("inspect", tmp_path / "model.safetensors")
    assert shown.code == 0
    assert "vocabulary: chars, 4 symbols\nrate:       8,000 samples a second\n" in shown.output


def test_what_is_not_said_otherwise() -> None:
    task = Transcription(make(20, 3, 3))
    config = task.model(seed=0).config
    shown = {name: config[name] for name in ("cell", "hidden_size", "bidirectional", "input_size", "output_size")}
    assert shown == {"cell": "lstm", "hidden_size": 64, "bidirectional": True, "input_size": 80, "output_size": 5}
    assert config["loss"]["blank"] == 4
    assert sum(batch.inputs.shape[1] for batch in task.batches()) == 18
    with pytest.raises(ArgumentError, match="symbols: expected one of chars, bytes, words, subwords, got 'phones'"):
        Transcription(make(20, 3, 3), symbols="phones")


def test_an_error_is_a_symbol_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    dev = make(3, 2, 2)._replace(texts=["ab", "c", "az"])  # a z is nowhere in what is trained on
    task = Transcription(make(20, 3, 3), dev)
    a, b, c = (int(task.vocabulary.encode(symbol)[0]) for symbol in "abc")
    written = iter([[a, b], [a, c, b], [a, 0]])
    name = "recurrio.pipeline.tasks.transcription.ctc_greedy"
    monkeypatch.setattr(name, lambda outputs, lengths, blank: [np.array(next(written)) for _ in lengths])
    monkeypatch.setattr("recurrio.pipeline.tasks.transcription.by_length", one_by_one)
    assert task.score(task.model(hidden_size=2, seed=0)) == pytest.approx(1 - (0 + 2 + 1) / 5)


def one_by_one(inputs: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    return [(np.array([row]), each[:, None], np.array([len(each)])) for row, each in enumerate(inputs)]


def test_too_little_to_learn_from() -> None:
    few, found = make(9, 1, 1), make(10, 1, 1)
    with pytest.raises(ArgumentError, match=r"recordings: expected at least 10, of which every tenth .*, got 9"):
        Transcription(few)
    for recordings, dev in ((found._replace(texts=[""] * 10), None), (found, few._replace(texts=[""] * 9))):
        with pytest.raises(ArgumentError, match="recordings: expected texts to be trained on, and to score them by"):
            Transcription(recordings, dev)
    with pytest.raises(ArgumentError, match="dev: expected recordings of 8,000 samples a second, got 16,000"):
        Transcription(found, few._replace(rate=16000))
