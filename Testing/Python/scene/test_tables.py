"""Table nodes and modalities, on bare slicer-core."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest

slicer = pytest.importorskip("slicer")
import vtk  # noqa: E402

from TotalSegmentatorLib.catalog.columns import columns  # noqa: E402
from TotalSegmentatorLib.images import Image  # noqa: E402
from TotalSegmentatorLib.report import measure  # noqa: E402
from TotalSegmentatorLib.scene.modality import volume_modality  # noqa: E402
from TotalSegmentatorLib.scene.tables import fill_table  # noqa: E402


@pytest.fixture()
def report():
    labels = np.zeros((5, 6, 7), np.uint8)
    labels[1:3, 2:4, 3:5] = 2
    image = np.arange(labels.size, dtype=np.int16).reshape(labels.shape)
    grid = np.diag([-2.0, 2.0, 5.0, 1.0])
    names = {1: "liver", 2: "spleen"}
    found = measure(Image(labels, grid), Image(image, grid), names, "total")
    return {"structures": [asdict(structure) for structure in found]}


def values(node, row):
    table = node.GetTable()
    return {
        table.GetColumnName(i): table.GetValue(row, i) for i in range(table.GetNumberOfColumns())
    }


def test_table_tells_what_the_report_tells(application, report):
    node = application.scene.AddNewNodeByClass("vtkMRMLTableNode")
    fill_table([report], node)
    assert node.GetNumberOfRows() == 2
    spleen = values(node, 1)
    assert spleen["id"].ToString() == "spleen" and spleen["task"].ToString() == "total"
    assert spleen["found"].ToInt() == 1 and spleen["touches_border"].ToInt() == 0
    assert spleen["voxels"].ToInt() == 8
    assert spleen["volume_ml"].ToDouble() == pytest.approx(8 * 20 / 1000)
    assert spleen["hu_mean"].ToDouble() == report["structures"][1]["hu"]["mean"]
    assert (spleen["i_first"].ToInt(), spleen["i_last"].ToInt()) == (3, 4)
    assert spleen["centroid_r_mm"].ToDouble() == pytest.approx(-7)
    liver = values(node, 0)
    assert liver["found"].ToInt() == 0
    assert math.isnan(liver["hu_mean"].ToDouble()) and liver["i_first"].ToInt() == -1


def test_columns_are_typed_and_described(application, report):
    node = application.scene.AddNewNodeByClass("vtkMRMLTableNode")
    fill_table([report], node)
    types = {"text": vtk.VTK_STRING, "integer": vtk.VTK_LONG_LONG, "boolean": vtk.VTK_BIT}
    types["number"] = vtk.VTK_DOUBLE
    for column in columns():
        array = node.GetTable().GetColumnByName(column.name)
        assert array.GetDataType() == types[column.type], column.name
        assert node.GetColumnUnitLabel(column.name) == column.unit
        assert node.GetColumnDescription(column.name) == column.description


def test_filling_again_replaces_and_tells_once(application, report):
    node = application.scene.AddNewNodeByClass("vtkMRMLTableNode")
    fill_table([report], node)
    events = []
    node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: events.append(1))
    fill_table([{"structures": report["structures"][:1]}], node)
    assert node.GetNumberOfRows() == 1 and node.GetNumberOfColumns() == len(columns())
    assert len(events) == 1


def test_table_survives_a_file(application, report, tmp_path):
    node = application.scene.AddNewNodeByClass("vtkMRMLTableNode")
    fill_table([report], node)
    again = application.scene.AddNewNodeByClass("vtkMRMLTableNode")
    for table in (node, again):
        table.AddDefaultStorageNode()
        table.GetStorageNode().SetFileName(str(tmp_path / "table.tsv"))
    assert node.GetStorageNode().WriteData(node) and again.GetStorageNode().ReadData(again)
    for name, value in values(node, 1).items():
        assert values(again, 1)[name].ToString() == value.ToString(), name
        assert again.GetColumnUnitLabel(name) == node.GetColumnUnitLabel(name)


def test_table_of_an_older_report_has_empty_cells(application, report):
    for structure in report["structures"]:
        del structure["task"], structure["centroid_ras"]
    node = application.scene.AddNewNodeByClass("vtkMRMLTableNode")
    fill_table([report], node)
    assert values(node, 1)["task"].ToString() == ""
    assert math.isnan(values(node, 1)["centroid_a_mm"].ToDouble())


def volume(application):
    return application.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")


@pytest.mark.parametrize(
    ("written", "told"), [("CT", "CT"), ("MR", "MR"), (" ct ", "CT"), ("PT", ""), ("", "")]
)
def test_modality_of_the_item_in_the_hierarchy(application, written, told):
    node = volume(application)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(application.scene)
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", written)
    assert volume_modality(node) == told


def test_modality_of_the_node_itself(application):
    node = volume(application)
    assert volume_modality(node) == ""
    node.SetAttribute("DICOM.Modality", "MR")
    assert volume_modality(node) == "MR"


def test_asking_for_the_modality_changes_no_scene():
    scene = slicer.vtkMRMLScene()
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    nodes = scene.GetNumberOfNodes()
    assert volume_modality(node) == ""
    assert volume_modality(slicer.vtkMRMLScalarVolumeNode()) == ""
    assert scene.GetNumberOfNodes() == nodes
