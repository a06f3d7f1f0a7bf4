"""The losses: `loss` has them as plain options and lists them; the other files do their sums."""

from .loss import LOSSES, BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, Loss, LossTape, MSELoss

__all__ = ["LOSSES", "BCEWithLogitsLoss", "CrossEntropyLoss", "HuberLoss", "Loss", "LossTape", "MSELoss"]
