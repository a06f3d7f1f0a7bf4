"""WAV files of every kind, those that are none, and folders and tables of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from support.wav import wav_file

from recurrio.pipeline import SourceError
from recurrio.pipeline.decoding.recordings import read_recordings
from recurrio.pipeline.decoding.values import Malformed
from recurrio.pipeline.decoding.wav import read_wav

pytest.importorskip("soundfile", reason="WAV files are read by soundfile", exc_type=ImportError)

SOUND = np.sin(np.arange(500) / 7) * 0.8


@pytest.mark.parametrize(
    ("bits", "real", "extensible", "most"),
    [
        (8, False, False, 0.01),
        (16, False, False, 1e-4),
        (24, False, False, 1e-6),
        (24, False, True, 1e-6),
        (32, False, False, 1e-7),
        (32, True, False, 1e-7),
        (32, True, True, 1e-7),
        (64, True, False, 1e-7),
    ],
)
def test_samples_are_the_same_in_every_width(bits: int, real: bool, extensible: bool, most: float) -> None:
    for rate in (8000, 44100):
        samples, found = read_wav(wav_file(SOUND, rate, bits, real=real, extensible=extensible))
        assert (samples.dtype, samples.shape, found) == (np.float32, SOUND.shape, rate)
        assert np.abs(samples - SOUND).max() < most


def test_a_file_that_was_written_into_a_pipe() -> None:
    whole = wav_file(SOUND)
    piped = b"RIFF\xff\xff\xff\xff" + whole[8:40] + b"\xff\xff\xff\xff" + whole[44:]
    assert np.array_equal(read_wav(piped)[0], read_wav(whole)[0])


WHOLE = wav_file(SOUND)
BROKEN = {
    "an empty file": b"",
    "not a WAV file": b"fLaC" + WHOLE,
    "not a WAV file$": b"RIFF\x04\x00\x00\x00AVI ",
    r"cut short: expected 1,044 bytes, got 544": WHOLE[:544],
    r"cut short: expected 1,044 bytes, got 1,043": WHOLE[:-1],
    r"cut short: expected 1,044 bytes, got 30": WHOLE[:30],
    "a damaged WAV file: ": b"RIFF\x04\x00\x00\x00WAVE",
    "expected one channel, got 2": wav_file(np.stack([SOUND, SOUND], axis=1)),
    "no samples": wav_file(SOUND[:0]),
    "samples that are no finite numbers": wav_file(np.array([0, np.nan]), bits=32, real=True),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_what_cannot_be_used(reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        read_wav(BROKEN[reason])


@pytest.mark.parametrize("place", range(12, 44))
def test_damage_in_the_header_is_survived(place: int) -> None:
    for value in (0, 1, 0x7F, 0xFF):
        damaged = bytearray(WHOLE)
        damaged[place] = value
        try:
            samples, rate = read_wav(bytes(damaged))
        except Malformed:
            continue
        assert samples.ndim == 1
        assert rate > 0


def make_folder(folder: Path) -> Path:
    """Three that can be used, and what is between them."""
    for name, data in {
        "0_ann_0.wav": wav_file(SOUND),
        "1_ann_0.WAV": wav_file(SOUND[:300], bits=24),
        "1_bob_0.wav": wav_file(SOUND, 16000),
        "2_bob_0.wav": WHOLE[:100],
        "README.txt": b"no sound",
        "_x.wav": wav_file(SOUND),
        "none.wav": wav_file(SOUND),
        "yes_.wav": wav_file(SOUND[:200]),
    }.items():
        (folder / name).write_bytes(data)
    return folder


def test_a_folder_has_labels_in_its_names(tmp_path: Path) -> None:
    found = read_recordings(make_folder(tmp_path))
    assert found.texts == ["0", "1", "yes"]
    assert [Path(name).name for name in found.names] == ["0_ann_0.wav", "1_ann_0.WAV", "yes_.wav"]
    assert [len(samples) for samples in found.samples] == [500, 300, 200]
    assert found.rate == 8000
    assert [(reject.before, Path(reject.origin).name, reject.line, reject.reason) for reject in found.rejects] == [
        (2, "1_bob_0.wav", 3, "expected 8,000 samples a second, got 16,000"),
        (2, "2_bob_0.wav", 4, "cut short: expected 1,044 bytes, got 100"),
        (2, "_x.wav", 5, "no label: expected LABEL_….wav"),
        (2, "none.wav", 6, "no label: expected LABEL_….wav"),
    ]


def test_of_a_model_the_rate_is_given_and_names_are_any(tmp_path: Path) -> None:
    found = read_recordings(make_folder(tmp_path), 16000, texts=False)
    assert [Path(name).name for name in found.names] == ["1_bob_0.wav"]
    assert (found.rate, found.texts, len(found.rejects)) == (16000, [""], 6)


def test_a_table_has_paths_and_texts(tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    make_folder(tmp_path / "sounds")
    rows = ["path\ttext\tby", "sounds/0_ann_0.wav\tone two\tann", "sounds/no.wav\tx\ty", "too\tfew", "\tx\ty"]
    rows += ["sounds/none.wav\tthree\tann", "sounds\tx\ty", "sounds/yes_.wav\tNA\t"]
    (tmp_path / "table.tsv").write_text("\n".join(rows), encoding="utf-8")
    found = read_recordings(tmp_path / "table.tsv")
    assert found.texts == ["one two", "three"]
    assert [(reject.before, reject.line) for reject in found.rejects] == [(1, 3), (1, 4), (1, 5), (2, 7), (2, 8)]
    reasons = [reject.reason for reject in found.rejects]
    assert reasons[:3] == ["No such file or directory", "expected 3 columns, got 2", "path is missing"]
    assert reasons[4] == "text is missing"
    named = read_recordings(tmp_path / "table.tsv", texts=False)
    assert [Path(name).name for name in named.names] == ["0_ann_0.wav", "none.wav", "yes_.wav"]


def test_nothing_to_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match=r"no file in this folder has a name that ends with \.wav"):
        read_recordings(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_recordings(tmp_path / "none.mp3")
    make_folder(tmp_path)
    (tmp_path / "song.mp3").touch()
    with pytest.raises(SourceError, match="expected a table"):
        read_recordings(tmp_path / "song.mp3")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(SourceError, match=r"pip install 'recurrio\[audio\]'"):
        read_recordings(tmp_path)


def test_a_file_alone(tmp_path: Path) -> None:
    samples = np.linspace(-0.5, 0.5, 400).astype(np.float32)
    (tmp_path / "seven_ann_0.WAV").write_bytes(wav_file(samples))
    found = read_recordings(tmp_path / "seven_ann_0.WAV")
    assert (len(found.samples), found.texts, found.rate, found.rejects) == (1, ["seven"], 8000, [])
    found = read_recordings(tmp_path / "seven_ann_0.WAV", 16_000, texts=False)
    assert [reject.reason for reject in found.rejects] == ["expected 16,000 samples a second, got 8,000"]
    found = read_recordings(tmp_path / "none_0.wav")
    assert [reject.reason for reject in found.rejects] == ["No such file or directory"]
