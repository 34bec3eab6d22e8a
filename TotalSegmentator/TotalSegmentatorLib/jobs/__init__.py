"""Runs: what is asked, what is told while they go on, what comes back, and how they are stopped."""

from .events import Event, Failed, Finished, Log, Progress, Stage, Started, Warned
from .feed import Feed
from .job import Job, JobContext
from .pool import EnginePool
from .queue import Order, RunQueue, State
from .request import Request
from .result import DerivedLabels, EngineResult
from .runner import EngineCommand, EngineProcess, dicom_message, run_message
from .workspace import sweep, workspace

__all__ = [
    "DerivedLabels",
    "EngineCommand",
    "EnginePool",
    "EngineProcess",
    "EngineResult",
    "Event",
    "Failed",
    "Feed",
    "Finished",
    "Job",
    "JobContext",
    "Log",
    "Order",
    "Progress",
    "Request",
    "RunQueue",
    "Stage",
    "Started",
    "State",
    "Warned",
    "dicom_message",
    "run_message",
    "sweep",
    "workspace",
]
