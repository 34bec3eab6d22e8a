"""The settings of an engine as a form."""

from __future__ import annotations

import pytest
import slicer
from panel_parts import Calls, panel_ui, type_text
from PySide6.QtWidgets import QCheckBox, QLabel, QLineEdit, QPushButton, QWidget

from TotalSegmentatorLib import engines
from TotalSegmentatorLib.engines.contract import EngineSpec, Option

OPTIONS = (
    Option("careful", False, "Careful", "Look twice."),
    Option("passes", 3, "Passes", "How often.", minimum=1, maximum=9),
    Option("overlap", 0.5, "Overlap", "Share of a patch.", minimum=0.1, maximum=1.0),
    Option("note", "", "Note", "Stands in the log."),
    Option("seed", 7, "Seed", "Any number."),
    Option("window", "small", "Window", "How much is seen.", choices=("small", "large")),
    Option("mask", "", "Mask", "A file.", path=True),
)


@pytest.fixture
def ui(host):
    with panel_ui(host) as loaded:
        loaded.advancedCollapsibleButton.collapsed = False
        yield loaded


@pytest.fixture
def changes():
    return Calls()


@pytest.fixture
def form(ui, changes):
    from TotalSegmentatorWidgets.OptionsForm import OptionsForm

    made = OptionsForm(ui.engineOptionsWidget, changes)
    made.setOptions(OPTIONS)
    return made


def field(ui, name: str):
    (found,) = ui.engineOptionsWidget.findChildren(QWidget, f"{name}Option")
    return found


def reset_button(ui):
    return ui.engineOptionsWidget.findChild(QPushButton, "resetOptionsButton")


def test_each_option_has_the_widget_of_its_type_with_its_default(ui, form, changes):
    kinds = [field(ui, option.name).className() for option in OPTIONS]
    assert kinds == [
        *("QCheckBox", "QSpinBox", "QDoubleSpinBox", "QLineEdit", "QSpinBox"),
        *("QComboBox", "ctkPathLineEdit"),
    ]
    assert not field(ui, "careful").checked
    assert field(ui, "passes").value == 3
    assert field(ui, "overlap").value == 0.5
    assert field(ui, "note").text == ""
    assert field(ui, "window").currentText == "small"
    assert field(ui, "mask").currentPath == ""
    assert form.values == {}
    assert not reset_button(ui).enabled
    assert changes == []


def test_titles_helps_and_limits_are_those_of_the_engine(ui, form):
    assert field(ui, "careful").text == "Careful"
    assert {label.text for label in ui.engineOptionsWidget.findChildren(QLabel)} == {
        "Passes:",
        "Overlap:",
        "Note:",
        "Seed:",
        "Window:",
        "Mask:",
    }
    assert all(field(ui, option.name).toolTip == option.help for option in OPTIONS)
    labels = {label.text: label.toolTip for label in ui.engineOptionsWidget.findChildren(QLabel)}
    assert labels["Passes:"] == "How often."
    assert (field(ui, "passes").minimum, field(ui, "passes").maximum) == (1, 9)
    assert (field(ui, "overlap").minimum, field(ui, "overlap").maximum) == (0.1, 1.0)
    assert field(ui, "seed").maximum == 2**31 - 1
    assert field(ui, "overlap").text == "0.50"
    window = field(ui, "window")
    assert [window.itemText(index) for index in range(window.count)] == ["small", "large"]


def test_every_edit_tells_once_and_only_what_differs_is_a_value(ui, form, changes, host):
    field(ui, "careful").click()
    assert changes == [()]
    field(ui, "passes").stepUp()
    assert changes == [()] * 2
    field(ui, "overlap").stepDown()
    assert changes == [()] * 3
    type_text(field(ui, "note"), "x")
    assert changes == [()] * 4
    field(ui, "window").currentIndex = 1
    assert changes == [()] * 5
    host.answer("/data/mask.nii.gz")
    field(ui, "mask").browse()
    assert changes == [()] * 6
    assert form.values == {
        "careful": True,
        "passes": 4,
        "overlap": pytest.approx(0.45),
        "note": "x",
        "window": "large",
        "mask": "/data/mask.nii.gz",
    }
    costs = engines.spec("nnunet").costs
    spec = EngineSpec("made", "Made", "", costs, OPTIONS)
    assert spec.parse_options(form.values)["seed"] == 7
    field(ui, "careful").click()
    assert "careful" not in form.values


def test_values_of_a_scene_are_shown_and_tell_nobody(ui, form, changes):
    values = {"careful": True, "passes": 9, "overlap": 0.25, "note": "scan 2"}
    values |= {"window": "large", "mask": "/data/mask.nii.gz"}
    form.values = values
    assert form.values == values
    assert field(ui, "careful").checked
    assert field(ui, "passes").value == 9
    form.values = {"passes": 5}
    assert form.values == {"passes": 5}
    assert not field(ui, "careful").checked
    assert reset_button(ui).enabled
    assert changes == []


def test_what_the_engine_would_refuse_is_passed_over(ui, form):
    form.values = {
        "unheard_of": 1,
        "careful": "perhaps",
        "passes": 99,
        "overlap": float("nan"),
        "seed": float("inf"),
        "window": "huge",
    }
    assert form.values == {}
    form.values = {"passes": "4", "overlap": None}
    assert form.values == {"passes": 4}


def test_what_is_typed_stays_as_it_is(ui):
    """The panel sets the values again after each letter; a path is made absolute by the run."""
    from TotalSegmentatorWidgets.OptionsForm import OptionsForm

    form = OptionsForm(ui.engineOptionsWidget, lambda: setattr(form, "values", form.values))
    form.setOptions(OPTIONS)
    note = field(ui, "note")
    for line in (note, field(ui, "mask").findChild(QLineEdit)):
        type_text(line, "mask.nii")
        QLineEdit.setCursorPosition(line, 0)
        type_text(line, "my ")
    assert form.values == {"note": "my mask.nii", "mask": "my mask.nii"}


def test_default_values_come_back_with_one_click(ui, form, changes):
    form.values = {"careful": True, "note": "x"}
    reset_button(ui).click()
    assert form.values == {}
    assert not reset_button(ui).enabled
    assert changes == [()]


def test_another_engine_has_other_options(ui, form, host):
    specs = engines.specs()
    form.values = {"careful": True}
    form.setOptions(specs["totalsegmentator"].options)
    host.pump()
    boxes = [box.text for box in ui.engineOptionsWidget.findChildren(QCheckBox)]
    options = specs["totalsegmentator"].options
    assert boxes == [option.title for option in options if option.default is False]
    assert form.values == {}
    form.setOptions(OPTIONS)
    host.pump()
    assert form.values == {}
    field(ui, "passes")  # exactly one is there


def test_same_engine_again_keeps_what_was_set(ui, form):
    form.values = {"careful": True}
    form.setOptions(OPTIONS)
    assert form.values == {"careful": True}


def test_nothing_is_shown_of_an_engine_without_options(ui, form):
    assert ui.engineOptionsWidget.isVisibleTo(ui.panel)
    form.setOptions(())
    assert not ui.engineOptionsWidget.isVisibleTo(ui.panel)
    assert form.values == {}
    form.setOptions(OPTIONS)
    assert ui.engineOptionsWidget.isVisibleTo(ui.panel)


def test_every_real_engine_gets_a_form(ui, form, host):
    for spec in engines.specs().values():
        form.setOptions(spec.options)
        host.pump()  # the form before is deleted
        assert form.values == {}
        for option in spec.options:
            boxes = ui.engineOptionsWidget.findChildren(QWidget, f"{option.name}Option")
            assert len(boxes) == (0 if option.unsafe else 1), option.name


def test_texts_of_engines_are_translated_in_a_context_of_their_own(ui, form, monkeypatch):
    asked = []
    monkeypatch.setattr(
        slicer.i18n, "translate", lambda context, text: asked.append((context, text)) or text[::-1]
    )
    form.setOptions((Option("fine", False, "Fine", "Finer."),))
    assert field(ui, "fine").text == "eniF"
    assert field(ui, "fine").toolTip == ".reniF"
    assert {context for context, _ in asked} == {"TotalSegmentatorLib.engines"}
