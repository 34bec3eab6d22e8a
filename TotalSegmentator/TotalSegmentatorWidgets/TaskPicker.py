"""The list of tasks in the panel."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

import qt
from slicer.i18n import tr as _

from TotalSegmentatorLib import catalog, engines
from TotalSegmentatorLib.catalog.browsing import search_tasks, tasks_by_group
from TotalSegmentatorLib.catalog.groups import MODALITIES
from TotalSegmentatorLib.catalog.names import fold
from TotalSegmentatorLib.estimate import Estimate

from .GroupedTree import GroupedTree

ALL_MODALITIES = "all"
#: So many structures are named in a tooltip; of more, the number is given.
_NAMED = 150
#: So many structures by which a task was found are named beside it.
_FOUND = 2
#: Characters of the columns; the last one grows with the panel.
_WIDTHS = (30, 33, 8)


class TaskPicker:
    """Lets people choose a task, by region of the body, by whose models they are, and by words.

    Setting a property calls nobody back.

    :param ui: the panel's widgets; used are taskSearchBox, modalityComboBox and taskTree.
    :param onTaskChanged: called without arguments when people chose another task.
    :param onFilterChanged: called without arguments when people chose another modality.
    """

    def __init__(
        self, ui, onTaskChanged: Callable[[], None], onFilterChanged: Callable[[], None]
    ) -> None:
        self.ui = ui
        self._onTaskChanged = onTaskChanged
        self._onFilterChanged = onFilterChanged
        self._task = ""
        self._volumeModality = ""
        self._downloads: dict[str, int] = {}
        self._estimates: dict[str, Estimate] = {}
        self._groups = tasks_by_group()
        self._tasks = [task for tasks in self._groups.values() for task in tasks]
        # The tasks that the search and the modality leave, and the structures that were found.
        self._found: dict[str, tuple[str, ...]] = {}
        headers = (_("Task"), _("Image, licence, size"), _("Time"))
        self._tree = GroupedTree(ui.taskTree, headers, _("No task matches."), _WIDTHS)
        self._fillTree()
        self._fillModalities()
        self._update()
        self.ui.taskTree.connect("itemSelectionChanged()", self._onSelectionChanged)
        self.ui.taskSearchBox.connect("textChanged(QString)", self._onSearchChanged)
        self.ui.taskSearchBox.connect("returnPressed()", self._onReturnPressed)
        self.ui.modalityComboBox.connect("currentIndexChanged(int)", self._onModalityChanged)
        self._downKey = qt.QShortcut(qt.QKeySequence("Down"), ui.taskSearchBox)
        self._downKey.setContext(qt.Qt.WidgetShortcut)
        self._downKey.connect("activated()", self._enterTree)

    @property
    def task(self) -> str:
        """Id of the chosen task; empty if none is chosen.

        The chosen one stays in the list whatever the search and the modality leave. An id that the
        list does not have is kept, with nothing selected.
        """
        return self._task

    @task.setter
    def task(self, id: str) -> None:
        if id == self._task:  # people may be looking elsewhere in the list
            return
        self._task = id
        self._update()
        if id in self._tree:
            self._tree.goTo(id)
        else:
            self._tree.mark("")

    @property
    def modalityFilter(self) -> str:
        """Which tasks are listed: ``CT``, ``MR``, ``all``; empty: those that fit the volume."""
        return self.ui.modalityComboBox.currentData or ""

    @modalityFilter.setter
    def modalityFilter(self, modality: str) -> None:
        box = self.ui.modalityComboBox
        blocked = box.blockSignals(True)
        box.setCurrentIndex(max(box.findData(modality), 0))
        box.blockSignals(blocked)
        self._update()

    def setVolumeModality(self, modality: str) -> None:
        """Tell of the volume's modality.

        :param modality: ``CT`` or ``MR``; anything else is not known, and all tasks fit it.
        """
        self._volumeModality = modality if modality in MODALITIES else ""
        followed = self._volumeModality or _("all")
        text = _("Fits the volume ({modality})").format(modality=followed)
        self.ui.modalityComboBox.setItemText(0, text)
        self._update()

    def setDownloads(self, downloads: Mapping[str, int]) -> None:
        """Tell how much is still to be downloaded.

        :param downloads: id of a task, and MB; tasks that are not named have all that they need.
        """
        if downloads != self._downloads:
            self._downloads = dict(downloads)
            self._showMarks()

    def setEstimates(self, estimates: Mapping[str, Estimate]) -> None:
        """Tell what runs are estimated to take.

        :param estimates: id of a task, and its estimate; nothing is known of tasks without one.
        """
        if estimates != self._estimates:
            self._estimates = dict(estimates)
            for task in self._tasks:
                estimate = estimates.get(task.id)
                time = _briefly(estimate.time) if estimate else ""
                toolTip = _paragraphs([estimate.sentence()]) if estimate else ""
                self._tree.setText(task.id, 2, time, toolTip)

    def _fillTree(self) -> None:
        titles, specs = _regionTitles(), engines.specs()
        for group, tasks in self._groups.items():
            rows = [(task.id, task.title) for task in tasks]
            self._tree.add(group, titles.get(group, group), rows)
            for task in tasks:
                runBy = [specs[name].title for name in task.engines]
                self._tree.setToolTip(task.id, _toolTip(task, runBy))

    def _fillModalities(self) -> None:
        box = self.ui.modalityComboBox
        box.clear()
        box.addItem("", "")
        for modality in MODALITIES:
            box.addItem(modality, modality)
        box.addItem(_("All"), ALL_MODALITIES)
        self.setVolumeModality("")

    def _update(self) -> None:
        """List what the search and the modality leave."""
        query = self.ui.taskSearchBox.text
        self._found = search_tasks(query, self.modalityFilter or self._volumeModality)
        kept = {self._task} if self._task in self._tree else set()
        self._tree.show(kept.union(self._found), bool(self._found), bool(query.strip()))
        self._showMarks()

    def _showMarks(self) -> None:
        for task in self._tasks:
            marks, toolTip = self._marks(task)
            self._tree.setText(task.id, 1, marks, toolTip)

    def _marks(self, task: catalog.Task) -> tuple[str, str]:
        """What stands beside a task, and the same in sentences."""
        marks = [task.modality]
        told = [_("Takes {modality} images.").format(modality=task.modality)]
        if task.licensed:
            marks.append(_("licence"))
            told.append(_("Needs a licence."))
        if task.terms:
            terms = catalog.terms(task.terms)
            marks.append(terms.title)
            told.append(terms.sentence)
        finest = next(iter(task.speeds.values()))
        marks += _resolutions([model for model in finest if model.spacing_mm])
        size = self._downloads.get(task.id, 0)
        if size:
            marks.append(_("{size} MB").format(size=size))
            told.append(_("{size} MB are to be downloaded first.").format(size=size))
        text = ", ".join(marks)
        names = [catalog.structure(id).name for id in self._found.get(task.id, ())]
        if names:
            more = len(names) - _FOUND
            shown = [*names[:_FOUND], *([_("{count} more").format(count=more)] * (more > 0))]
            text = _("{marks}: finds {names}").format(marks=text, names=", ".join(shown))
            told.append(_("Found by: {names}.").format(names=", ".join(names)))
        return text, _paragraphs(told)

    def _onSelectionChanged(self) -> None:
        chosen = self._tree.selected()
        if not chosen:  # a group was clicked, which is no choice
            self._tree.mark(self._task)
        elif chosen != self._task:
            # The list stays as it is: rows must not move under the mouse.
            self._task = chosen
            self._onTaskChanged()

    def _onSearchChanged(self, _text: str) -> None:
        self._update()

    def _onModalityChanged(self, _index: int) -> None:
        self._update()
        self._onFilterChanged()

    def _onReturnPressed(self) -> None:
        """Choose the task that was named, or the first found; without a search, keep the choice."""
        query = self.ui.taskSearchBox.text
        if query.strip():
            named = (id for id in self._found if fold(query) in _names(catalog.task(id)))
            self._choose(next(named, self._tree.firstOf(self._found)))
        self._enterTree()

    def _enterTree(self) -> None:
        """Go from the search box to the chosen task, or to the first one."""
        if self._task not in self._tree:
            self._choose(self._tree.firstOf(self._found))
        if self._task in self._tree:
            self._tree.goTo(self._task)
        self.ui.taskTree.setFocus()

    def _choose(self, id: str) -> None:
        if id and id != self._task:
            self.task = id
            self._onTaskChanged()


def _regionTitles() -> dict[str, str]:
    """The regions of the catalogue for people."""
    return {
        "Whole body": _("Whole body"),
        "Brain": _("Brain"),
        "Head and neck": _("Head and neck"),
        "Chest": _("Chest"),
        "Heart and vessels": _("Heart and vessels"),
        "Abdomen": _("Abdomen"),
        "Muscles": _("Muscles"),
        "Bones": _("Bones"),
        "Spine": _("Spine"),
    }


def _names(task: catalog.Task) -> tuple[str, str]:
    return fold(task.id), fold(task.title)


def _toolTip(task: catalog.Task, runBy: Iterable[str]) -> str:
    """What a task is: description, id, engines, speeds, licence, structures.

    :param runBy: titles of the engines.
    """
    lines = [
        task.description,
        _("Task: {id}").format(id=task.id),
        _("Engine: {engines}").format(engines="; ".join(runBy)),
        _("Speeds: {speeds}").format(speeds=", ".join(_speeds(task))),
    ]
    if task.licensed:
        lines.append(_("The models need a licence number, see Setup."))
    if task.terms:
        lines.append(catalog.terms(task.terms).sentence)
    ids = tuple(task.default_labels.values())
    lines.append(_("Structures ({count}): {names}").format(count=len(ids), names=_named(ids)))
    if task.on_request:
        ids = tuple(id for id in task.labels.values() if id in task.on_request)
        text = _("Only if asked for by name ({count}): {names}")
        lines.append(text.format(count=len(ids), names=_named(ids)))
    return _paragraphs(lines)


def _named(ids: Sequence[str]) -> str:
    """Names of structures; of very many the number of the rest."""
    listed = ", ".join(catalog.structure(id).name for id in ids[:_NAMED])
    if len(ids) > _NAMED:
        listed = _("{names} and {count} more").format(names=listed, count=len(ids) - _NAMED)
    return listed


def _briefly(time: str) -> str:
    """An estimated time for a narrow column; the tooltip says that it is one."""
    brief = {"less than a minute": _("< 1 min"), "more than a day": _("> 1 day")}
    return brief.get(time, time.removeprefix("about "))


def _speeds(task: catalog.Task) -> list[str]:
    titles = {"normal": _("normal"), "fast": _("fast"), "fastest": _("fastest")}
    return [
        " ".join((titles[speed], *(f"({size})" for size in _resolutions(models))))
        for speed, models in task.speeds.items()
    ]


def _resolutions(models: Iterable[catalog.Model]) -> list[str]:
    """The different resolutions of models, for people."""
    texts = []
    for model in models:
        if model.spacing_mm is None:
            texts.append(_("resolution of the image"))
        else:
            # One number for a cube: 1.5 mm.
            sizes = [f"{size:.2g}" for size in model.spacing_mm]
            texts.append(" x ".join(sizes if len(set(sizes)) > 1 else sizes[:1]) + " mm")
    return list(dict.fromkeys(texts))


def _paragraphs(lines: list[str]) -> str:
    """Rich text: Qt wraps no other tooltip."""
    return "".join(f"<p>{escape(line)}</p>" for line in lines)
