"""The example of spoken digits, on tones: each kind of model is trained, and says what is in a file or a stream."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from support.wav import wav_file

FOLDER = Path(__file__).parent.parent / "examples" / "digits"
RATE = 8000

pytest.importorskip("soundfile", reason="WAV files are read by soundfile", exc_type=ImportError)


def run(folder: Path, *arguments: object, given: bytes | None = None) -> str:
    done = subprocess.run(
        [sys.executable, FOLDER / str(arguments[0]), *map(str, arguments[1:])],
        cwd=folder,
        input=given,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recordings of the digits 0 to 3, and a string of them."""
    folder = tmp_path_factory.mktemp("digits")
    assert run(folder, "tones.py", "tones", "--digits", 4, "--takes", 15) == "tones: 120 recordings\n"
    return folder


@pytest.fixture
def strings(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    return import_module("strings")


def string(folder: Path, digits: str, speaker: str = "ann") -> np.ndarray:
    """Recordings that were not trained on, one behind the other, with pauses."""
    rng, parts = np.random.default_rng(0), [np.zeros(800)]
    for digit in digits:
        data = (folder / "tones" / f"{digit}_{speaker}_0.wav").read_bytes()
        samples = np.frombuffer(data[44:], "<i2") / 32768
        parts += [samples / np.abs(samples).max(), np.zeros(int(rng.uniform(800, 2000)))]
    whole = np.concatenate(parts)
    return (whole + 0.003 * rng.standard_normal(len(whole))) / 4


def test_which_digit_a_recording_is(tones: Path) -> None:
    said = run(tones, "train.py", "single", "tones", "--epochs", 40, "--hidden", 32)
    assert len(re.findall(r"^take \d: accuracy \d\.\d{3}$", said, re.MULTILINE)) == 5
    (accuracy,) = re.findall(r"^epoch \d+ is the best: accuracy (\d\.\d{3})$", said, re.MULTILINE)
    assert float(accuracy) > 0.9
    assert run(tones, "use.py", "single.safetensors", "tones/3_ben_0.wav").startswith("3 (0.")


def test_strings_are_written_down(tones: Path) -> None:
    said = run(tones, "train.py", "strings", "tones", "--epochs", 7, "--hidden", 24, "--lr", 0.03)
    (wrong,) = re.findall(r"^epoch \d+ is the best: (\d\.\d{3}) digits in error$", said, re.MULTILINE)
    assert float(wrong) < 0.1
    (tones / "string.wav").write_bytes(wav_file(string(tones, "1203")))
    assert run(tones, "use.py", "strings.safetensors", "string.wav") == "1203\n"


def test_they_are_written_down_while_they_come(tones: Path) -> None:
    said = run(tones, "train.py", "stream", "tones", "--epochs", 8, "--hidden", 24, "--lr", 0.03)
    (wrong,) = re.findall(r"^epoch \d+ is the best: (\d\.\d{3}) digits in error$", said, re.MULTILINE)
    assert float(wrong) < 0.1
    data = wav_file(string(tones, "32101"))
    (tones / "stream.wav").write_bytes(data)
    assert run(tones, "use.py", "stream.safetensors", "stream.wav") == "32101\n"
    assert run(tones, "use.py", "stream.safetensors", "stream.wav", "--stream") == "32101\n"
    assert run(tones, "use.py", "stream.safetensors", "tones/1_ann_0.wav", "--stream", "--pace") in ("1\n", "\n")
    assert run(tones, "use.py", "stream.safetensors", "-", given=data[44:]) == "32101\n"


def test_the_first_takes_are_not_trained_on(tones: Path, strings: ModuleType) -> None:
    train, dev = strings.read_takes(tones / "tones")
    assert (len(train.samples), len(dev.samples)) == (80, 40)
    assert {strings.speaker_and_take(name)[1] for name in dev.names} == {*range(5)}


def test_strings_are_those_of_their_seed_and_of_one_speaker(tones: Path, strings: ModuleType) -> None:
    train, _ = strings.read_takes(tones / "tones")
    one, same, other = (strings.make_strings(train, 50, (0, epoch)) for epoch in (3, 3, 4))
    assert one.texts == same.texts != other.texts
    assert all(map(np.array_equal, one.samples, same.samples))
    assert {len(text) for text in one.texts} == {3, 4, 5}
    named = train._replace(texts=["a" if "ann" in name else "b" for name in train.names])
    assert {"".join(sorted(set(text))) for text in strings.make_strings(named, 50, 0).texts} == {"a", "b"}


def test_each_epoch_has_its_own_strings(tones: Path, strings: ModuleType) -> None:
    train, dev = strings.read_takes(tones / "tones")
    batches = strings.string_batches(strings.string_task(train, dev), train, epochs=2)
    made = [*batches]
    assert (batches.per_epoch, len(made)) == (20, 40)
    first, second = ({batch.inputs.tobytes() for batch in part} for part in (made[:20], made[20:]))
    assert not first & second
    assert max(batch.inputs.shape[0] for batch in made) <= batches.largest[0]
