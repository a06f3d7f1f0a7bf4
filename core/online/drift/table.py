"""The detectors by their names."""

from __future__ import annotations

from collections.abc import Callable

from .adwin import ADWIN
from .detector import Detector
from .page_hinkley import PageHinkley

__all__ = ["DETECTORS"]

DETECTORS: dict[str, Callable[[], Detector]] = {kind.name: kind for kind in (ADWIN, PageHinkley)}
