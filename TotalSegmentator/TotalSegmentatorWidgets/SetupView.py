"""What this computer has of what a run needs."""

import functools
from collections.abc import Callable

from TotalSegmentatorLib import remedies
from TotalSegmentatorLib.remedies import Remedy

from .DoctorView import DoctorView
from .EnvironmentView import EnvironmentView
from .LicenceView import LicenceView
from .PrivacyView import PrivacyView
from .RunControl import RunControl
from .WeightsView import WeightsView


class SetupView:
    """The section *Setup*: nothing is looked at while it is folded.

    :param ui: the panel's widgets.
    :param logic: the module's logic.
    :param runs: queues what takes long, and shows it.
    :param onChanged: called when another engine is used, or models have come or gone.
    """

    def __init__(self, ui, logic, runs: RunControl, onChanged: Callable[[], None]) -> None:
        self._section = ui.setupCollapsibleButton
        self._weights = WeightsView(ui, logic, runs, onChanged)
        self._licence = LicenceView(ui, logic, runs)
        environment = EnvironmentView(ui, logic, runs, onChanged)
        privacy = PrivacyView(ui, runs)
        self._views = (environment, self._weights, self._licence, privacy)
        repairs = {
            remedies.OPEN_LICENCE: self.openLicence,
            remedies.DOWNLOAD_WEIGHTS: self._weights.open,
        }
        install = functools.partial(runs.install, again=True)

        def repair(remedy: Remedy) -> None:
            repairs.get(remedy.action, install)()

        DoctorView(ui, logic, runs, repair)
        self._section.connect("contentsCollapsed(bool)", self.refresh)

    def setDownload(self, size: str) -> None:
        """Tell what must be downloaded for what is chosen in the panel; empty: nothing."""
        self._weights.setDownload(size)

    def refresh(self) -> None:
        """Look again at what this computer has, if anybody looks at the section."""
        if not self._section.collapsed:
            for view in self._views:
                view.refresh()

    def open(self) -> None:
        """Unfold the section."""
        self._section.collapsed = False

    def openLicence(self) -> None:
        """Unfold the section, ready to enter a licence number."""
        self.open()
        self._licence.focus()
