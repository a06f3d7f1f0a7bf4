"""Say of requests what is wanted, the three likeliest intents of each, with the model that ``train.py`` has written.

Run ``python examples/intents/use.py intents.safetensors "play some jazz"``; without a request it answers each line of
standard input when it comes.
"""

from __future__ import annotations

import sys

from recurrio.core import TextClassifier

if __name__ == "__main__":
    path, *texts = sys.argv[1:]
    kept = TextClassifier.load(path)
    for text in filter(None, map(str.strip, texts or sys.stdin)):
        (chances,) = kept.probabilities([text])
        likeliest = [f"{kept.classes[place]} {chances[place]:.3f}" for place in chances.argsort()[:-4:-1]]
        print(f"{text}\n  {', '.join(likeliest)}", flush=True)
