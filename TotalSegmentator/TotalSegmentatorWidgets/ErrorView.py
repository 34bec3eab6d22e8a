"""What went wrong, and what can be done about it with one click."""

import functools
import html
import platform
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

import TotalSegmentatorLib
from TotalSegmentatorLib import remedies
from TotalSegmentatorLib.errors import SegmentationError
from TotalSegmentatorLib.remedies import Remedy

# A path goes on to the last separator before a quotation mark or the line's end, and its name to a
# known suffix, since both may have blanks.
_PATH = re.compile(
    r"(?<![\w/\\.])(?:file://)?"
    r"(?:~?/(?!/)|[A-Za-z]:[\\/]|\\\\)"
    r"(?:[^\\/\n\"'<>|]*[\\/])*"
    r"(?P<name>[^\\/\n\"'<>|,;:)]*\.(?:nii|nrrd|mha|mhd|dcm|json|csv|gz|pth|zip)\b(?:\.gz)?"
    r"|[^\\/\s\"'<>|,;:)]*)"
)
_COLUMNS = 2  # of buttons: panels are narrow
_CODE_SUFFIXES = (".py", ".pyd", ".so", ".dll", ".dylib")


class ErrorView:
    """Shows one error with its remedies as buttons, and copies its details without private data.

    :param ui: the panel's widgets.
    :param onRemedy: called with the remedy that a person has clicked; the error is hidden then.
    """

    def __init__(self, ui, onRemedy: Callable[[Remedy], None]) -> None:
        self.ui = ui
        self._onRemedy = onRemedy
        self._error: SegmentationError | None = None
        self._private: tuple[str, ...] = ()
        self._buttons = []
        self._layout = qt.QGridLayout(ui.remediesWidget)
        self._layout.setContentsMargins(0, 0, 0, 0)
        ui.errorLabel.textFormat = qt.Qt.RichText
        ui.copyDetailsButton.connect("clicked()", self._copyDetails)
        ui.dismissErrorButton.connect("clicked()", self.hide)
        self.hide()

    def show(
        self,
        error: SegmentationError,
        remedies: Sequence[Remedy] = (),
        private: Iterable[str] = (),
    ) -> None:
        """Show an error instead of the one before.

        :param remedies: what can be done with one click, the best first.
        :param private: names that may say who the patient is, e.g. the volume's: the copied
            details leave them out.
        """
        self._error = error
        self._private = tuple(private)
        message, remedy = html.escape(error.message, False), html.escape(error.remedy, False)
        self.ui.errorLabel.text = f"<b>{message}</b> {remedy}".strip()
        self._setButtons(remedies)
        self.ui.errorFrame.visible = True

    def hide(self) -> None:
        """Show no error."""
        self._error = None
        self._private = ()
        self.ui.errorLabel.text = ""
        self._setButtons(())
        self.ui.errorFrame.visible = False

    def _setButtons(self, remedies: Iterable[Remedy]) -> None:
        for button in self._buttons:
            self._layout.removeWidget(button)
            button.hide()
            button.deleteLater()  # not at once: it may be the one that was clicked
        self._buttons = [self._button(remedy) for remedy in remedies]
        for number, button in enumerate(self._buttons):
            self._layout.addWidget(button, *divmod(number, _COLUMNS))
        self.ui.remediesWidget.visible = bool(self._buttons)

    def _button(self, remedy: Remedy):
        button = qt.QPushButton(remedyTitle(remedy))
        button.name = f"{remedy.action}Button"
        if remedy.action == remedies.CHANGE_OPTIONS:  # too long for a button
            button.toolTip = _("Run {how}.").format(how=remedy.value)
        button.connect("clicked()", functools.partial(self._onClicked, remedy))
        return button

    def _onClicked(self, remedy: Remedy) -> None:
        self.hide()
        self._onRemedy(remedy)

    def _copyDetails(self) -> None:
        if self._error is not None:
            slicer.app.clipboard().setText(errorReport(self._error, self._private))


def errorReport(error: SegmentationError, private: Iterable[str] = ()) -> str:
    """An error as text for a bug report: message, code, versions and details.

    Paths are left out but for the names of program files, and so are the names in ``private``.
    """
    parts = [str(error), f"Code: {error.code}", _versions()]
    if error.details:
        parts.append(f"Details:\n{error.details}")
    return _scrubbed("\n".join(parts), private).strip() + "\n"


def publicReport(text: str) -> str:
    """A text about this computer for others to read: with the versions, and without paths."""
    return _scrubbed(f"{_versions()}\n{text}", ()).strip() + "\n"


def remedyTitle(remedy: Remedy) -> str:
    """What stands on the button of a remedy."""
    if remedy.action == remedies.USE_FASTER_SPEED:
        return _("Use fastest") if remedy.value == "fastest" else _("Use fast")
    titles = {
        remedies.RETRY: _("Try again"),
        remedies.RETRY_ON_CPU: _("Retry on the CPU"),
        remedies.CHOOSE_REGION: _("Choose a region"),
        remedies.CHANGE_OPTIONS: _("Use less memory"),
        remedies.OPEN_SETUP: _("Open setup"),
        remedies.OPEN_LICENCE: _("Enter licence"),
        remedies.ACCEPT_TERMS: _("Terms of use..."),
        remedies.DOWNLOAD_WEIGHTS: _("Download"),
        remedies.REINSTALL_ENGINE: _("Reinstall..."),
        remedies.CHOOSE_BUILD: _("Choose another..."),
        remedies.RUN_ANYWAY: _("Run anyway"),
    }
    return titles[remedy.action]


def _versions() -> str:
    """One line: what runs here. Of the computer it says the system, and no name."""
    application = slicer.app.applicationVersion
    names = (
        f"TotalSegmentator extension {TotalSegmentatorLib.__version__}",
        f"Slicer {application}" if application else "",
        f"Python {platform.python_version()}",
        f"{platform.system()} {platform.release()} {platform.machine()}",
    )
    return f"Versions: {', '.join(name for name in names if name)}"


def _scrubbed(text: str, private: Iterable[str]) -> str:
    """A text without paths and without some names."""
    for folder in _privateFolders():
        text = text.replace(folder, "/...")
    text = _PATH.sub(_shortPath, text)
    for name in sorted(filter(None, private), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "<name>", text)
    return text


def _privateFolders() -> list[str]:
    """Folders whose names hold a person's or a run's, in both ways to write them; longest first."""
    folders = {str(Path.home()), tempfile.gettempdir(), slicer.app.temporaryPath}
    spelled = {*folders, *(folder.replace("\\", "/") for folder in folders)}
    return sorted((f for f in spelled if len(f) > 1), key=len, reverse=True)


def _shortPath(path: re.Match) -> str:
    """A path without its folders; with its name if that is a program's, not the user's."""
    name = path["name"]
    return f".../{name}" if name.endswith(_CODE_SUFFIXES) else "<path>"
