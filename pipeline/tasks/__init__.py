"""Tasks: from rows of a file to what is trained, how good it is, and what is kept of it."""

from .classification import Classification

__all__ = ["Classification"]
