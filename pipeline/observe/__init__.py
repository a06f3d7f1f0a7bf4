"""What a run says of itself: meters of the stages, reports, the history, the timeline, and the watchdog."""

from .history import History
from .meters import StageMeter
from .reports import Report, StageReport
from .timeline import Timeline
from .watchdog import StageHungError

__all__ = ["History", "Report", "StageHungError", "StageMeter", "StageReport", "Timeline"]
