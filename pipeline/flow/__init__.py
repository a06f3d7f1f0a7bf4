"""Channels between tasks, and groups of tasks."""

from .channels import Channel, Receiver, Sender
from .group import FirstError

__all__ = ["Channel", "FirstError", "Receiver", "Sender"]
