"""The choice of the speed."""

import functools
from collections.abc import Callable, Iterable, Mapping

from slicer.i18n import tr as _

from TotalSegmentatorLib.catalog import SPEEDS


class SpeedPicker:
    """One button for each speed, with its estimate beside it; what a task lacks is greyed out.

    The speed that was wished for is kept when a task does not offer it, and comes back with a task
    that does.

    :param ui: the panel's widgets.
    :param onChanged: called when a person has chosen a speed.
    """

    def __init__(self, ui, onChanged: Callable[[], None]) -> None:
        self._onChanged = onChanged
        self._buttons = {speed: getattr(ui, f"{speed}RadioButton") for speed in SPEEDS}
        self._labels = {speed: getattr(ui, f"{speed}EstimateLabel") for speed in SPEEDS}
        self._toolTips = {speed: button.toolTip for speed, button in self._buttons.items()}
        self._offered = tuple(SPEEDS)
        self._wish = SPEEDS[0]
        for speed, button in self._buttons.items():
            button.connect("clicked()", functools.partial(self._onClicked, speed))
        self._update()

    @property
    def speed(self) -> str:
        """The speed that is shown: the one wished for, or the first that is offered.

        Setting it states the wish; a name that is none means the first speed.
        """
        if self._wish in self._offered or not self._offered:
            return self._wish
        return self._offered[0]

    @speed.setter
    def speed(self, speed: str) -> None:
        self._wish = speed if speed in SPEEDS else SPEEDS[0]
        self._update()

    def setOffered(self, speeds: Iterable[str]) -> None:
        """Say which speeds the task has."""
        wanted = set(speeds)
        self._offered = tuple(speed for speed in SPEEDS if speed in wanted)
        self._update()

    def setTexts(self, texts: Mapping[str, str]) -> None:
        """Show a text beside each speed; beside those without one, nothing."""
        for speed, label in self._labels.items():
            label.text = texts.get(speed, "")

    def _onClicked(self, speed: str) -> None:
        if speed == self._wish:
            return
        self._wish = speed
        self._update()
        self._onChanged()

    def _update(self) -> None:
        for speed, button in self._buttons.items():
            offered = speed in self._offered
            button.enabled = self._labels[speed].enabled = offered
            button.toolTip = self._toolTips[speed] if offered else _("The task has no such model.")
        self._buttons[self.speed].checked = True
