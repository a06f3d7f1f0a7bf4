"""The error of every source."""

__all__ = ["SourceError"]


class SourceError(Exception):
    """Input that cannot be trained on; the message names it, says where and what would help."""
