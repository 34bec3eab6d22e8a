"""What this computer has of what a run needs."""

from collections.abc import Callable
from dataclasses import dataclass

from slicer.i18n import tr as _


@dataclass(frozen=True)
class SetupState:
    """What this computer has.

    :param isReady: whether the engine is installed and up to date.
    :param engine: versions of its packages; or, if it is not ready, why not.
    :param download: size of the weights that must be downloaded for what is chosen; empty if none.
    :param hasLicence: whether a licence number is stored.
    """

    isReady: bool
    engine: str
    download: str
    hasLicence: bool


class SetupView:
    """Engine, weights and licence: their state, and what can be done about it.

    :param ui: the panel's widgets.
    :param onInstall: called when a person wants the engine installed.
    :param onLicence: called with the licence number that a person has entered.
    """

    def __init__(self, ui, onInstall: Callable[[], None], onLicence: Callable[[str], None]) -> None:
        self._ui = ui
        self._onLicence = onLicence
        ui.setupButton.connect("clicked()", onInstall)
        ui.licenceButton.connect("clicked()", self._storeLicence)
        ui.licenceLineEdit.connect("returnPressed()", self._storeLicence)
        ui.licenceLineEdit.connect("textChanged(QString)", self._onLicenceEdited)

    def show(self, state: SetupState) -> None:
        """Show what this computer has."""
        ui = self._ui
        ui.environmentLabel.text = state.engine
        ui.setupButton.visible = not state.isReady
        ui.weightsLabel.text = _("All that is chosen is on this computer.")
        if state.download:
            ui.weightsLabel.text = _("To be downloaded for what is chosen: {size}.").format(
                size=state.download
            )
        ui.licenceLabel.text = _("A number is stored.") if state.hasLicence else _("None stored.")

    def open(self) -> None:
        """Unfold the section."""
        self._ui.setupCollapsibleButton.collapsed = False

    def openLicence(self) -> None:
        """Unfold the section, ready to enter a licence number."""
        self.open()
        self._ui.licenceLineEdit.setFocus()

    def _onLicenceEdited(self, text: str) -> None:
        self._ui.licenceButton.enabled = bool(text.strip())

    def _storeLicence(self) -> None:
        number = self._ui.licenceLineEdit.text.strip()
        if number:
            self._ui.licenceLineEdit.clear()  # nobody else shall read it
            self._onLicence(number)
