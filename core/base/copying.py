"""What cannot be copied, and says so."""

from __future__ import annotations

from typing import NoReturn, SupportsIndex

__all__ = ["Uncopied"]


class Uncopied:
    """Something with buffers that are views of one another, which `copy` and `pickle` would tear apart: both raise."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        name = type(self).__name__
        raise TypeError(f"{name}: cannot be copied or pickled, for its buffers are views of one another; make another")
