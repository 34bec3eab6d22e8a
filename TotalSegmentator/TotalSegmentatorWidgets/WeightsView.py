"""The models on this computer."""

import functools
from collections.abc import Callable, Sequence
from html import escape

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from TotalSegmentatorLib import catalog, environment
from TotalSegmentatorLib.catalog import Model
from TotalSegmentatorLib.environment.findings import OK
from TotalSegmentatorLib.environment.weights import WeightsEntry
from TotalSegmentatorLib.scene import SceneJob

from .RunControl import Begin, RunControl, confirm

_NAME, _TASKS, _SIZE, _STATE = range(4)
_NUMBER = qt.Qt.UserRole
_SECTION_CHARACTERS = (22, 16, 6)


class WeightsView:
    """A table of all models, and what can be done with those that are selected.

    The disk is looked at in a thread, and only while the table is unfolded.

    :param ui: the panel's widgets.
    :param logic: the module's logic.
    :param onChanged: called when models have come or gone.
    """

    def __init__(self, ui, logic, runs: RunControl, onChanged: Callable[[], None]) -> None:
        self._ui = ui
        self._logic = logic
        self._runs = runs
        self._onChanged = onChanged
        self._entries: Sequence[WeightsEntry] = ()
        self._looking = self._lookAgain = False
        self._download = ""
        self._makeTable()
        ui.weightsGroupBox.connect("toggled(bool)", self.refresh)
        ui.weightsTree.connect("itemSelectionChanged()", self._updateButtons)
        ui.downloadWeightsButton.connect("clicked()", self._downloadSelected)
        ui.verifyWeightsButton.connect("clicked()", self._verify)
        ui.removeWeightsButton.connect("clicked()", self._remove)
        ui.importWeightsButton.connect("clicked()", self._importFile)
        ui.importFolderButton.connect("clicked()", self._importFolder)
        ui.openWeightsButton.connect("clicked()", self._openFolder)
        self._updateButtons()

    def _makeTable(self) -> None:
        tree = self._ui.weightsTree
        tree.setHeaderLabels([_("Model"), _("Tasks"), _("MB"), _("State")])
        tree.sortByColumn(_NAME, qt.Qt.AscendingOrder)
        width = tree.fontMetrics().averageCharWidth()
        for column, characters in enumerate(_SECTION_CHARACTERS):
            tree.setColumnWidth(column, characters * width)

    def setDownload(self, size: str) -> None:
        """Tell what must be downloaded for what is chosen in the panel; empty: nothing."""
        self._download = size
        self._showSum()

    def refresh(self) -> None:
        """Look at the disk again, if anybody looks at the table."""
        if self._ui.weightsGroupBox.collapsed:
            return
        self._lookAgain = self._looking
        if not self._looking:
            self._looking = True
            self._logic.startWeightsList().when_done(self._onListed)

    def open(self) -> None:
        """Unfold the table."""
        self._ui.weightsGroupBox.collapsed = False
        self.refresh()

    def _onListed(self, job: SceneJob) -> None:
        self._looking = False
        if self._lookAgain:  # something has changed meanwhile
            self.refresh()
        elif job.error:
            self._runs.showError(job.error)
        elif job.result != self._entries:
            self._fill(job.result)

    def _fill(self, entries: Sequence[WeightsEntry]) -> None:
        tree, selected = self._ui.weightsTree, set(self._selected())
        self._entries = entries
        blocked = tree.blockSignals(True)
        tree.sortingEnabled = False  # else rows move while they are filled
        tree.clear()
        for number, entry in enumerate(entries):
            item = _item(entry, number)
            tree.addTopLevelItem(item)
            item.setSelected(entry.model in selected)
        tree.sortingEnabled = True
        tree.blockSignals(blocked)
        self._updateButtons()
        self._showSum()

    def _showSum(self) -> None:
        """What is missing for what is chosen, and how much is here."""
        text = _("All that is chosen is on this computer.")
        if self._download:
            text = _("To be downloaded for what is chosen: {size}.").format(size=self._download)
        here = [entry for entry in self._entries if entry.state != "missing"]
        if here:
            size = sum(entry.size_bytes for entry in here)
            text += " " + _("{count} models are here, {size} GB.").format(
                count=len(here), size=round(size / 1e9, 1)
            )
        self._ui.weightsLabel.text = text

    def _selected(self) -> list[Model]:
        items = self._ui.weightsTree.selectedItems()
        return [self._entries[item.data(_NAME, _NUMBER)].model for item in items]

    def _selectedIn(self, *states: str) -> list[Model]:
        there = {entry.model for entry in self._entries if entry.state in states}
        return [model for model in self._selected() if model in there]

    def _updateButtons(self) -> None:
        here = bool(self._selectedIn("present", "damaged"))
        self._ui.downloadWeightsButton.enabled = bool(self._selectedIn("missing", "damaged"))
        self._ui.verifyWeightsButton.enabled = here
        self._ui.removeWeightsButton.enabled = here

    def _downloadSelected(self) -> None:
        models = self._selectedIn("missing", "damaged")
        tasks = [catalog.task(one.tasks[0]) for one in self._entries if one.model in models]
        begin = functools.partial(self._logic.startWeightsDownload, models)
        title, done = _("Downloading models"), _("The models are downloaded.")
        download = functools.partial(self._queue, title, begin, done)
        self._runs.onceAccepted(environment.open_terms(tasks), download)

    def _verify(self) -> None:
        models = self._selectedIn("present", "damaged")
        begin = functools.partial(self._logic.startWeightsCheck, models)
        self._runs.queue(_("Verifying models"), begin, self._onVerified)

    def _onVerified(self, job: SceneJob) -> None:
        bad = [finding for finding in job.result if finding.state != OK]
        for finding in bad:
            self._runs.addLog(f"{finding.message} {finding.remedy}")
        text = _("All {count} models are as they were published.").format(count=len(job.result))
        if bad:
            text = _("Of {count} models {bad} are damaged or of unknown origin: see the log.")
            text = text.format(count=len(job.result), bad=len(bad))
        self._runs.say(text)
        self._onChanged()

    def _remove(self) -> None:
        models = self._selectedIn("present", "damaged")
        names = ", ".join(model.folder for model in models)
        question = _("Delete these models from this computer? {names}").format(names=names)
        if confirm(question):
            begin = functools.partial(self._logic.startWeightsRemoval, models)
            self._queue(_("Removing models"), begin, _("The models are removed."))

    def _importFile(self) -> None:
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Import models"), "", _("Models (*.zip *.pt)")
        )
        self._import(path)

    def _importFolder(self) -> None:
        parent, title = slicer.util.mainWindow(), _("Import models")
        self._import(qt.QFileDialog.getExistingDirectory(parent, title))

    def _import(self, path: str) -> None:
        if path:
            begin = functools.partial(self._logic.startWeightsImport, path)
            self._queue(_("Importing models"), begin, _("The models are imported."))

    def _openFolder(self) -> None:
        folder = self._logic.weightsFolder()
        there = next((one for one in (folder, *folder.parents) if one.is_dir()), folder)
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(there)))

    def _queue(self, title: str, begin: Begin, done: str) -> None:
        def whenDone(job: SceneJob) -> None:
            self._runs.say(done)
            self._onChanged()

        self._runs.queue(title, begin, whenDone)


def _item(entry: WeightsEntry, number: int):
    """A line of the table; the size is data, so that it sorts as a number."""
    item = qt.QTreeWidgetItem()
    titles = ", ".join(catalog.task(id).title for id in entry.tasks)
    state = _stateText(entry)
    item.setText(_NAME, _shortName(entry.model))
    item.setData(_NAME, _NUMBER, number)
    item.setText(_TASKS, titles)
    if entry.size_bytes:
        item.setData(_SIZE, qt.Qt.DisplayRole, round(entry.size_bytes / 1e6))
    item.setTextAlignment(_SIZE, qt.Qt.AlignRight)
    item.setText(_STATE, state)
    lines = [entry.model.folder, _("For: {tasks}").format(tasks=titles), state]
    if entry.terms:
        lines.append(catalog.terms(entry.terms).sentence)
    toolTip = "".join(f"<p>{escape(line)}</p>" for line in lines)
    for column in (_NAME, _TASKS, _SIZE, _STATE):
        item.setToolTip(column, toolTip)
    return item


def _shortName(model: Model) -> str:
    """What tells a model from others, in a narrow column."""
    return model.folder.removeprefix("Dataset").replace("TotalSegmentator_", "").replace("_", " ")


def _stateText(entry: WeightsEntry) -> str:
    if entry.state == "missing":
        if entry.terms:
            return _("missing, {terms}").format(terms=catalog.terms(entry.terms).title)
        return _("missing, needs a licence") if entry.licensed else _("missing")
    if entry.state == "damaged":
        return _("damaged")
    return _("here, verified") if entry.verified else _("here, of unknown origin")
