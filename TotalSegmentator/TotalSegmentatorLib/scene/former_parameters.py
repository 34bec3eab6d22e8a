"""Parameters that the former TotalSegmentator extension saved with a scene.

Both extensions' modules have the same name, so a scene brings the former one's parameters on the
very node that ours are kept on. They are plain strings and node references under other names. They
are read once, and removed, so that they never overrule what is chosen later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import slicer

from ..catalog import tasks

_VOLUME, _SEGMENTATION = "InputVolume", "OutputSegmentation"
_TASK, _QUALITY, _FAST = "Task", "Quality", "Fast"
_STANDARD_NAMES, _CPU = "UseStandardSegmentNames", "CPU"
_SPEEDS = {"normal": "normal", "fast": "fast", "faster": "fastest"}
_BOOLEANS = {"true": True, "false": False}

# Former name -> name of the engine's option.
_OPTIONS = {
    "RobustCrop": "robust_crop",
    "RemoveSmallBlobs": "remove_small_blobs",
    "HigherOrderResampling": "higher_order_resampling",
}
_REFERENCES = (_VOLUME, _SEGMENTATION)
_NAMES = (_TASK, _QUALITY, _FAST, _STANDARD_NAMES, _CPU, *_OPTIONS)


@dataclass(frozen=True)
class FormerParameters:
    """What a scene says of the former extension, in today's terms; None where it says nothing.

    :param input_volume: volume to segment.
    :param output_segmentation: segmentation that receives the result.
    :param task: id of a task that people can choose today.
    :param speed: normal, fast or fastest; not every task offers each.
    :param use_standard_segment_names: names for people instead of class names.
    :param device: ``cpu`` or ``auto``.
    :param options: options of the engine, as far as they were saved.
    """

    input_volume: slicer.vtkMRMLScalarVolumeNode | None = None
    output_segmentation: slicer.vtkMRMLSegmentationNode | None = None
    task: str | None = None
    speed: str | None = None
    use_standard_segment_names: bool | None = None
    device: str | None = None
    options: Mapping[str, bool] = field(default_factory=dict)


def migrate(parameter_node: slicer.vtkMRMLScriptedModuleNode) -> FormerParameters | None:
    """Take the former extension's parameters off a module's node.

    What this extension keeps on the same node is left as it is.

    :param parameter_node: the node itself, not its wrapper.
    :return: None if there are none, as on every call after the first.
    """
    values = {name: parameter_node.GetParameter(name) for name in _NAMES}
    nodes = {role: parameter_node.GetNodeReferenceID(role) for role in _REFERENCES}
    if not any(values.values()) and not any(nodes.values()):
        return None
    former = FormerParameters(
        _node(parameter_node, _VOLUME, "vtkMRMLScalarVolumeNode"),
        _node(parameter_node, _SEGMENTATION, "vtkMRMLSegmentationNode"),
        _task(values[_TASK]),
        _speed(values[_QUALITY], values[_FAST]),
        _BOOLEANS.get(values[_STANDARD_NAMES]),
        {True: "cpu", False: "auto"}.get(_BOOLEANS.get(values[_CPU])),
        {
            option: _BOOLEANS[values[name]]
            for name, option in _OPTIONS.items()
            if values[name] in _BOOLEANS
        },
    )
    _remove(parameter_node)
    return former


def _node(
    parameter_node: slicer.vtkMRMLScriptedModuleNode, role: str, class_name: str
) -> slicer.vtkMRMLNode | None:
    node = parameter_node.GetNodeReference(role)
    return node if node is not None and node.IsA(class_name) else None


def _task(id: str) -> str | None:
    return id if id in {task.id for task in tasks() if not task.hidden} else None


def _speed(quality: str, fast: str) -> str | None:
    """Early versions had only ``Fast``; later ones leave it on the node beside ``Quality``."""
    if quality:
        return _SPEEDS.get(quality)
    return {"true": "fast", "false": "normal"}.get(fast)


def _remove(parameter_node: slicer.vtkMRMLScriptedModuleNode) -> None:
    was_modifying = parameter_node.StartModify()  # whoever observes the node is told once
    for name in _NAMES:
        parameter_node.UnsetParameter(name)
    for role in _REFERENCES:
        parameter_node.RemoveNodeReferenceIDs(role)
    parameter_node.EndModify(was_modifying)
