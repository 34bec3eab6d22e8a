"""Tables: the measures of a report as a table node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import slicer
import vtk

from ..catalog.columns import Column, columns

_ARRAYS: Mapping[str, Callable[[], vtk.vtkAbstractArray]] = {
    "text": vtk.vtkStringArray,
    "integer": vtk.vtkLongLongArray,
    "number": vtk.vtkDoubleArray,
    "boolean": vtk.vtkBitArray,
}
_FRAME = Column("frame", "frame", "integer", "", "Frame of the sequence, from 1")
_NO_VALUE = {"text": "", "integer": -1, "number": float("nan"), "boolean": False}


def fill_table(
    reports: Sequence[Mapping[str, Any]],
    table_node: slicer.vtkMRMLTableNode,
    frames: Sequence[int] = (),
) -> None:
    """Replace a table's content with one row for each structure that was looked for.

    Columns are typed, with units and descriptions. What has no value, because the structure was not
    found, is nan, or -1 for whole numbers. No view is opened and no selection changed.

    :param reports: the content of ``report.json``, of one image or of the frames of a sequence.
    :param frames: for each report the number of its frame; the first column if there are any.
    """
    structures = [structure for report in reports for structure in report["structures"]]
    was_modifying = table_node.StartModify()
    try:
        table_node.RemoveAllColumns()
        if frames:
            numbers = [n for n, r in zip(frames, reports, strict=True) for _ in r["structures"]]
            _add_column(table_node, _FRAME, numbers)
        for column in columns():
            _add_column(table_node, column, [column.value(structure) for structure in structures])
        table_node.SetUseColumnTitleAsColumnHeader(True)
    finally:
        table_node.EndModify(was_modifying)


def _add_column(table_node: slicer.vtkMRMLTableNode, column: Column, values: Sequence[Any]) -> None:
    array = _ARRAYS[column.type]()
    array.SetName(column.name)
    for value in values:
        array.InsertNextValue(_NO_VALUE[column.type] if value is None else value)
    table_node.AddColumn(array)
    if column.unit:
        table_node.SetColumnUnitLabel(column.name, column.unit)
    table_node.SetColumnDescription(column.name, column.description)
