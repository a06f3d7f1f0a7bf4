"""Say which digits are in a recording, with a model that ``train.py`` has written.

``python examples/digits/use.py MODEL FILE.wav`` says it of the whole file. With ``--stream`` a model of the kind
``stream`` writes while the file comes, a tenth of a second after the other, as fast as it can or, with ``--pace``, as
it was spoken.
``-`` is standard input, raw samples of 16 bits, as ``arecord -q -t raw -f S16_LE -r 8000`` writes them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from single import SingleDigits

from recurrio.core import Listener, Transcriber, WeightsError
from recurrio.pipeline import Recordings, read_recordings

CHUNK = 0.1  # seconds


def read(source: str, rate: int) -> Recordings:
    """The recording in a file, of this rate."""
    found = read_recordings(source, rate, texts=False)
    if found.rejects:
        sys.exit(f"{source}: {found.rejects[0].reason}")
    return found


def chunks(source: str, rate: int, pace: bool) -> Iterator[np.ndarray]:
    """The samples of `source` as they come."""
    size = int(CHUNK * rate)
    if source == "-":
        while data := sys.stdin.buffer.read(2 * size):
            yield np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float32) / 32768
        return
    (samples,) = read(source, rate).samples
    for start in range(0, len(samples), size):
        if pace:
            time.sleep(CHUNK)
        yield samples[start : start + size]


def main() -> None:
    """Print the digits."""
    parser = argparse.ArgumentParser(description="Say which digits are in a recording.")
    parser.add_argument("model", type=Path)
    parser.add_argument("source", help="a WAV file, or - for raw samples of 16 bits")
    parser.add_argument("--stream", action="store_true", help="write them while they come")
    parser.add_argument("--pace", action="store_true", help="let the file come as fast as it was spoken")
    options = parser.parse_args()
    try:
        kept = Transcriber.load(options.model)
    except WeightsError:
        single = SingleDigits.load(options.model)
        ((digit, probability),) = single.say(read(options.source, single.rate))
        print(f"{digit} ({probability:.3f})")
        return
    if options.stream or options.source == "-":
        listener = Listener(kept)
        for samples in chunks(options.source, kept.rate, options.pace):
            print(listener.feed(samples), end="", flush=True)
        print(listener.finish())
    else:
        print(kept.transcribe(*read(options.source, kept.rate).samples, kept.rate))


if __name__ == "__main__":
    main()
