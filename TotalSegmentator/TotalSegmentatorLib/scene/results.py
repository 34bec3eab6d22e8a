"""Results: into the scene, and out of it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import slicer

from ..errors import InputError
from ..images import Layer, same_grid
from ..report import provenance_texts
from .job import SceneResult
from .segmentations import Snapshot, import_layers, restore_snapshot, take_snapshot
from .sequences import Frame, find_sequence, import_frames
from .tables import fill_table
from .target import Target
from .volumes import volume_to_image


class Result(Protocol):
    """A finished segmentation, see :class:`~TotalSegmentatorLib.segment.Segmentation`."""

    layers: Sequence[Layer]
    report: Mapping[str, Any]
    banner: str


class Results:
    """Puts results into the scene, and remembers what they have replaced: one level.

    Whatever goes wrong, the scene is as before.
    """

    def __init__(self) -> None:
        self._previous: dict[slicer.vtkMRMLSegmentationNode, Callable[[], None]] = {}

    def put(
        self, result: Result, target: Target, naming: bool = True, make_table: bool = False
    ) -> SceneResult:
        """Put a result into the scene, whose nodes may have gone in the meantime.

        :param naming: whether segments get names for people instead of class names.
        :param make_table: whether the scene gets a table of what was found.
        :raises InputError: if the nodes are not what they were when the run began.
        """
        target.check()
        target.check_single()
        _check_grid(target.volume, result)
        made = []
        table = None
        try:
            node = target.output
            if node is None:
                name = target.new_name(result.banner)
                node = target.add_node("vtkMRMLSegmentationNode", name)
                made.append(node)
            if make_table:
                table = target.add_node("vtkMRMLTableNode", f"{node.GetName()} report")
                made.append(table)
                fill_table([result.report], table)
            before = take_snapshot(node)
            provenance = provenance_texts(result.report)
            layers = _named(result, naming)
            import_layers(layers, node, target.volume, target.mode, provenance)
        except Exception:
            for one in made:
                target.scene.RemoveNode(one)
            raise
        if target.output is not None:
            self._remember(node, before)
        return SceneResult(node, table, (result.report,))

    def put_frames(
        self,
        results: Sequence[Result],
        frames: Sequence[Frame],
        browser: slicer.vtkMRMLSequenceBrowserNode,
        target: Target,
        naming: bool = True,
        make_table: bool = False,
    ) -> SceneResult:
        """Put the results of frames into their browser; see :meth:`put`."""
        target.check()
        for frame, result in zip(frames, results, strict=True):
            _check_grid(frame.volume, result)
        imported = import_frames(
            zip(frames, (_named(result, naming) for result in results), strict=True),
            browser,
            target.volume,
            target.output,
            name=target.new_name(results[0].banner),
            mode=target.mode,
            provenance=provenance_texts(results[0].report),
        )
        node, table = imported.segmentation_node, None
        numbers = tuple(frame.index + 1 for frame in frames)
        try:
            if make_table:
                table = target.add_node("vtkMRMLTableNode", f"{node.GetName()} report")
                fill_table([result.report for result in results], table, numbers)
        except Exception:
            imported.undo()
            if table is not None:
                target.scene.RemoveNode(table)
            raise
        if target.output is not None:
            self._previous[node] = lambda: self._forget(node, imported.undo)
        return SceneResult(node, table, tuple(result.report for result in results), numbers)

    def can_restore(self, segmentation: slicer.vtkMRMLSegmentationNode | None) -> bool:
        """Whether :meth:`restore` has something to put back."""
        self.forget_removed()
        return segmentation in self._previous

    def forget_removed(self) -> None:
        """Let go of the earlier content of segmentations that have left the scene."""
        for node in [node for node in self._previous if node.GetScene() is None]:
            del self._previous[node]

    def restore(self, segmentation: slicer.vtkMRMLSegmentationNode) -> None:
        """Undo the last result; a second call brings it back, except for sequences.

        :raises InputError: ``input.nothing_to_restore``, ``output.in_a_sequence``.
        """
        if not self.can_restore(segmentation):
            raise InputError(
                "input.nothing_to_restore",
                "Nothing is remembered of what the segmentation held before.",
                "Only the last run's result can be undone, and only once it has ended.",
            )
        self._previous[segmentation]()

    def _remember(self, node: slicer.vtkMRMLSegmentationNode, snapshot: Snapshot) -> None:
        """Offer to put a snapshot back; the node holds a result now."""
        place = node.GetTransformNodeID()

        def restore() -> None:
            if find_sequence(node):
                del self._previous[node]  # its frames would be written over
                raise InputError(
                    "output.in_a_sequence",
                    "The segmentation shows a sequence by now.",
                    "Use the sequence's frames; the earlier content cannot be put back.",
                )
            moved = node.GetTransformNodeID()
            self._remember(node, restore_snapshot(node, snapshot))
            if moved != place:  # by the user, since the run
                node.SetAndObserveTransformNodeID(moved)

        self._previous[node] = restore

    def _forget(self, node: slicer.vtkMRMLSegmentationNode, undo: Callable[[], None]) -> None:
        del self._previous[node]
        undo()


def _check_grid(volume: slicer.vtkMRMLScalarVolumeNode, result: Result) -> None:
    if not same_grid(volume_to_image(volume), result.layers[0].labels):
        raise InputError(
            "input.volume_changed", "The volume was changed during the run.", "Run again."
        )


def _named(result: Result, naming: bool) -> list[Layer]:
    """The layers with names for people, or with class names."""
    if naming:
        return list(result.layers)
    return [
        replace(layer, segments=tuple(replace(one, name=one.id) for one in layer.segments))
        for layer in result.layers
    ]
