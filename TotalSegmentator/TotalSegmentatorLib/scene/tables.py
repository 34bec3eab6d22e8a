"""Tables: the measures of a report as a table node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
_NO_VALUE = {"text": "", "integer": -1, "number": float("nan"), "boolean": False}


def fill_table(report: Mapping[str, Any], table_node: slicer.vtkMRMLTableNode) -> None:
    """Replace a table's content with one row for each structure that was looked for.

    Columns are typed, with units and descriptions. What has no value, because the structure was not
    found, is nan, or -1 for whole numbers. No view is opened and no selection changed.

    :param report: the content of ``report.json``.
    """
    was_modifying = table_node.StartModify()
    try:
        table_node.RemoveAllColumns()
        for column in columns():
            values = [column.value(structure) for structure in report["structures"]]
            array = _ARRAYS[column.type]()
            array.SetName(column.name)
            for value in values:
                array.InsertNextValue(_NO_VALUE[column.type] if value is None else value)
            table_node.AddColumn(array)
            _describe(table_node, column)
        table_node.SetUseColumnNameAsColumnHeader(True)
    finally:
        table_node.EndModify(was_modifying)


def _describe(table_node: slicer.vtkMRMLTableNode, column: Column) -> None:
    if column.unit:
        table_node.SetColumnUnitLabel(column.name, column.unit)
    table_node.SetColumnDescription(column.name, column.description)
