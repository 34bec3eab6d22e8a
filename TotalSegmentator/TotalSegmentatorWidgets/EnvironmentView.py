"""The engine's environment: which one is used, and what can be done about it."""

import functools
from collections.abc import Callable

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from TotalSegmentatorLib.environment.environments import BROKEN, Environment
from TotalSegmentatorLib.errors import SegmentationError
from TotalSegmentatorLib.scene import SceneJob

from .RunControl import RunControl, confirm
from .SetupLogic import PYTHON_KEY
from .TextDialog import showText

_TITLES = {"TotalSegmentator": "TotalSegmentator", "torch": "PyTorch"}


class EnvironmentView:
    """One line about the engine, a button if something must be done, and a menu with the rest.

    :param ui: the panel's widgets.
    :param logic: the module's logic.
    :param onChanged: called when another engine is used.
    """

    def __init__(self, ui, logic, runs: RunControl, onChanged: Callable[[], None]) -> None:
        self._ui = ui
        self._logic = logic
        self._runs = runs
        self._onChanged = onChanged
        logic.enginePython = slicer.util.settingsValue(PYTHON_KEY, "") or None
        ui.setupButton.connect("clicked()", runs.install)
        self._menu = qt.QMenu(ui.environmentMenuButton)
        self._switchMenu = qt.QMenu(_("Switch to"), self._menu)
        self._removeMenu = qt.QMenu(_("Remove"), self._menu)
        self._menu.addMenu(self._switchMenu)
        self._goBackAction = self._action(_("Go back to the one before"), self._goBack)
        self._menu.addMenu(self._removeMenu)
        self._menu.addSeparator()
        self._action(_("Reinstall..."), functools.partial(runs.install, again=True))
        self._action(
            _("Install the development version..."),
            functools.partial(runs.install, development=True),
        )
        self._action(_("Use an existing Python..."), self._chooseExisting)
        self._menu.addSeparator()
        self._informationAction = self._action(_("Package information..."), self._askInformation)
        self._menu.connect("aboutToShow()", self._update)
        ui.environmentMenuButton.setMenu(self._menu)

    def refresh(self) -> None:
        """Show the engine that is used."""
        ui = self._ui
        ui.environmentLabel.text = self._logic.engineText()
        ui.setupButton.visible = not self._logic.isEngineReady()
        isThere = bool(self._logic.environments())
        ui.setupButton.text = _("Repair...") if isThere else _("Install...")

    def _action(self, text: str, onTriggered: Callable[[], None]) -> qt.QAction:
        action = self._menu.addAction(text)
        action.connect("triggered()", onTriggered)
        return action

    def _update(self) -> None:
        """Offer what there is by now."""
        environments, current = self._logic.environments(), self._logic.currentEnvironment()
        for menu in (self._switchMenu, self._removeMenu):
            menu.clear()
            menu.enabled = bool(environments)
        for environment in environments:
            title = _title(environment)
            switch = self._switchMenu.addAction(title)
            switch.checkable = True
            switch.checked = environment == current
            switch.enabled = environment.state != BROKEN
            switch.connect("triggered()", functools.partial(self._use, environment.name))
            remove = self._removeMenu.addAction(_("{title}...").format(title=title))
            remove.connect("triggered()", functools.partial(self._remove, environment))
        self._goBackAction.enabled = self._logic.canGoBack()
        self._informationAction.enabled = current is not None

    def _use(self, name: str) -> None:
        self._switch(functools.partial(self._logic.useEnvironment, name))

    def _goBack(self) -> None:
        self._switch(self._logic.goBack)

    def _switch(self, switch: Callable[[], Environment]) -> None:
        try:
            self._runs.say(_("Used from now on: {title}.").format(title=_title(switch())))
        except SegmentationError as error:
            self._runs.showError(error)
        self._onChanged()

    def _remove(self, environment: Environment) -> None:
        if confirm(_("Remove this environment? {title}").format(title=_title(environment))):
            begin = functools.partial(self._logic.startEnvironmentRemoval, environment.name)
            self._runs.queue(_("Removing an environment"), begin, self._onRemoved)

    def _onRemoved(self, job: SceneJob) -> None:
        self._runs.say(_("The environment is removed."))
        self._onChanged()

    def _chooseExisting(self) -> None:
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("The Python of an environment with TotalSegmentator")
        )
        if path:
            begin = functools.partial(self._logic.startPythonTrial, path)
            onTried = functools.partial(self._onTried, path)
            self._runs.queue(_("Trying the Python"), begin, onTried)

    def _onTried(self, path: str, job: SceneJob) -> None:
        self._logic.useEnginePython(path)
        text = _("This Python is used from now on, with PyTorch {version}.")
        self._runs.say(text.format(version=job.result.torch))
        self._onChanged()

    def _askInformation(self) -> None:
        self._logic.startEnvironmentInformation().when_done(self._onInformation)

    def _onInformation(self, job: SceneJob) -> None:
        if job.error:
            self._runs.showError(job.error)
        else:
            # Not from within the timer that polls jobs: it stands still until the dialog is closed.
            title = _("Package information")
            qt.QTimer.singleShot(0, functools.partial(showText, title, job.result))


def _title(environment: Environment) -> str:
    """An environment for people."""
    versions = environment.versions
    parts = [f"{title} {versions[name]}" for name, title in _TITLES.items() if name in versions]
    if environment.development:
        parts.append(_("development version, untested"))
    return _("{packages} ({day})").format(
        packages=", ".join(parts) or environment.name, day=environment.made or _("unknown day")
    )
