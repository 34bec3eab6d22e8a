"""What is known about one thing on this computer, and what can be done about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

OK, WARNING, ERROR, UNKNOWN = "ok", "warning", "error", "unknown"


@dataclass(frozen=True)
class Finding:
    """One line of a diagnosis.

    :param check: what was looked at: stable, for programs, e.g. ``disk``.
    :param state: ``ok``, ``warning``, ``error`` or ``unknown``.
    :param message: one sentence for people.
    :param remedy: one sentence: what to do about it; empty if nothing need or can be done.
    :param repair: an action of :mod:`.remedies` that does it with one click; empty if none does.
    """

    check: str
    state: str
    message: str
    remedy: str = ""
    repair: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For programs; what is empty is None there."""
        values = asdict(self)
        return {**values, "remedy": self.remedy or None, "repair": self.repair or None}


def worst(findings: Iterable[Finding]) -> str:
    """``error`` if any is one, else ``warning`` or ``ok``."""
    states = {finding.state for finding in findings}
    return next((state for state in (ERROR, WARNING) if state in states), OK)
