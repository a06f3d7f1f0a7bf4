"""Translate with the model that ``train.py`` has written, and say which word each one was written for.

Run ``python examples/translate/use.py translate.safetensors "I am not tired."``; without a sentence it translates each
line of standard input when it comes. The likeliest word each time, a greedy search, stands beside the best of five
beginnings that go on at a time, a beam search; and below what each word of that has looked at most, by attention.
"""

from __future__ import annotations

import sys

from recurrio.core import Translator

if __name__ == "__main__":
    path, *texts = sys.argv[1:]
    kept = Translator.load(path)
    for text in filter(None, map(str.strip, texts or sys.stdin)):
        (greedy,), (best,) = kept.translate([text]), kept.translate([text], beam=5)
        looked = kept.align(text, best.text)
        words = zip(looked.target, looked.weights.argmax(axis=1), looked.weights.max(axis=1), strict=True)
        print(f"{text}\n  greedy {greedy.score:6.2f}  {greedy.text}\n  beam   {best.score:6.2f}  {best.text}")
        print(
            "  " + ", ".join(f"{word} ← {looked.source[place]} {most:.2f}" for word, place, most in words), flush=True
        )
