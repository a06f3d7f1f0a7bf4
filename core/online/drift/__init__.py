"""Detectors of drift: they are told of one number after another, and say when these have changed. A file each."""

from .adwin import ADWIN
from .detector import Detector
from .page_hinkley import PageHinkley
from .table import DETECTORS

__all__ = ["ADWIN", "DETECTORS", "Detector", "PageHinkley"]
