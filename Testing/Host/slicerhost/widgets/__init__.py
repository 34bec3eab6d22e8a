"""Stand-ins for the ctk and qMRML widgets that .ui files of scripted modules name."""

from __future__ import annotations

import types

from ..pythonqt.ui_loader import UiLoader
from . import (
    checkable_node_combo_box,
    ctk_boxes,
    ctk_paths,
    ctk_values,
    mrml_widgets,
    node_combo_box,
    segmentation,
    table_view,
)

CTK = (
    ctk_boxes.ctkCollapsibleButton,
    ctk_boxes.ctkCollapsibleGroupBox,
    ctk_boxes.ctkMessageBox,
    ctk_values.ctkMenuButton,
    ctk_paths.ctkDirectoryButton,
    ctk_paths.ctkPathLineEdit,
    ctk_values.ctkSearchBox,
    ctk_values.ctkSliderWidget,
)
SLICER = (
    mrml_widgets.qMRMLWidget,
    node_combo_box.qMRMLNodeComboBox,
    checkable_node_combo_box.qMRMLCheckableNodeComboBox,
    table_view.qMRMLTableView,
    segmentation.qMRMLSegmentationShow3DButton,
)


def install(ctk: types.ModuleType, slicer: types.ModuleType) -> None:
    """Enter the stand-ins into their modules and make them known to the .ui loader."""
    for module, classes in ((ctk, CTK), (slicer, SLICER)):
        for cls in classes:
            setattr(module, cls.__name__, cls)
            UiLoader.standIns[cls.__name__] = cls
