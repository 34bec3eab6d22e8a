"""The weights: how many models are there, and whether they are whole."""

from __future__ import annotations

from collections.abc import Sequence

from ... import remedies
from ..findings import OK, WARNING, Finding
from ..weights import WeightsEntry

_NAMED = 3


def state(entries: Sequence[WeightsEntry]) -> Finding:
    """Whether the models that are there can be used; those that are not are got when needed."""
    here = [entry for entry in entries if entry.state == "present"]
    damaged = [entry.model.folder for entry in entries if entry.state == "damaged"]
    if damaged:
        more = f" and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
        return Finding(
            "weights",
            WARNING,
            f"Damaged models: {', '.join(damaged[:_NAMED])}{more}.",
            "Download them again; the next run that needs one does so too, if it may.",
            remedies.DOWNLOAD_WEIGHTS,
        )
    size = sum(entry.size_bytes for entry in here) / 1e9
    message = f"{len(here)} of {len(entries)} models are there ({size:.1f} GB)."
    return Finding("weights", OK, message)
