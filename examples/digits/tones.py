"""A folder of recordings to try the others with: tones in place of voices, two at once for each digit.

Run it with ``python examples/digits/tones.py FOLDER``; it takes less than a second. The same files come out every time.
"""

from __future__ import annotations

import argparse
import wave
from pathlib import Path

import numpy as np

RATE = 8000
ROWS, COLUMNS = (700, 800, 900, 1000), (1300, 1600, 1900)  # Hz; a digit is one of each
SPEAKERS = {"ann": 1.0, "ben": 1.06}  # by their pitch


def tone(digit: int, pitch: float, rng: np.random.Generator) -> np.ndarray:
    """A tone of about a tenth of a second, with some noise: never quite the same."""
    time = np.arange(int(RATE * rng.uniform(0.08, 0.14))) / RATE
    pair = (ROWS[digit // 3] * pitch, COLUMNS[digit % 3] * pitch * rng.uniform(0.99, 1.01))
    waves = sum(np.sin(2 * np.pi * hertz * time) for hertz in pair)
    return rng.uniform(0.1, 0.4) * waves * np.sin(np.pi * time / time[-1]) + rng.normal(0, 0.002, len(time))


def write(path: Path, samples: np.ndarray, rate: int) -> None:
    """Write `samples` in −1…1, `rate` a second, to a WAV file of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, len(samples), "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description="Write recordings DIGIT_SPEAKER_TAKE.wav of tones.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--digits", type=int, default=10, help="as many, from 0 on (10)")
    parser.add_argument("--takes", type=int, default=25, help="of each speaker and digit (25)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for digit in range(options.digits):
        for speaker, pitch in SPEAKERS.items():
            for take in range(options.takes):
                write(options.folder / f"{digit}_{speaker}_{take}.wav", tone(digit, pitch, rng), RATE)
    print(f"{options.folder}: {options.digits * len(SPEAKERS) * options.takes} recordings")


if __name__ == "__main__":
    main()
