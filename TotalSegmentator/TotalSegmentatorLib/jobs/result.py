"""What an engine hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class DerivedLabels:
    """Structures that an engine made from those of the task, and which overlap with them.

    :param labels: NIfTI labelmap on the grid of the input.
    :param label_names: value -> class name, for every structure that was looked for; the values
        are none of the task's.
    :param beneath: whether the task's own structures are parts of these, and are seen on top where
        only one can be seen.
    """

    labels: Path
    label_names: Mapping[int, str]
    beneath: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The labels as JSON values."""
        return {
            "labels": str(self.labels),
            "label_names": _names_to_dict(self.label_names),
            "beneath": self.beneath,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DerivedLabels:
        """The inverse of :meth:`to_dict`."""
        names = _names_from_dict(values["label_names"])
        return cls(Path(values["labels"]), names, values["beneath"])


@dataclass(frozen=True)
class EngineResult:
    """A finished run of an engine.

    :param labels: NIfTI labelmap on the grid of the input, with the task's official values.
    :param label_names: official value -> class name, for every structure that was looked for.
    :param provenance: engine, versions, model, device, threads, and whether it is a demo.
    :param timings_s: seconds per step, as measured in the engine process.
    :param derived: labelmaps besides, of what was made from these labels.
    """

    labels: Path
    label_names: Mapping[int, str]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    timings_s: Mapping[str, float] = field(default_factory=dict)
    derived: tuple[DerivedLabels, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "labels": str(self.labels),
            "label_names": _names_to_dict(self.label_names),
            "provenance": dict(self.provenance),
            "timings_s": dict(self.timings_s),
            "derived": [one.to_dict() for one in self.derived],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EngineResult:
        """The inverse of :meth:`to_dict`."""
        return cls(
            labels=Path(values["labels"]),
            label_names=_names_from_dict(values["label_names"]),
            provenance=values["provenance"],
            timings_s=values["timings_s"],
            derived=tuple(map(DerivedLabels.from_dict, values.get("derived", ()))),
        )


def _names_to_dict(names: Mapping[int, str]) -> dict[str, str]:
    return {str(value): name for value, name in names.items()}


def _names_from_dict(names: Mapping[str, str]) -> dict[int, str]:
    return {int(value): name for value, name in names.items()}
