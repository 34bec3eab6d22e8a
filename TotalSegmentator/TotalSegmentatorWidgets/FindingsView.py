"""What was found out about this computer."""

import functools
import html
from collections.abc import Callable, Sequence

import qt
import slicer
from slicer.i18n import tr as _

from TotalSegmentatorLib.environment.findings import ERROR, OK, WARNING, Finding
from TotalSegmentatorLib.remedies import Remedy

from .ErrorView import remedyTitle

_ICON_PIXELS = 16


class FindingsView:
    """Findings one below the other: an icon, a sentence, and a button where one click helps.

    :param container: an empty widget, hidden while there is nothing to show.
    :param onRepair: called with the remedy that a person has clicked.
    """

    def __init__(self, container, onRepair: Callable[[Remedy], None]) -> None:
        self._container = container
        self._onRepair = onRepair
        self._layout = qt.QVBoxLayout(container)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._rows = None
        self.show(())

    def show(self, findings: Sequence[Finding]) -> None:
        """Show these findings instead of those before."""
        if self._rows is not None:
            self._layout.removeWidget(self._rows)
            self._rows.hide()
            self._rows.deleteLater()  # not at once: a button in it may be the one that was clicked
        self._rows = qt.QWidget()
        grid = qt.QGridLayout(self._rows)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(1, 1)
        for row, finding in enumerate(findings):
            self._add(grid, row, finding)
        self._layout.addWidget(self._rows)
        self._container.visible = bool(findings)

    def _add(self, grid, row: int, finding: Finding) -> None:
        icon = qt.QLabel()
        icon.setPixmap(_icon(finding.state).pixmap(_ICON_PIXELS, _ICON_PIXELS))
        icon.toolTip = stateTitle(finding.state)
        grid.addWidget(icon, row, 0, qt.Qt.AlignTop)
        text = qt.QLabel(_sentences(finding))
        text.name = f"{finding.check}Finding"
        text.wordWrap = True
        text.textInteractionFlags = qt.Qt.TextSelectableByMouse
        grid.addWidget(text, row, 1)
        if finding.repair:
            remedy = Remedy(finding.repair)
            button = qt.QPushButton(remedyTitle(remedy))
            button.name = f"{finding.check}Button"
            button.connect("clicked()", functools.partial(self._onRepair, remedy))
            grid.addWidget(button, row, 2, qt.Qt.AlignTop)


def stateTitle(state: str) -> str:
    """The state of a finding for people."""
    titles = {OK: _("Good"), WARNING: _("Warning"), ERROR: _("Error")}
    return titles.get(state, _("Not known"))


def _sentences(finding: Finding) -> str:
    """Rich text: what is not as it should be stands out."""
    message, remedy = html.escape(finding.message, False), html.escape(finding.remedy, False)
    if finding.state in (WARNING, ERROR):
        message = f"<b>{message}</b>"
    return f"<p>{message} {remedy}</p>"


def _icon(state: str):
    style = slicer.app.style()
    icons = {
        OK: qt.QStyle.SP_DialogApplyButton,
        WARNING: qt.QStyle.SP_MessageBoxWarning,
        ERROR: qt.QStyle.SP_MessageBoxCritical,
    }
    return style.standardIcon(icons.get(state, qt.QStyle.SP_MessageBoxQuestion))
