"""What cannot be exported."""

from __future__ import annotations

__all__ = ["ExportError"]


class ExportError(Exception):
    """A model that cannot be exported, or not here. Its message says what cannot be, and why."""
