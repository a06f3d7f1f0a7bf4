"""What a run says of itself: meters of the stages, reports, the timeline, and the watchdog."""

from .meters import StageMeter
from .reports import Report, StageReport
from .timeline import Timeline
from .watchdog import StageHungError

__all__ = ["Report", "StageHungError", "StageMeter", "StageReport", "Timeline"]
