"""The check of this computer."""

from collections.abc import Callable, Sequence

import slicer
from slicer.i18n import tr as _

from TotalSegmentatorLib.environment.findings import ERROR, OK, UNKNOWN, WARNING, Finding
from TotalSegmentatorLib.remedies import Remedy
from TotalSegmentatorLib.scene import SceneJob

from .ErrorView import publicReport
from .FindingsView import FindingsView
from .RunControl import RunControl

_WORST_FIRST = (ERROR, WARNING, UNKNOWN, OK)


class DoctorView:
    """A button that has this computer checked, and what was found.

    :param ui: the panel's widgets.
    :param logic: the module's logic.
    :param onRepair: called with the remedy that a person has clicked.
    """

    def __init__(self, ui, logic, runs: RunControl, onRepair: Callable[[Remedy], None]) -> None:
        self._ui = ui
        self._logic = logic
        self._runs = runs
        self._findings: Sequence[Finding] = ()
        self._view = FindingsView(ui.findingsWidget, onRepair)
        ui.doctorButton.connect("clicked()", self.check)
        ui.copyFindingsButton.connect("clicked()", self._copy)

    def check(self) -> None:
        """Have this computer checked, beside whatever runs."""
        self._setChecking(True)
        self._logic.startDoctor().when_done(self._onDone)

    def _setChecking(self, checking: bool) -> None:
        button = self._ui.doctorButton
        button.enabled = not checking
        button.text = _("Checking...") if checking else _("Check this computer")

    def _onDone(self, job: SceneJob) -> None:
        self._setChecking(False)
        if job.error:
            self._runs.showError(job.error)
            return
        self._findings = sorted(job.result, key=lambda one: _WORST_FIRST.index(one.state))
        self._view.show(self._findings)
        self._ui.copyFindingsButton.enabled = True

    def _copy(self) -> None:
        lines = [f"{one.state}: {one.message} {one.remedy}".strip() for one in self._findings]
        slicer.app.clipboard().setText(publicReport("\n".join(lines)))
