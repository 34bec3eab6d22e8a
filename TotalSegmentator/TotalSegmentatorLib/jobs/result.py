"""What an engine hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class EngineResult:
    """A finished run of an engine.

    :param labels: NIfTI labelmap on the grid of the input, with the task's official values.
    :param label_names: official value -> class name, for every structure that was looked for.
    :param provenance: engine, versions, model, device, threads, and whether it is a demo.
    :param timings_s: seconds per step, as measured in the engine process.
    """

    labels: Path
    label_names: Mapping[int, str]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    timings_s: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "labels": str(self.labels),
            "label_names": {str(value): name for value, name in self.label_names.items()},
            "provenance": dict(self.provenance),
            "timings_s": dict(self.timings_s),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EngineResult:
        """The inverse of :meth:`to_dict`."""
        return cls(
            labels=Path(values["labels"]),
            label_names={int(value): name for value, name in values["label_names"].items()},
            provenance=values["provenance"],
            timings_s=values["timings_s"],
        )
