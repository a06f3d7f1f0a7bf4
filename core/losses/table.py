"""The losses by name, and from their configs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..base.checks import ArgumentError
from .ctc import CTCLoss
from .interval import IntervalLoss
from .loss import BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, Loss, MSELoss

__all__ = ["LOSSES", "loss_from_config"]

TYPES: tuple[type[Loss], ...] = (CrossEntropyLoss, MSELoss, HuberLoss, BCEWithLogitsLoss, IntervalLoss, CTCLoss)
LOSSES = {loss.name: loss for loss in TYPES}


def loss_from_config(config: Mapping[str, Any]) -> Loss:
    """The loss of a `Loss.config`, ``{"loss": name, **options}``; an option that is left out has its default.

    Raises ArgumentError for a name or an option that does not exist, and for a wrong value.
    """
    options = dict(config)
    name = options.pop("loss", None)
    if not isinstance(name, str) or name not in LOSSES:
        raise ArgumentError("loss", f"one of {', '.join(LOSSES)}", repr(name))
    known = [option.name for option in fields(LOSSES[name])]
    if unknown := [option for option in options if option not in known]:
        raise ArgumentError("config", f"for {name} only {', '.join(known)}", ", ".join(map(repr, unknown)))
    return LOSSES[name](**options)
