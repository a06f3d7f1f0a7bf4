"""How well the symbols of a text are forecast, before they are learned from."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..base.checks import check_array, check_count, check_number
from ..base.parameters import Array

__all__ = ["SymbolScores"]


class SymbolScores:
    """Bits per symbol of a model over the first pass of a text, beside those by frequencies alone.

    A batch comes, its loss is told when it has been computed, and only then it counts. By frequencies a symbol of V
    has −log₂ of ``(its count + 1) / (n + V)``, for the n symbols in the batches before. Later passes are of a text that
    has been learned from, and do not count; nor do batches whose loss is no finite number.
    """

    def __init__(self, symbols: int) -> None:
        self._seen, self._passes = np.zeros(check_count("symbols", symbols), np.int64), 0
        self._coming = deque[tuple[int, float]]()  # symbols and nats by frequencies, of batches without their loss
        self._count, self._nats, self._naive = 0, 0.0, 0.0

    def come(self, targets: Array, *, begins: bool) -> None:
        """A batch has come, whose `targets` are whole numbers below V; a pass `begins` with it, or goes on."""
        self._passes += begins
        if self._passes > 1:
            self._coming.append((0, 0.0))
            return
        counts = np.bincount(targets.ravel(), minlength=len(self._seen))
        some = np.flatnonzero(counts)
        shares = (self._seen[some] + 1) / (self._seen.sum() + len(self._seen))
        self._coming.append((targets.size, -float((counts[some] * np.log(shares)).sum())))
        self._seen += counts

    def learned(self, loss: float) -> None:
        """The next of the batches that came had the mean `loss`, in nats."""
        count, naive = self._coming.popleft()
        nats = self._nats + count * loss
        if count and math.isfinite(nats):
            self._count, self._nats, self._naive = self._count + count, nats, self._naive + naive

    def metrics(self) -> dict[str, Any]:
        """``bits_per_symbol``, ``perplexity`` and the naive ones, ``skill``, and ``count``, the symbols they are of.

        A perplexity is 2 to the power of the bits; the skill is ``1 − bits_per_symbol / naive_bits_per_symbol``. None
        where no symbol counts, or where it is beyond all numbers.
        """
        found: dict[str, Any] = {}
        for name, nats in (("", self._nats), ("naive_", self._naive)):
            mean = nats / self._count if self._count else None
            found[f"{name}bits_per_symbol"] = None if mean is None else mean / math.log(2)
            found[f"{name}perplexity"] = math.exp(mean) if mean is not None and mean < 700 else None
        skill = 1 - self._nats / self._naive if self._naive else None
        return found | {"skill": skill, "count": self._count}

    def position(self) -> dict[str, Any]:
        """What batches have come, as JSON."""
        return {"passes": self._passes, "seen": self._seen.tolist()}

    def rewind(self, position: Mapping[str, Any]) -> None:
        """Go on behind the batches of `position`. Raises ArgumentError."""
        seen, passes = np.array(position["seen"]), check_count("passes", position["passes"], 0)
        check_array("seen", seen, self._seen.shape, self._seen.dtype)
        self._seen, self._passes = seen, passes
        self._coming.clear()

    def told(self) -> dict[str, Any]:
        """What the losses have come to, as JSON."""
        return {"count": self._count, "nats": self._nats, "naive": self._naive}

    def recall(self, told: Mapping[str, Any]) -> None:
        """Take up what `told` gave. Raises ArgumentError."""
        self._count = check_count("count", told["count"], 0)
        self._nats, self._naive = (check_number(name, told[name], -math.inf) for name in ("nats", "naive"))
