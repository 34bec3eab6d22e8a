"""Context menus of nodes, and sample data, as modules add them to the application."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from slicerhost.host import Host

PLUGIN = """
import qt
import slicer
from {base} import AbstractScriptedSubjectHierarchyPlugin

CHOSEN = []


class SmallSubjectHierarchyPlugin(AbstractScriptedSubjectHierarchyPlugin):
    def __init__(self, scriptedPlugin):
        scriptedPlugin.name = "Small"
        AbstractScriptedSubjectHierarchyPlugin.__init__(self, scriptedPlugin)
        self.action = qt.QAction("Segment", scriptedPlugin)
        self.action.connect("triggered()", self.chosen)

    def itemContextMenuActions(self):
        return [self.action]

    def showContextMenuActionsForItem(self, itemID):
        hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
        node = hierarchy.GetItemDataNode(itemID)
        if node.IsA("vtkMRMLScalarVolumeNode"):
            self.action.visible = True  # it was hidden before, as the application does
        {extra}

    def chosen(self):
        CHOSEN.append(slicer.qSlicerSubjectHierarchyPluginHandler.instance().currentItem())
"""

BASES = (
    "AbstractScriptedSubjectHierarchyPlugin",
    "SubjectHierarchyPlugins",
    "SubjectHierarchyPlugins.AbstractScriptedSubjectHierarchyPlugin",
)


def add_plugin(folder: Path, name: str, base: str = BASES[0], extra: str = "") -> object:
    import slicer

    path = folder / f"{name}.py"
    path.write_text(PLUGIN.format(base=base, extra=extra), encoding="utf-8")
    plugin = slicer.qSlicerSubjectHierarchyScriptedPlugin(None)
    assert plugin.setPythonSource(str(path))
    return plugin


def add(node_class: str) -> object:
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass(node_class, "node")


# The class may have the name of the file, or the file be the module's own.
@pytest.mark.parametrize("name", ["SmallSubjectHierarchyPlugin", "Small"])
@pytest.mark.parametrize("base", BASES)
def test_a_plugin_adds_to_the_menu(host: Host, tmp_path: Path, name: str, base: str) -> None:
    import slicer

    plugin = add_plugin(tmp_path, name, base)
    volume, model = add("vtkMRMLScalarVolumeNode"), add("vtkMRMLModelNode")
    assert len(host.contextMenu(volume)) == 1
    assert host.contextMenu(model) == []
    (action,) = host.contextMenu(volume)
    assert action.text == "Segment"
    action.trigger()
    item = slicer.mrmlScene.GetSubjectHierarchyNode().GetItemByDataNode(volume)
    assert [item] == sys.modules[name].CHOSEN
    assert slicer.SmallSubjectHierarchyPlugin is plugin.self()
    handler = slicer.qSlicerSubjectHierarchyPluginHandler.instance()
    assert handler.pluginByName("Small") is plugin
    assert plugin.canOwnSubjectHierarchyItem(item) == 0.0
    host.reset()
    assert handler.allPlugins() == []


def test_a_plugin_is_registered_once(host: Host, tmp_path: Path) -> None:
    import slicer

    add_plugin(tmp_path, "Small")
    add_plugin(tmp_path, "Small")
    assert len(host.contextMenu(add("vtkMRMLScalarVolumeNode"))) == 1
    assert len(slicer.qSlicerSubjectHierarchyPluginHandler.instance().allPlugins()) == 1


def test_a_plugin_that_cannot_be_made(host: Host, tmp_path: Path) -> None:
    import slicer

    plugin = slicer.qSlicerSubjectHierarchyScriptedPlugin(None)
    assert plugin.name == "UnnamedScriptedPlugin"
    assert not plugin.setPythonSource(str(tmp_path / "Small.txt"))
    path = tmp_path / "Empty.py"
    path.write_text("", encoding="utf-8")
    assert not plugin.setPythonSource(str(path))
    with pytest.raises(AttributeError):
        plugin.titel = "typing error"


def test_a_plugin_that_fails_is_noticed(host: Host, tmp_path: Path) -> None:
    add_plugin(tmp_path, "Small", extra="self.nothing()")
    host.contextMenu(add("vtkMRMLScalarVolumeNode"))
    assert [error.kind for error in host.slotErrors] == ["AttributeError"]


def test_sample_data(host: Host) -> None:
    import SampleData
    import slicer

    seen: list[object] = []
    for _ in range(2):  # the second time it is there already
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category="TotalSegmentator",
            sampleName="CT",
            thumbnailFileName="ct.png",
            uris="https://example.org/ct.nii.gz",
            fileNames="ct.nii.gz",
            nodeNames="CT",
            customDownloader=seen.append,
        )
    (source,) = slicer.modules.sampleDataSources["TotalSegmentator"]
    host.downloadSample("CT")
    assert seen == [source]
    assert (source.sampleName, source.nodeNames, source.fileNames) == ("CT", ["CT"], ["ct.nii.gz"])
    assert (source.loadFileType, source.checksums) == (["VolumeFile"], [None])
    with pytest.raises(LookupError):
        host.downloadSample("MR")
    host.reset()
    assert not hasattr(slicer.modules, "sampleDataSources")


def test_sample_data_that_the_application_refuses(host: Host) -> None:
    import SampleData

    register = SampleData.SampleDataLogic.registerCustomSampleDataSource
    with pytest.raises(TypeError, match="uris"):
        register(sampleName="CT", customDownloader=print)
    with pytest.raises(TypeError):
        register(sampleName="CT", uris="file:///a", description="no such keyword")
    with pytest.raises(ValueError, match="as many"):
        register(sampleName="CT", uris=["a", "b"], fileNames=["a"], nodeNames=["a", "b"])
