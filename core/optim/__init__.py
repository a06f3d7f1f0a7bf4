"""From a gradient to the next parameters: clipping, schedules, optimizers."""

from .clipping import clip_norm, clip_value
from .optimizer import Optimizer
from .optimizers import SGD, Adagrad, Adam, AdamW, RMSprop
from .schedules import ConstantLR, CosineLR, PlateauLR, Schedule, StepLR

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "ConstantLR",
    "CosineLR",
    "Optimizer",
    "PlateauLR",
    "RMSprop",
    "Schedule",
    "StepLR",
    "clip_norm",
    "clip_value",
]
