"""Say of texts whether they are positive or negative, with the model that ``train.py`` has written.

Run ``python examples/sentiment/use.py sentiment.safetensors "not bad at all"``; without a text it reads standard input,
a text a line.
"""

from __future__ import annotations

import sys

from recurrio.core import TextClassifier

if __name__ == "__main__":
    path, *texts = sys.argv[1:]
    texts = texts or sys.stdin.read().splitlines()
    for text, said in zip(texts, TextClassifier.load(path).predict(texts), strict=True):
        print(f"{said.label} {said.probability:.3f}  {text}")
