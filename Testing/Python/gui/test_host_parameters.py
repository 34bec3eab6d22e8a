"""The host's parameterNodeWrapper keeps and binds values as the application's does."""

from __future__ import annotations

import enum
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Optional, Union

import pytest
import small_module

if TYPE_CHECKING:
    from slicerhost.host import Host
    from slicerhost.scripted_modules import LoadedModule


class Speed(enum.Enum):
    """Two speeds."""

    FAST = 1
    NORMAL = 2


def make(hints: dict[str, Any], **defaults: object) -> Any:
    """Return a wrapper around a new node of a class with these annotations."""
    import slicer
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    cls = parameterNodeWrapper(type("Parameters", (), {"__annotations__": hints, **defaults}))
    return cls(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


@pytest.fixture
def small(host: Host, tmp_path: pathlib.Path) -> Iterator[LoadedModule]:
    """A small module whose panel is bound to its parameters."""
    loaded = host.loadModule(small_module.write(tmp_path))
    host.enter(loaded)
    yield loaded
    host.unloadModule(loaded)
    assert host.slotErrors == []


@pytest.mark.parametrize(
    ("hint", "own_default", "value"),
    [
        (bool, False, True),
        (int, 0, -7),
        (float, 0.0, 2.25),
        (str, "", "text"),
        (pathlib.Path, pathlib.Path(), pathlib.Path("/data/ct.nii.gz")),
        (Speed, Speed.FAST, Speed.NORMAL),
        (list[str], [], ["liver", "spleen"]),
        (dict[str, int], {}, {"liver": 5}),
        (Optional[int], None, 3),  # noqa: UP045 - as modules write it
    ],
)
def test_values_are_kept_in_the_node(
    host: Host, hint: Any, own_default: object, value: object
) -> None:
    wrapper = make({"value": hint})
    assert wrapper.value == own_default
    wrapper.value = value
    assert wrapper.value == value
    again = type(wrapper)(wrapper.parameterNode)
    assert again.value == value
    if not isinstance(value, (list, dict)):
        assert type(again.value) is type(value)


def test_defaults(host: Host) -> None:
    from slicer.parameterNodeWrapper import Default

    wrapper = make({"margin": Annotated[float, Default(2.5)], "cpu": bool}, cpu=True)
    assert (wrapper.margin, wrapper.cpu) == (2.5, True)
    assert wrapper.default("margin").value == 2.5
    assert wrapper.isCached("margin")
    with pytest.raises(ValueError, match="there is no parameter"):
        wrapper.isCached("absent")


def test_limits(host: Host) -> None:
    from slicer.parameterNodeWrapper import Choice, WithinRange

    hints = {
        "margin": Annotated[float, WithinRange(0, 5)],
        "task": Annotated[str, Choice(["total", "lung"])],
        "count": int,
    }
    wrapper = make(hints, task="total")
    for name, value in (("margin", 6.0), ("task", "heart"), ("count", None)):
        with pytest.raises(ValueError, match=name if value is None else "not"):
            setattr(wrapper, name, value)
    with pytest.raises(TypeError):
        wrapper.count = "many"
    wrapper.margin = 3  # a whole number is a number
    assert wrapper.margin == 3.0
    with pytest.raises(TypeError, match="no way to keep"):
        make({"thing": object})


def test_node_references(host: Host) -> None:
    import slicer

    wrapper = make({"volume": slicer.vtkMRMLScalarVolumeNode})
    assert wrapper.volume is None
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    wrapper.volume = volume
    assert wrapper.volume is volume
    assert wrapper.parameterNode.GetNodeReferenceID("volume") == volume.GetID()
    with pytest.raises(TypeError):
        wrapper.volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    slicer.mrmlScene.RemoveNode(volume)
    assert wrapper.volume is None


def test_lists_write_their_changes(host: Host) -> None:
    wrapper = make({"names": list[str]}, names=["liver"])
    names = wrapper.names
    assert not isinstance(names, list)
    seen: list[list[str]] = []
    wrapper.AddObserver("ModifiedEvent", lambda caller, event: seen.append(list(wrapper.names)))
    names.append("spleen")
    names += ["heart", "aorta"]
    names.remove("liver")
    names[0] = "kidney"
    del names[2]
    assert wrapper.names == ["kidney", "heart"]
    assert seen[:2] == [["liver", "spleen"], ["liver", "spleen", "heart", "aorta"]]
    node = wrapper.parameterNode
    assert [node.GetParameter(f"names.{key}") for key in ("len", "0", "1", "2")] == [
        "2",
        "kidney",
        "heart",
        "",
    ]
    wrapper.names.clear()
    assert wrapper.names == []
    with pytest.raises(NotImplementedError):
        _ = wrapper.names + ["lung"]  # noqa: RUF005 - what the application refuses
    with pytest.raises(TypeError):
        wrapper.names = ["liver", 5]
    assert wrapper.names == []


def test_dictionaries_write_their_changes(host: Host) -> None:
    wrapper = make({"options": dict[str, str]})
    wrapper.options["smoothing"] = "0.5"
    wrapper.options["threads"] = "2"
    assert wrapper.options == {"smoothing": "0.5", "threads": "2"}
    assert wrapper.options.pop("threads") == "2"
    assert dict(wrapper.options) == {"smoothing": "0.5"}
    assert wrapper.options.get("absent") is None
    with pytest.raises(TypeError):
        wrapper.options.get("absent", "")  # the application's has no default either
    with pytest.raises(TypeError):
        wrapper.options["threads"] = 2
    assert wrapper.parameterNode.GetParameter("options.0.1") == "0.5"


def test_lists_of_nodes(host: Host) -> None:
    import slicer

    wrapper = make({"volumes": list[slicer.vtkMRMLScalarVolumeNode]})
    first, second = (
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name) for name in "ab"
    )
    wrapper.volumes = [first, second]
    wrapper.volumes.reverse()
    assert list(wrapper.volumes) == [second, first]
    slicer.mrmlScene.RemoveNode(second)
    assert list(wrapper.volumes) == [None, first]
    with pytest.raises(TypeError):
        wrapper.volumes.append(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode"))


def test_optional_values_and_nodes(host: Host) -> None:
    import qt
    import slicer

    region = slicer.vtkMRMLMarkupsROINode
    hints = {
        "region": region,
        "either": Union[region, slicer.vtkMRMLModelNode, None],  # noqa: UP007 - as modules do
        "count": Optional[int],  # noqa: UP045
        "names": Optional[list[str]],  # noqa: UP045
    }
    wrapper = make(hints)
    assert (wrapper.region, wrapper.either, wrapper.count) == (None, None, None)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    wrapper.region = wrapper.either = node
    wrapper.count = 3
    assert (wrapper.region, wrapper.either, wrapper.count) == (node, node, 3)
    wrapper.count = None
    assert wrapper.count is None
    wrapper.names = ["liver", "spleen"]
    wrapper.names = None
    assert wrapper.names is None
    assert wrapper.parameterNode.GetParameterNamesAsCommaSeparatedList().count("names") == 1
    for name in ("region", "either"):
        box = slicer.qMRMLNodeComboBox()
        box.noneEnabled = True
        box.setMRMLScene(slicer.mrmlScene)
        wrapper.connectParametersToGui({name: box})
        assert box.currentNode() is node
        box.setCurrentNode(None)
        assert getattr(wrapper, name) is None
    with pytest.raises(RuntimeError, match="count"):
        wrapper.connectParametersToGui({"count": qt.QSpinBox()})
    with pytest.raises(TypeError, match="no way to keep"):
        make({"count": int | None})  # the application knows Optional[int] alone


def test_folders_are_bound(host: Host, tmp_path: pathlib.Path) -> None:
    import ctk

    wrapper = make({"folder": pathlib.Path})
    for widget, name in ((ctk.ctkDirectoryButton(), "directory"), (ctk.ctkPathLineEdit(), "")):
        tag = wrapper.connectParametersToGui({"folder": widget})
        setattr(widget, name or "currentPath", str(tmp_path))
        assert wrapper.folder == tmp_path
        wrapper.folder = tmp_path / "deeper"
        assert getattr(widget, name or "currentPath") == str(tmp_path / "deeper")
        wrapper.disconnectGui(tag)


def test_changes_are_observed(host: Host) -> None:
    import vtk

    wrapper = make({"cpu": bool})
    seen: list[bool] = []
    tag = wrapper.AddObserver(
        vtk.vtkCommand.ModifiedEvent, lambda caller, event: seen.append(wrapper.cpu)
    )
    wrapper.cpu = True
    assert seen == [True]
    wrapper.RemoveObserver(tag)
    wrapper.cpu = False
    assert seen == [True]


def test_widgets_take_the_values(small: LoadedModule) -> None:
    ui, parameters = small.widget.ui, small.widget._parameterNode
    assert (ui.cpuCheckBox.checked, ui.marginBox.value, ui.noteEdit.text) == (False, 2.5, "")
    assert (ui.marginBox.minimum, ui.marginBox.maximum) == (0.0, 10.0)
    assert [ui.taskBox.itemText(i) for i in range(ui.taskBox.count)] == ["total", "lung"]
    assert (ui.speedBox.count, ui.speedBox.currentText) == (2, "normal")
    parameters.cpu = True
    parameters.margin = 4.5
    parameters.task = "lung"
    parameters.speed = small.python.Speed.FAST
    parameters.note = "for people"
    parameters.threads = 3
    assert (ui.cpuCheckBox.checked, ui.marginBox.value, ui.threadsBox.value) == (True, 4.5, 3)
    assert (ui.taskBox.currentText, ui.speedBox.currentText) == ("lung", "fast")
    assert ui.noteEdit.text == "for people"


def test_values_take_what_people_enter(small: LoadedModule) -> None:
    import slicer

    ui, parameters = small.widget.ui, small.widget._parameterNode
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    ui.inputSelector.setCurrentNode(volume)
    ui.cpuCheckBox.click()
    ui.marginBox.value = 1.5
    ui.taskBox.currentIndex = 1
    ui.speedBox.setCurrentText("fast")
    ui.noteEdit.setText("typed")
    ui.threadsBox.setValue(8)
    assert parameters.inputVolume is volume
    assert (parameters.cpu, parameters.margin, parameters.threads) == (True, 1.5, 8)
    assert (parameters.task, parameters.note) == ("lung", "typed")
    assert parameters.speed is small.python.Speed.FAST


def test_a_disconnected_panel_changes_nothing(host: Host, small: LoadedModule) -> None:
    parameters = small.widget._parameterNode
    host.leave()
    small.widget.ui.noteEdit.text = "typed later"
    assert parameters.note == ""


def test_widgets_are_found_below_a_widget(host: Host) -> None:
    import qt

    wrapper = make({"cpu": bool}, cpu=True)
    panel = qt.QWidget()
    box = qt.QCheckBox(panel)
    box.setProperty("SlicerParameterName", "cpu")
    wrapper.connectGui(panel)
    assert box.checked
    box.checked = False
    assert wrapper.cpu is False


def test_bindings_that_the_application_refuses_are_refused(host: Host) -> None:
    import ctk
    import qt
    import slicer

    hints = {"text": str, "cpu": bool, "count": int, "names": list[str]}
    wrapper = make({**hints, "node": slicer.vtkMRMLScalarVolumeNode})
    for name, widget in (
        ("text", qt.QComboBox()),  # no Choice to fill it from
        ("cpu", qt.QRadioButton()),
        ("cpu", ctk.ctkMenuButton()),  # not exactly a QPushButton
        ("count", qt.QSlider()),  # no limits
        ("names", qt.QLineEdit()),
        ("names", qt.QListWidget()),
        ("node", slicer.qMRMLCheckableNodeComboBox()),  # not exactly a qMRMLNodeComboBox
        ("text", ctk.ctkSearchBox()),  # not exactly a QLineEdit
        ("text", qt.QPlainTextEdit()),
    ):
        with pytest.raises(RuntimeError, match=name):
            wrapper.connectParametersToGui({name: widget})
    with pytest.raises(ValueError, match="there is no parameter"):
        wrapper.connectParametersToGui({"absent": qt.QCheckBox()})
