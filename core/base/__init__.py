"""What the rooms above stand on: checks, flat parameters, memory, and the way to compiled kernels and files."""

from .arena import Arena
from .checks import ArgumentError
from .module import Module, StateDictError
from .parameters import Array, Layout
from .ranks import Pass, Rank, lockstep
from .safetensors import WeightsError, load_weights, save_weights

__all__ = [
    "Arena",
    "ArgumentError",
    "Array",
    "Layout",
    "Module",
    "Pass",
    "Rank",
    "StateDictError",
    "WeightsError",
    "load_weights",
    "lockstep",
    "save_weights",
]
