"""Observers of VTK objects that end with the widget that listens."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import vtk

from ..pythonqt.objects import PythonQtMixin


class Observation:
    """What a widget observes; it listens to one object at a time."""

    def __init__(self, widget: PythonQtMixin) -> None:
        """Prepare to stop when Qt deletes the widget; only the observers keep its Python side."""
        self._observed: vtk.vtkObject | None = None
        self._tags: list[int] = []
        widget.destroyed.connect(self.stop)

    def start(
        self, observed: vtk.vtkObject | None, events: Iterable[int], callback: Callable
    ) -> None:
        """Listen to events of an object instead of what was listened to; None to nothing."""
        self.stop()
        if observed is not None:
            self._observed = observed
            self._tags = [observed.AddObserver(event, callback) for event in events]

    def stop(self) -> None:
        """Listen to nothing."""
        for tag in self._tags:
            self._observed.RemoveObserver(tag)
        self._observed, self._tags = None, []
