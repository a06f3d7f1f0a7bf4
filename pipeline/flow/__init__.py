"""Channels between tasks, and groups of tasks."""

from .channels import Channel, Receiver, Sender
from .group import Group, open_group

__all__ = ["Channel", "Group", "Receiver", "Sender", "open_group"]
