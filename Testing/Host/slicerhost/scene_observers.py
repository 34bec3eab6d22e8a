"""Who still observes the scene: to find, and to end, what a test left."""

from __future__ import annotations

import slicer
import vtk


class SceneObservers:
    """Python observers of a scene that came after this was made."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._scene = scene
        self._first = self._next_tag()

    def _next_tag(self) -> int:
        """Return the tag that the next observer gets; tags only grow."""
        tag = self._scene.AddObserver(vtk.vtkCommand.UserEvent, lambda caller, event: None)
        self._scene.RemoveObserver(tag)
        return tag

    def tags(self) -> list[int]:
        """Return the tags of the observers that are there."""
        tags = range(self._first, self._next_tag())
        found = ((tag, self._scene.GetCommand(tag)) for tag in tags)
        # Classes of C++ add and remove observers of their own.
        return [t for t, command in found if command and "Python" in command.GetClassName()]

    def descriptions(self) -> list[str]:
        """Return a line for each observer."""
        return [f"observer {tag} of the scene" for tag in self.tags()]

    def remove(self) -> None:
        """End all of them."""
        for tag in self.tags():
            self._scene.RemoveObserver(tag)
        self._first = self._next_tag()
