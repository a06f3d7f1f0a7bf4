from collections.abc import Callable

from .base.parameters import Array

INSTRUCTIONS: list[str]  # "plain", "AVX2", "AVX-512": those that this processor has, the best last

def bind(kernel: str, /, *arrays: Array) -> Callable[[], None]: ...
def use(instructions: str, /) -> list[str]: ...
