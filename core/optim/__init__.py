"""From a gradient to the next parameters.

`clipping` bounds the gradient, `schedules` set the learning rate, `optimizer` says what all of the `optimizers` have in
common; the `updater` puts them together, from gradients to the next version.
"""

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
