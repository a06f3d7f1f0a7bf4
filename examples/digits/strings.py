"""What is trained on: recordings of single digits, and strings of them, which are put together anew in each epoch.

``python examples/digits/strings.py FOLDER string.wav`` writes one such string, of recordings that are not trained on.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from tones import write

from recurrio.pipeline import FreshBatches, Recordings, Transcription, read_recordings

DEV_TAKES = 5  # of each speaker and digit, the first ones; they are not trained on
LEAST, MOST = 3, 5  # digits of a string
PAUSE = 0.03, 0.3  # seconds, before, between and behind the digits
SPEED = 0.85, 1.18  # that a digit is spoken with, as a factor
NOISE = 0.003  # its deviation, where the loudest sample of each digit is 1
LOUDNESS = 0.01, 1.0  # of a whole string
STRINGS, DEV_STRINGS, DEV_SEED = 320, 300, 12345


def pick(recordings: Recordings, rows: list[int]) -> Recordings:
    """Some of the recordings, by their places."""
    samples, texts, names = ([column[row] for row in rows] for column in recordings[:3])
    return Recordings(samples, texts, names, recordings.rate, [])


def speaker_and_take(name: str) -> tuple[str, int]:
    """Of a file named ``DIGIT_SPEAKER_TAKE.wav``."""
    _, speaker, take = Path(name).stem.split("_")
    return speaker, int(take)


def read_takes(folder: str | Path) -> tuple[Recordings, Recordings]:
    """The recordings in `folder` to be trained on, and those of the first takes, by which models are scored."""
    found = read_recordings(folder)
    later = [speaker_and_take(name)[1] >= DEV_TAKES for name in found.names]
    rows = range(len(later))
    return pick(found, [row for row in rows if later[row]]), pick(found, [row for row in rows if not later[row]])


def make_strings(recordings: Recordings, count: int, seed: int | tuple[int, ...]) -> Recordings:
    """`count` strings of single `recordings`, each of one speaker, with pauses and noise: always the same for a seed.

    They are put together of random digits, each a little slower or faster, and as loud as the others of its string.
    """
    rng, rate, of_speaker = np.random.default_rng(seed), recordings.rate, defaultdict[str, list[int]](list)
    for row, name in enumerate(recordings.names):
        of_speaker[speaker_and_take(name)[0]].append(row)
    speakers, samples, texts = sorted(of_speaker), list[np.ndarray](), list[str]()
    for _ in range(count):
        rows = rng.choice(of_speaker[speakers[rng.integers(len(speakers))]], rng.integers(LEAST, MOST + 1))
        pauses = [np.zeros(round(rng.uniform(*PAUSE) * rate)) for _ in range(len(rows) + 1)]
        spoken = [faster(loud(recordings.samples[row]), rng.uniform(*SPEED)) for row in rows]
        whole = np.concatenate([pauses[0], *(part for pair in zip(spoken, pauses[1:], strict=True) for part in pair)])
        whole += NOISE * rng.standard_normal(len(whole))
        samples.append((whole * np.exp(rng.uniform(*np.log(LOUDNESS)))).astype(np.float32))
        texts.append("".join(recordings.texts[row] for row in rows))
    return Recordings(samples, texts, [""] * count, rate, [])


def faster(samples: np.ndarray, speed: float) -> np.ndarray:
    """`samples` as they are when they are played with `speed`; the pitch goes with it."""
    return np.interp(np.arange(0, len(samples) - 1, speed), np.arange(len(samples)), samples)


def loud(samples: np.ndarray) -> np.ndarray:
    """`samples` of which the loudest is 1, or −1; silence stays."""
    return samples / (np.abs(samples).max() or 1)


def string_task(train: Recordings, dev: Recordings, *, streaming: bool = False) -> Transcription:
    """To write down strings of the digits in `train`; it is scored by strings of those in `dev`, always the same.

    If `streaming`, nothing is read that comes later.
    """
    strings = (make_strings(recordings, DEV_STRINGS, DEV_SEED) for recordings in (train, dev))
    return Transcription(*strings, streaming=streaming)


def string_batches(
    task: Transcription, train: Recordings, batch_size: int = 16, *, epochs: int = 25, seed: int = 0
) -> FreshBatches:
    """Batches of fresh strings of the recordings in `train`."""
    longest = MOST * max(map(len, train.samples)) / SPEED[0] / train.rate + (MOST + 1) * PAUSE[1]  # seconds

    def make(epoch: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return task.sequences(make_strings(train, STRINGS, (seed, epoch)))

    return FreshBatches(make, batch_size, longest=round(50 * longest), epochs=epochs, seed=seed)


def main() -> None:
    """Write a string."""
    parser = argparse.ArgumentParser(description="Put a string of digits together.")
    parser.add_argument("folder", type=Path, help="of DIGIT_SPEAKER_TAKE.wav")
    parser.add_argument("file", type=Path, help="the WAV file to be written")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (0)")
    options = parser.parse_args()
    string = make_strings(read_takes(options.folder)[1], 1, options.seed)
    write(options.file, string.samples[0], string.rate)
    print(f"wrote {string.texts[0]} to {options.file}")


if __name__ == "__main__":
    main()
