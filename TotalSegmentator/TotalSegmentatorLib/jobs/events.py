"""What a run tells while it goes on, and its form on the wire: one JSON object per line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from ..errors import SegmentationError, from_dict

PROTOCOL = 1


@dataclass(frozen=True)
class Event:
    """Base of all events."""

    name: ClassVar[str] = ""


@dataclass(frozen=True)
class Started(Event):
    """The engine process begins the run."""

    name: ClassVar[str] = "started"
    pid: int = 0


@dataclass(frozen=True)
class Stage(Event):
    """A new step begins; ``text`` is a phrase for people, e.g. ``Running the network``."""

    name: ClassVar[str] = "stage"
    text: str = ""

    @property
    def phrase(self) -> str:
        """The text without figures: while these grow, it is the same step, one line of a log."""
        return re.sub(r"\d+", "", self.text)


@dataclass(frozen=True)
class Progress(Event):
    """How far the whole run is.

    :param fraction: 0..1 of the whole run, never decreasing unless the run begins again.
    :param seconds_left: estimate, or None where there is no ground for one yet.
    """

    name: ClassVar[str] = "progress"
    fraction: float = 0.0
    seconds_left: float | None = None


@dataclass(frozen=True)
class Log(Event):
    """A line for the log."""

    name: ClassVar[str] = "log"
    text: str = ""


@dataclass(frozen=True)
class Warned(Event):
    """Something people should know although the run goes on."""

    name: ClassVar[str] = "warning"
    code: str = ""
    message: str = ""


@dataclass(frozen=True)
class Finished(Event):
    """The engine is done; see :class:`EngineResult` for the values."""

    name: ClassVar[str] = "result"
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed(Event):
    """The engine gave up; ``error`` is :meth:`SegmentationError.to_dict`."""

    name: ClassVar[str] = "failed"
    error: Mapping[str, str] = field(default_factory=dict)

    def exception(self) -> SegmentationError:
        """The error to raise on this side of the boundary."""
        return from_dict(self.error)


_EVENTS = {cls.name: cls for cls in (Started, Stage, Progress, Log, Warned, Finished, Failed)}


def to_line(event: Event) -> str:
    """One line of the protocol, e.g. ``{"v": 1, "event": "stage", "text": "..."}``."""
    return json.dumps({"v": PROTOCOL, "event": event.name, **asdict(event)}, ensure_ascii=True)


def from_line(line: str) -> Event:
    """The event that a line holds; a line that is none becomes a :class:`Log` event."""
    try:
        values = json.loads(line)
        version, cls = values.pop("v"), _EVENTS[values.pop("event")]
        return cls(**values) if version == PROTOCOL else Log(line)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Log(line)
