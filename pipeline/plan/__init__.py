"""What a run is to do, and the messages between its stages."""

from .messages import Backwarded, Forwarded, Loaded, Ticket
from .plan import Plan

__all__ = ["Backwarded", "Forwarded", "Loaded", "Plan", "Ticket"]
