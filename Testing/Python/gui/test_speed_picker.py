"""The choice of the speed: what is shown, what is offered, what was wished for."""

from __future__ import annotations

import pytest
from panel_parts import Calls, panel_ui, press
from PySide6.QtCore import Qt

SPEEDS = ("normal", "fast", "fastest")


@pytest.fixture
def ui(host):
    with panel_ui(host) as loaded:
        yield loaded


@pytest.fixture
def changes():
    return Calls()


@pytest.fixture
def picker(ui, changes):
    from TotalSegmentatorWidgets.SpeedPicker import SpeedPicker

    return SpeedPicker(ui, changes)


def button(ui, speed: str):
    return getattr(ui, f"{speed}RadioButton")


def checked(ui) -> list[str]:
    return [speed for speed in SPEEDS if button(ui, speed).checked]


def test_fresh_picker_shows_normal_speed_and_offers_all(ui, picker, changes):
    assert picker.speed == "normal"
    assert checked(ui) == ["normal"]
    assert all(button(ui, speed).enabled for speed in SPEEDS)
    assert changes == []


def test_a_click_chooses_and_tells_once(ui, picker, changes):
    ui.fastestRadioButton.click()
    assert picker.speed == "fastest"
    assert checked(ui) == ["fastest"]
    assert changes == [()]
    ui.fastestRadioButton.click()  # it is chosen already
    assert changes == [()]


def test_arrow_keys_choose_and_tell_once(ui, picker, changes):
    press(ui.normalRadioButton, Qt.Key_Down)
    assert picker.speed == "fast"
    assert changes == [()]


def test_setting_tells_nobody(ui, picker, changes):
    picker.speed = "fast"
    assert picker.speed == "fast"
    assert checked(ui) == ["fast"]
    picker.speed = "of an older version"
    assert picker.speed == "normal"
    assert changes == []


def test_what_the_task_lacks_is_greyed_out_and_says_why(ui, picker, changes):
    picker.setOffered(["fast", "normal"])
    assert ui.normalRadioButton.enabled and ui.fastRadioButton.enabled
    assert not ui.fastestRadioButton.enabled
    assert not ui.fastestEstimateLabel.enabled
    assert ui.fastestRadioButton.isVisibleTo(ui.panel)
    assert ui.fastestRadioButton.toolTip == "The task has no such model."
    assert ui.fastRadioButton.toolTip == ""
    picker.setOffered(SPEEDS)
    assert ui.fastestRadioButton.enabled and ui.fastestEstimateLabel.enabled
    assert ui.fastestRadioButton.toolTip == ""
    assert changes == []


def test_the_wish_comes_back_with_a_task_that_offers_it(ui, picker, changes):
    picker.speed = "fastest"
    picker.setOffered(["normal"])
    assert picker.speed == "normal"
    assert checked(ui) == ["normal"]
    picker.setOffered(SPEEDS)
    assert picker.speed == "fastest"
    assert checked(ui) == ["fastest"]
    picker.setOffered(["normal"])
    ui.normalRadioButton.click()  # now it is what the person wants
    assert changes == [()]
    picker.setOffered(SPEEDS)
    assert picker.speed == "normal"


def test_first_offered_speed_is_shown_instead(ui, picker):
    picker.setOffered(["fastest", "fast"])
    assert picker.speed == "fast"
    assert checked(ui) == ["fast"]


def test_without_a_task_nothing_can_be_chosen(ui, picker):
    picker.speed = "fast"
    picker.setOffered([])
    assert not any(button(ui, speed).enabled for speed in SPEEDS)
    assert picker.speed == "fast"


def test_estimates_stand_beside_their_speeds(ui, picker):
    picker.setTexts({"normal": "1.5 mm, about 4 min", "fast": "3 mm, about 1 min"})
    assert ui.normalEstimateLabel.text == "1.5 mm, about 4 min"
    assert ui.fastEstimateLabel.text == "3 mm, about 1 min"
    picker.setTexts({"fast": "3 mm"})
    assert ui.normalEstimateLabel.text == ""
    assert ui.fastEstimateLabel.text == "3 mm"
    assert ui.fastestEstimateLabel.text == ""
