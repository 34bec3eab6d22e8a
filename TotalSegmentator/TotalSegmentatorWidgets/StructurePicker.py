"""The list of structures in the panel."""

import functools
from collections.abc import Callable, Iterable
from html import escape

import qt
from slicer.i18n import tr as _

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog.browsing import (
    giving_tasks,
    search_structures,
    structures_by_group,
)
from TotalSegmentatorLib.catalog.groups import MODALITIES, meaning
from TotalSegmentatorLib.errors import InputError

from .GroupedTree import GroupedTree

#: So many tasks are named beside a structure.
_NAMED = 2


class StructurePicker:
    """Lets people check structures, by kind, by words and by presets, and says what will be run.

    Setting something calls nobody back.

    :param ui: the panel's widgets; used are structureSearchBox, structureTree, the buttons of the
        presets, clearStructuresButton and planLabel.
    :param onChanged: called without arguments when people checked or unchecked something.
    """

    def __init__(self, ui, onChanged: Callable[[], None]) -> None:
        self.ui = ui
        self._onChanged = onChanged
        self._modality = ""
        # Also those that the present modality does not offer: they come back with the other one.
        self._checked: set[str] = set()
        self._shownAsChecked: set[str] = set()
        self._offered: set[str] = set()
        self._onRequest: set[str] = set()
        self._presets = {
            "lungs": self.ui.lungsPresetButton,
            "spine": self.ui.spinePresetButton,
            "ribs": self.ui.ribsPresetButton,
            "heart": self.ui.heartPresetButton,
            "bones": self.ui.bonesPresetButton,
            "muscles": self.ui.musclesPresetButton,
            "vessels": self.ui.vesselsPresetButton,
        }
        headers = (_("Structure"), _("Found by"))
        self._tree = GroupedTree(ui.structureTree, headers, _("No structure matches."))
        self._fillTree()
        self._offer()
        self.ui.structureTree.connect("itemChanged(QTreeWidgetItem*,int)", self._onItemChanged)
        self.ui.structureSearchBox.connect("textChanged(QString)", self._onSearchChanged)
        self.ui.clearStructuresButton.connect("clicked()", self._onClear)
        for preset, button in self._presets.items():
            button.connect("clicked()", functools.partial(self._onPreset, preset))

    @property
    def structures(self) -> tuple[str, ...]:
        """Ids of what is checked and offered, in the catalogue's order."""
        wanted = self._checked & self._offered
        return tuple(found.id for found in catalog.structures() if found.id in wanted)

    @property
    def checked(self) -> tuple[str, ...]:
        """Ids of all that is checked, also of what the present modality does not offer."""
        return tuple(found.id for found in catalog.structures() if found.id in self._checked)

    @checked.setter
    def checked(self, ids: Iterable[str]) -> None:
        self._checked = {id for id in ids if id in self._tree}
        self._showChecks()

    def setModality(self, modality: str) -> None:
        """Offer what can be found in images of a modality. What is checked there is kept.

        :param modality: ``CT`` or ``MR``; anything else is not known, and both are offered.
        """
        known = modality if modality in MODALITIES else ""
        if known != self._modality:
            self._modality = known
            self._offer()

    def plan(self, speed: str, modality: str, engine: str = "") -> catalog.Plan | None:
        """Plan the runs for what is checked, and show the plan in words.

        :param speed: one of ``catalog.SPEEDS``, or empty.
        :param modality: ``CT`` or ``MR``; empty if it is not known.
        :param engine: the engine to prefer; empty for the usual ones.
        :return: None if nothing is checked, or not all can be had; the label says why.
        """
        plan, text = None, _("Check the structures to segment.")
        if self.structures:
            try:
                plan = catalog.plan(self._names(modality), modality, speed, engine=engine)
                text = plan.sentence
            except InputError as error:
                text = str(error)
        self.ui.planLabel.text = text
        return plan

    def _names(self, modality: str) -> list[str]:
        """What is checked, presets by their name if the modality says what they stand for."""
        left = dict.fromkeys(self.structures)
        names = []
        presets = {preset: meaning(preset, modality) for preset in self._presets if modality}
        for preset in sorted(presets, key=lambda preset: -len(presets[preset])):
            ids = presets[preset]
            if len(ids) > 1 and left.keys() >= set(ids):
                names.append(preset)
                left = {id: None for id in left if id not in ids}
        return [*names, *left]

    def _fillTree(self) -> None:
        titles = _groupTitles()
        for group, structures in structures_by_group().items():
            rows = [(found.id, found.name) for found in structures]
            self._tree.add(group, titles.get(group, _("Others")), rows)
            self._tree.setGroupCheckState(group, qt.Qt.Unchecked)
            for found in structures:
                self._tree.setCheckState(found.id, qt.Qt.Unchecked)

    def _offer(self) -> None:
        """Follow the modality: the rows, their tasks, the presets."""
        offered = structures_by_group(self._modality)
        self._offered = {found.id for structures in offered.values() for found in structures}
        self._onRequest = {id for id in self._offered if _isOnRequest(id, self._modality)}
        for id in self._offered:
            text, toolTip = _sources(id, self._modality)
            self._tree.setText(id, 1, text, toolTip)
            self._tree.setToolTip(id, toolTip)
        for preset, button in self._presets.items():
            button.enabled = bool(self._preset(preset))
        self._filter()
        self._showChecks()

    def _filter(self) -> None:
        query = self.ui.structureSearchBox.text
        found = search_structures(query, self._modality)
        self._tree.show(found, bool(found), bool(query.strip()))

    def _preset(self, preset: str) -> set[str]:
        """Ids that a preset stands for; where the modality is not known, in the first that has it.

        They are all offered.
        """
        kinds = (self._modality,) if self._modality else MODALITIES
        return set(next(filter(None, (meaning(preset, kind) for kind in kinds)), ()))

    def _showChecks(self) -> None:
        """Bring all boxes and buttons in line with what is checked."""
        wanted = self._checked & self._offered
        for id in wanted ^ self._shownAsChecked:
            self._tree.setCheckState(id, qt.Qt.Checked if id in wanted else qt.Qt.Unchecked)
        self._shownAsChecked = wanted
        for group in self._tree.groups():
            self._showGroup(group)
        for preset, button in self._presets.items():
            ids = self._preset(preset)
            button.checked = bool(ids) and ids <= wanted

    def _showGroup(self, group: str) -> None:
        offered = self._offered.intersection(self._tree.members(group))
        usual = (offered - self._onRequest) or offered
        if offered.isdisjoint(self._checked):
            state = qt.Qt.Unchecked
        else:
            state = qt.Qt.Checked if usual <= self._checked else qt.Qt.PartiallyChecked
        self._tree.setGroupCheckState(group, state)

    def _onItemChanged(self, item, _column: int) -> None:
        wanted = item.checkState(0) != qt.Qt.Unchecked
        row, group = self._tree.rowOf(item), self._tree.groupOf(item)
        if row:
            self._check({row}, wanted)
        elif group:
            shown = self._tree.shown.intersection(self._tree.members(group))
            usual = shown - self._onRequest
            # A box that hidden rows keep half full must still be able to uncheck those shown.
            wanted = wanted and not usual <= self._checked
            self._check(usual if wanted else shown, wanted)

    def _onSearchChanged(self, _text: str) -> None:
        self._filter()

    def _onPreset(self, preset: str) -> None:
        ids = self._preset(preset)
        self._check(ids, not ids <= self._checked)

    def _onClear(self) -> None:
        self._check(set(self._checked), False)

    def _check(self, ids: set[str], wanted: bool) -> None:
        """Check or uncheck rows as people asked for; call back if that changes something."""
        before = set(self._checked)
        self._checked = before | ids if wanted else before - ids
        self._showChecks()
        if self._checked != before:
            self._onChanged()


def _groupTitles() -> dict[str, str]:
    """The titles of the catalogue's groups, for people of all languages."""
    return {
        "skeleton": _("Bones, cartilages and joints"),
        "spine": _("Spine: vertebrae, discs, sacrum"),
        "teeth": _("Teeth and their canals"),
        "muscles": _("Muscles"),
        "vessels": _("Arteries and veins"),
        "heart": _("Heart"),
        "lungs": _("Lungs and airways"),
        "digestive": _("Digestive organs, with liver, pancreas and spleen"),
        "urinary": _("Kidneys and bladder"),
        "reproductive": _("Reproductive organs and breasts"),
        "glands": _("Glands"),
        "brain": _("Brain"),
        "nerves": _("Spinal cord and nerves"),
        "eyes_ears": _("Eyes and ears"),
        "cavities": _("Cavities and soft parts of head and trunk"),
        "body": _("Body regions, skin, fat"),
        "lesions": _("Lesions, cysts, effusions"),
        "implants": _("Implants and prostheses"),
    }


def _sources(id: str, modality: str) -> tuple[str, str]:
    """Which tasks give a structure: in short, and in full for a tooltip."""
    tasks = giving_tasks(id, modality)
    names = [task.id for task in tasks[:_NAMED]]
    if len(tasks) > _NAMED:
        names.append(_("{count} more").format(count=len(tasks) - _NAMED))
    text = ", ".join(names)
    lines = [f"{catalog.structure(id).name} ({id})"]
    remarks = [_remarks(task, id) for task in tasks]
    for task, own in zip(tasks, remarks, strict=True):
        line = _("{task}: {title}").format(task=task.id, title=task.title)
        lines.append(_remarked(line, own))
    common = [one for one in remarks[0] if all(one in own for own in remarks)]
    return _remarked(text, common), "<br>".join(escape(line) for line in lines)


def _remarks(task: catalog.Task, id: str) -> list[str]:
    """What to know of a task before a structure is taken from it."""
    remarks = []
    if id in task.on_request:
        remarks.append(_("on request"))
    if task.licensed:
        remarks.append(_("needs a licence"))
    if task.terms:
        remarks.append(catalog.terms(task.terms).title)
    return remarks


def _remarked(text: str, remarks: list[str]) -> str:
    if not remarks:
        return text
    return _("{text} ({remarks})").format(text=text, remarks=", ".join(remarks))


def _isOnRequest(id: str, modality: str) -> bool:
    """Whether no task gives a structure unless it is asked for by name."""
    return all(id in task.on_request for task in giving_tasks(id, modality))
