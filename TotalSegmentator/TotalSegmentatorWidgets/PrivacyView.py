"""What leaves this computer, and where to."""

import dataclasses
import html

from slicer.i18n import tr as _

from TotalSegmentatorLib.environment.hosts import all_purposes
from TotalSegmentatorLib.environment.settings import load_settings, save_settings
from TotalSegmentatorLib.errors import SegmentationError

from .RunControl import RunControl
from .TextDialog import showText


class PrivacyView:
    """The one switch for usage statistics, and the list of hosts.

    :param ui: the panel's widgets.
    """

    def __init__(self, ui, runs: RunControl) -> None:
        self._box = ui.statisticsCheckBox
        self._runs = runs
        purposes = {purpose.name: purpose.sentence for purpose in all_purposes()}
        self._box.toolTip = _paragraph(purposes["statistics"])
        self._box.connect("clicked(bool)", self._onClicked)
        ui.hostsButton.connect("clicked()", self._showHosts)
        self.refresh()

    def refresh(self) -> None:
        """Show what is set."""
        self._box.checked = load_settings().usage_statistics

    def _onClicked(self, checked: bool) -> None:
        try:
            save_settings(dataclasses.replace(load_settings(), usage_statistics=checked))
        except SegmentationError as error:
            self._runs.showError(error)
        self.refresh()

    def _showHosts(self) -> None:
        parts = [f"{one.sentence}\n    {', '.join(one.hosts)}" for one in all_purposes()]
        intro = _("Nothing is sent anywhere but to these hosts, for these purposes:")
        showText(_("Hosts that may be contacted"), "\n\n".join([intro, *parts]))


def _paragraph(sentence: str) -> str:
    """Rich text: Qt wraps no other tooltip."""
    return f"<p>{html.escape(sentence)}</p>"
