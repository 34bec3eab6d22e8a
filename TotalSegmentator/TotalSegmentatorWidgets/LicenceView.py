"""The TotalSegmentator licence number, which some tasks need."""

import functools
from collections.abc import Callable

import qt
from slicer.i18n import tr as _

from TotalSegmentatorLib.environment import LicenceStatus
from TotalSegmentatorLib.environment.licence import EXPIRED, INVALID, NONE, OFFLINE, STORED, VALID
from TotalSegmentatorLib.errors import SegmentationError, SetupError
from TotalSegmentatorLib.jobs import Job, JobContext, Stage

from .RunControl import RunControl, confirm

Asking = Callable[[], LicenceStatus]


class LicenceView:
    """Whether a licence number is stored and valid; storing, checking and removing it.

    A number that was entered is kept nowhere here, and shown by its first and last letters only.

    :param ui: the panel's widgets.
    :param logic: the module's logic.
    """

    def __init__(self, ui, logic, runs: RunControl) -> None:
        self._ui = ui
        self._logic = logic
        self._runs = runs
        self._checked = LicenceStatus(NONE)
        ui.licenceButton.connect("clicked()", self._store)
        ui.licenceLineEdit.connect("returnPressed()", self._store)
        ui.licenceLineEdit.connect("textChanged(QString)", self._onEdited)
        ui.checkLicenceButton.connect("clicked()", self._check)
        ui.removeLicenceButton.connect("clicked()", self._remove)

    def refresh(self) -> None:
        """Show what is stored; whether it is valid, if that was asked."""
        status = self._logic.licenceStatus()
        self._ui.checkLicenceButton.enabled = status.state != NONE
        self._ui.removeLicenceButton.enabled = status.state != NONE
        if status.shown == self._checked.shown:
            status = self._checked
        self._ui.licenceLabel.text = _text(status)

    def focus(self) -> None:
        """Be ready for a number."""
        self._ui.licenceLineEdit.setFocus()

    def _onEdited(self, text: str) -> None:
        self._ui.licenceButton.enabled = bool(text.strip())

    def _store(self) -> None:
        number = self._ui.licenceLineEdit.text.strip()
        self._ui.licenceLineEdit.clear()  # nobody else shall read it
        if number:
            store = self._logic.licenceStore(number)
            anyway = self._logic.licenceStore(number, unchecked=True)
            self._ask(functools.partial(_unlessOffline, store), self._onStored, anyway)

    def _onStored(self, status: LicenceStatus, anyway: Asking | None = None) -> None:
        if status.state == OFFLINE:
            # Not from within the timer that polls jobs: it stands still until the dialog is closed.
            qt.QTimer.singleShot(0, functools.partial(self._askWhetherToStore, anyway))
            return
        self._checked = status
        self._runs.say(_("The licence number is stored."))

    def _askWhetherToStore(self, store: Asking) -> None:
        question = _("The licence number could not be checked online. Store it all the same?")
        if confirm(question):
            self._ask(store, self._onStored)

    def _check(self) -> None:
        self._ask(self._logic.licenceCheck(), self._onChecked)

    def _onChecked(self, status: LicenceStatus) -> None:
        self._checked = status
        self._runs.say(_text(status))

    def _remove(self) -> None:
        if confirm(_("Remove the licence number from this computer?")):
            try:
                self._logic.removeLicence()
            except SegmentationError as error:
                self._runs.showError(error)
            self.refresh()

    def _ask(self, asking: Asking, onAnswer: Callable, *more: object) -> None:
        """Ask in a thread, as it may take seconds; then go on with the answer."""
        stage = _("Checking the licence number")

        def work(context: JobContext) -> LicenceStatus:
            context.emit(Stage(stage))
            return asking()

        def end(job: Job) -> None:
            if not job.error:
                onAnswer(job.result, *more)
            self.refresh()

        self._runs.start(Job(work), end)


def _unlessOffline(store: Asking) -> LicenceStatus:
    """Store a number; say so if nobody could be asked about it."""
    try:
        return store()
    except SetupError as error:
        if error.code != "licence.offline":
            raise
        return LicenceStatus(OFFLINE)


def _text(status: LicenceStatus) -> str:
    texts = {
        NONE: _("None stored."),
        STORED: _("Stored: {number} (not checked)."),
        VALID: _("Valid: {number}."),
        EXPIRED: _("Expired: {number}."),
        INVALID: _("Not valid: {number}."),
        OFFLINE: _("Stored: {number}; TotalSegmentator's server gave no answer."),
    }
    return texts[status.state].format(number=status.shown)
