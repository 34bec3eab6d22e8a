"""What a run has found."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.history import COMPILED
from TotalSegmentatorLib.report import DEMO_BANNER, public_provenance
from TotalSegmentatorLib.scene import find_sequence

_MAX_WARNINGS = 5
_NAME, _VOLUME, _INTENSITY, _REMARK = range(4)


class ResultsView(VTKObservationMixin):
    """A summary, a sortable table of the structures, and ways on: views, table, clipboard.

    :param ui: the panel's widgets.
    """

    def __init__(self, ui) -> None:
        VTKObservationMixin.__init__(self)
        self.ui = ui
        self._reports: tuple[Mapping[str, Any], ...] = ()
        self._frames: tuple[int, ...] = ()
        self._segmentationNode = None
        self._tableNode = None
        self._browser = None
        self._shown = -1
        self._rows: list[_Row] = []
        ui.resultsLabel.textFormat = qt.Qt.PlainText
        # Without a column: what was found first, in the order of the task.
        ui.resultsTree.sortByColumn(-1, qt.Qt.AscendingOrder)
        ui.resultsTree.connect("itemActivated(QTreeWidgetItem*,int)", self._onActivated)
        ui.showTableButton.connect("clicked()", self._showTable)
        ui.copyReportButton.connect("clicked()", self._copyReport)
        self.clear()

    def show(
        self,
        reports: Sequence[Mapping[str, Any]],
        segmentationNode: slicer.vtkMRMLSegmentationNode | None = None,
        tableNode: slicer.vtkMRMLTableNode | None = None,
        frames: Sequence[int] = (),
    ) -> None:
        """Show a result; of a sequence the frame that its browser shows, also when it moves on.

        :param reports: the content of ``report.json``, of one image or of the frames of a sequence.
        :param segmentationNode: holds the result.
        :param tableNode: holds the measures, see :func:`~TotalSegmentatorLib.scene.fill_table`.
        :param frames: for each report the number of its frame, from 1.
        """
        self.removeObservers()
        self._reports, self._frames = tuple(reports), tuple(frames)
        self._segmentationNode, self._tableNode = segmentationNode, tableNode
        found = find_sequence(segmentationNode) if self._frames else None
        self._browser = found[0] if found else None
        if self._browser is not None:
            self.addObserver(self._browser, vtk.vtkCommand.ModifiedEvent, self._onBrowserModified)
        self.ui.showTableButton.enabled = tableNode is not None
        self.ui.copyReportButton.enabled = bool(self._reports)
        self._fill()

    def clear(self) -> None:
        """Show nothing, and let go of all nodes."""
        self.show(())

    def _onBrowserModified(self, caller, event) -> None:
        if self._frames and self._shownFrame() != self._shown:  # a browser has many other changes
            self._fill()

    def _shownFrame(self) -> int:
        """Number of the frame that people see; the first that was segmented without a browser."""
        if self._browser is None:
            return self._frames[0]
        return self._browser.GetSelectedItemNumber() + 1

    def _report(self) -> Mapping[str, Any] | None:
        """The report to show, if there is one."""
        if not self._frames:
            return self._reports[0] if self._reports else None
        return dict(zip(self._frames, self._reports, strict=True)).get(self._shown)

    def _fill(self) -> None:
        self._shown = self._shownFrame() if self._frames else -1
        report = self._report()
        self.ui.resultsLabel.text = self._summary(report)
        self._rows = _rows(report) if report else []
        tree = self.ui.resultsTree
        intensity = _("Mean HU") if report and _isCt(report) else _("Mean intensity")
        tree.setHeaderLabels([_("Structure"), _("Volume (mL)"), intensity, _("Remark")])
        tree.sortingEnabled = False  # else every new row is sorted in by itself
        tree.clear()
        for number, row in enumerate(self._rows):
            tree.addTopLevelItem(_item(row, number))
        tree.sortingEnabled = True
        for column in range(tree.columnCount):
            tree.resizeColumnToContents(column)

    def _summary(self, report: Mapping[str, Any] | None) -> str:
        frame = _("Frame {number}: ").format(number=self._shown) if self._frames else ""
        if report is None:
            return frame + _("not segmented.") if frame else ""
        structures = report["structures"]
        found = [structure for structure in structures if structure["found"]]
        counts = _("{found} found, {missing} not found, {border} at the border.").format(
            found=len(found),
            missing=len(structures) - len(found),
            border=sum(structure["touches_border"] for structure in found),
        )
        banner = [DEMO_BANNER] if report["provenance"].get("demo") else []
        return "\n".join([*banner, frame + counts, *_modes(report), *_warnings(report)])

    def _onActivated(self, item, column: int) -> None:
        """Centre the slice views on a structure, where its segmentation lies by now."""
        centre = self._rows[item.data(_NAME, qt.Qt.UserRole)].centre
        if centre is None:
            return
        place = list(centre)
        if self._segmentationNode is not None:
            self._segmentationNode.TransformPointToWorld(centre, place)
        mode = slicer.vtkMRMLSliceNode.CenteredJumpSlice
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *place, mode)

    def _showTable(self) -> None:
        """Make the table the active one, and choose a layout that shows it if there are views."""
        if self._tableNode.GetScene() is None:  # removed since
            self.ui.showTableButton.enabled = False
            return
        logic = slicer.app.applicationLogic()
        logic.GetSelectionNode().SetActiveTableID(self._tableNode.GetID())
        logic.PropagateTableSelection()
        layouts = slicer.app.layoutManager()
        kinds = slicer.vtkMRMLLayoutNode
        withTable = (
            kinds.SlicerLayoutFourUpTableView,
            kinds.SlicerLayout3DTableView,
            kinds.SlicerLayoutFourUpPlotTableView,
        )
        if layouts is not None and layouts.layout not in withTable:
            layouts.setLayout(kinds.SlicerLayoutFourUpTableView)

    def _copyReport(self) -> None:
        parts = [_publicReport(report) for report in self._reports]
        content: Any = parts[0]
        if self._frames:
            numbered = zip(self._frames, parts, strict=True)
            content = {"frames": [{"frame": number, **part} for number, part in numbered]}
        slicer.app.clipboard().setText(json.dumps(content, indent=2, ensure_ascii=False))


@dataclass(frozen=True)
class _Row:
    """One structure as the table shows it; what was not found has no numbers."""

    name: str
    volume: float | None
    intensity: float | None
    remark: str
    toolTip: str
    centre: tuple[float, float, float] | None


def _rows(report: Mapping[str, Any]) -> list[_Row]:
    """The structures, those that were found first."""
    notes = _notes(report)
    structures = sorted(report["structures"], key=lambda structure: not structure["found"])
    return [_row(structure, notes.get(structure["name"], [])) for structure in structures]


def _row(structure: Mapping[str, Any], notes: Sequence[str]) -> _Row:
    if not structure["found"]:
        return _Row(structure["name"], None, None, _("Not found"), "\n".join(notes), None)
    remarks = [_("At the border")] if structure["touches_border"] else []
    remarks += [_("See the warning")] if notes else []
    centre = structure.get("centroid_ras")
    return _Row(
        structure["name"],
        round(structure["volume_ml"], 2),
        round(structure["hu"]["mean"], 1),
        "; ".join(remarks),
        "\n".join(notes),
        tuple(centre) if centre else None,
    )


def _item(row: _Row, number: int):
    """A line of the table; numbers are data, so that they sort and are written as numbers."""
    item = qt.QTreeWidgetItem()
    item.setText(_NAME, row.name)
    item.setData(_NAME, qt.Qt.UserRole, number)
    for column, value in ((_VOLUME, row.volume), (_INTENSITY, row.intensity)):
        item.setTextAlignment(column, qt.Qt.AlignRight)
        if value is not None:
            item.setData(column, qt.Qt.DisplayRole, value)
    item.setText(_REMARK, row.remark)
    item.setToolTip(_REMARK, row.toolTip)
    return item


def _notes(report: Mapping[str, Any]) -> dict[str, list[str]]:
    """Structure's name -> the warnings about the result that name it."""
    names = sorted({s["name"] for s in report["structures"]}, key=len, reverse=True)
    # The longest first: a warning about the lung's upper lobe is none about the lung.
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)", re.IGNORECASE)
    byLowerName = {name.lower(): name for name in names}
    notes: dict[str, list[str]] = {}
    for warning in report["warnings"] if names else ():
        if warning["code"].startswith("result."):
            named = {byLowerName[match.lower()] for match in pattern.findall(warning["message"])}
            for name in named:
                notes.setdefault(name, []).append(warning["message"])
    return notes


def _modes(report: Mapping[str, Any]) -> list[str]:
    """Ways of computing that may change labels."""
    provenances = [run["provenance"] for run in report["runs"]]
    modes = []
    if any(provenance.get("mode") == COMPILED for provenance in provenances):
        modes.append(_("The network was compiled."))
    if any(provenance.get("body_first") for provenance in provenances):
        modes.append(_("The image was cropped to the body first."))
    return modes


def _warnings(report: Mapping[str, Any]) -> list[str]:
    messages = [warning["message"] for warning in report["warnings"]]
    lines = [_("Warning: {message}").format(message=text) for text in messages[:_MAX_WARNINGS]]
    more = len(messages) - _MAX_WARNINGS
    return lines + (
        [_("{count} more warnings: see the log.").format(count=more)] if more > 0 else []
    )


def _isCt(report: Mapping[str, Any]) -> bool:
    """Whether all tasks of a run are for CT, so that intensities are HU."""
    return all(_modality(run["request"]) == "CT" for run in report["runs"])


def _modality(request: Mapping[str, Any]) -> str:
    try:
        return catalog.task(request["task"]).modality or request["modality"]
    except InputError:  # of an older or newer version
        return request["modality"]


def _publicReport(report: Mapping[str, Any]) -> dict[str, Any]:
    """What may be given away: no name and no path."""
    return {
        "provenance": public_provenance(report),
        "structures": report["structures"],
        "warnings": [_publicWarning(warning) for warning in report["warnings"]],
    }


def _publicWarning(warning: Mapping[str, str]) -> dict[str, str]:
    """Warnings about the input name its file, which often has the patient's name."""
    public = dict(warning)
    if not warning["code"].startswith(("result.", "engine.")):
        del public["message"]
    return public
