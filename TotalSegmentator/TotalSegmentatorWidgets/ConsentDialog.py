"""The question before the engine is installed."""

import functools
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import qt
import slicer.util
from slicer.i18n import tr as _

from TotalSegmentatorLib.environment.bundle import Contents
from TotalSegmentatorLib.environment.bundle.contents import WEIGHTS
from TotalSegmentatorLib.environment.findings import ERROR, OK, Finding, worst
from TotalSegmentatorLib.environment.installation import Plan
from TotalSegmentatorLib.environment.torch_builds import builds
from TotalSegmentatorLib.jobs import Event
from TotalSegmentatorLib.scene import SceneJob

from .FindingsView import stateTitle

_COLUMNS = 64
_MAIN_PACKAGES = {"totalsegmentator": "TotalSegmentator", "nnunetv2": "nnU-Net"}
Begin = Callable[[Callable[[Event], None]], SceneJob]


@dataclass(frozen=True)
class Consent:
    """What a person has agreed to.

    :param begin: starts it.
    :param title: for people.
    :param done: what to say when it has ended well.
    :param hasEngine: whether the engine is installed then, not models alone.
    :param mayDownload: whether weights may be downloaded then; the dialog has said how large.
    """

    begin: Begin
    title: str
    done: str
    hasEngine: bool = True
    mayDownload: bool = False


class ConsentDialog:
    """Says what would be installed, how large it is, from where and where to; and asks.

    This computer is looked at while the dialog is open already, as that takes seconds.

    :param logic: the module's logic.
    :param again: install also what is there already.
    :param development: the official package's development version.
    :param downloadMb: size of the weights that a run downloads then.
    """

    def __init__(
        self, logic, again: bool = False, development: bool = False, downloadMb: int = 0
    ) -> None:
        self._logic = logic
        self._again = again
        self._development = development
        self._downloadMb = downloadMb
        self._job: SceneJob | None = None
        self._consent: Consent | None = None
        self._dialog = qt.QDialog(slicer.util.mainWindow())
        self._dialog.windowTitle = _("Install the engine")
        self._box = qt.QComboBox()
        self._label = qt.QLabel()
        self._bundleButton = qt.QPushButton(_("From a bundle file..."))
        self._installButton = qt.QPushButton(_("Install"))
        self._makeBox()
        self._lay()

    def ask(self) -> Consent | None:
        """Show the dialog and wait for the answer; None is a no."""
        self._plan()
        agreed = self._dialog.exec_() == qt.QDialog.Accepted
        self._stopLooking()
        self._dialog.deleteLater()
        return self._consent if agreed else None

    def _makeBox(self) -> None:
        self._box.name = "buildComboBox"
        self._box.toolTip = _("PyTorch for your graphics card, or for the processor only.")
        self._box.addItem(_("The PyTorch that fits this computer"), "")
        for build in builds():
            self._box.addItem(build.title, build.id)
        self._box.connect("currentIndexChanged(int)", self._plan)

    def _lay(self) -> None:
        layout = qt.QVBoxLayout(self._dialog)
        layout.addWidget(self._box)
        self._label.name = "planLabel"
        self._label.wordWrap = True
        self._label.alignment = qt.Qt.AlignTop
        self._label.setMinimumWidth(_COLUMNS * self._label.fontMetrics().averageCharWidth())
        layout.addWidget(self._label)
        layout.addWidget(self._buttons())

    def _buttons(self):
        cancelButton = qt.QPushButton(_("Cancel"))
        buttons = qt.QDialogButtonBox()
        buttons.addButton(self._bundleButton, qt.QDialogButtonBox.ActionRole)
        buttons.addButton(self._installButton, qt.QDialogButtonBox.AcceptRole)
        buttons.addButton(cancelButton, qt.QDialogButtonBox.RejectRole)
        self._bundleButton.name = "bundleButton"
        self._bundleButton.toolTip = _("Install from a file, on a computer without internet.")
        self._bundleButton.autoDefault = False
        self._bundleButton.connect("clicked()", self._chooseBundle)
        self._installButton.name = "installButton"
        self._installButton.connect("clicked()", self._dialog.accept)
        cancelButton.connect("clicked()", self._dialog.reject)
        return buttons

    def _plan(self) -> None:
        """Find out what would be installed, for the build that is chosen."""
        build = self._box.currentData or ""
        self._look(self._logic.startPlanning(build, self._development), self._showPlan)

    def _chooseBundle(self) -> None:
        path = qt.QFileDialog.getOpenFileName(
            self._dialog, _("Bundle file"), "", _("Bundles (*.zip)")
        )
        if path:
            show = functools.partial(self._showBundle, path)
            self._look(self._logic.startReadingBundle(path), show)

    def _look(self, job: SceneJob, show: Callable) -> None:
        """Show what a job finds out, unless another one is asked meanwhile."""
        self._stopLooking()
        self._consent = None
        self._installButton.enabled = False
        self._say([_("Looking at this computer...")])
        self._job = job

        def end(ended: SceneJob) -> None:
            if ended is self._job:
                self._job = None
                if ended.error:
                    self._say([str(ended.error)])
                else:
                    show(ended.result)

        job.when_done(end)

    def _stopLooking(self) -> None:
        job, self._job = self._job, None
        if job:
            job.cancel()

    def _showPlan(self, found: tuple[Plan, Sequence[Finding]]) -> None:
        plan, findings = found
        lines = _descriptions(plan)
        if self._downloadMb:
            text = _("The weights ({size} MB) are downloaded then.")
            lines.append(text.format(size=self._downloadMb))
        if all(finding.state == OK for finding in findings):
            lines.append(_("This computer was checked: nothing is in the way."))
        self._show(lines, findings)
        self._consent = Consent(
            functools.partial(self._logic.startSetup, plan=plan, again=self._again),
            _("Installing the engine"),
            _("The engine is installed."),
            mayDownload=self._downloadMb > 0,
        )

    def _showBundle(
        self, path: str, found: tuple[Contents, Plan | None, Sequence[Finding]]
    ) -> None:
        contents, plan, findings = found
        lines = [
            _("The bundle {name}, made on {day}, {size} GB. Nothing is downloaded.").format(
                name=Path(path).name, day=contents.made, size=round(contents.size_bytes / 1e9, 1)
            )
        ]
        done = []
        if plan:
            lines += [
                _("It holds the engine, with {title}.").format(title=plan.build.title),
                _("Space needed on the disk: {gigabytes} GB.").format(gigabytes=plan.disk_gb),
                _("Programs in it will run on this computer: take it from people you trust only."),
            ]
            done.append(_("The engine is installed."))
        models = len(contents.within(WEIGHTS))
        if models:
            lines.append(_("It holds {count} models.").format(count=models))
            done.append(_("{count} models are installed.").format(count=models))
        if not plan and not self._logic.isEngineReady():
            lines.append(_("It does not hold the engine, which is needed, too."))
            done.append(_("The engine is not installed yet."))
        self._show(lines, findings)
        self._consent = Consent(
            functools.partial(self._logic.startBundle, path, again=self._again),
            _("Installing a bundle"),
            " ".join(done),
            hasEngine=plan is not None,
        )

    def _show(self, lines: Sequence[str], findings: Sequence[Finding]) -> None:
        problems = [
            _("{state}: {message} {remedy}").format(
                state=stateTitle(one.state), message=one.message, remedy=one.remedy
            )
            for one in findings
            if one.state != OK
        ]
        self._say([*lines, *problems])
        self._installButton.enabled = worst(findings) != ERROR

    def _say(self, lines: Sequence[str]) -> None:
        self._label.text = _paragraphs(lines)
        self._dialog.adjustSize()  # else a longer text would be cut


def _descriptions(plan: Plan) -> list[str]:
    """What would be installed, how large it is, from where and where to."""
    build = plan.build
    main = [f"{title} {plan.packages[name]}" for name, title in _MAIN_PACKAGES.items()]
    torch = _("{title}. {reason}").format(title=build.title, reason=build.reason)
    if not build.verified:
        torch += " " + _("The authors of this extension could not try this build.")
    packages = _("{main} and {count} more packages, in tested versions.").format(
        main=", ".join(main), count=len(plan.packages) - len(main)
    )
    if plan.development:
        packages = _(
            "TotalSegmentator's development version and {count} more packages. Nobody has tested "
            "this version with this extension."
        ).format(count=len(plan.packages) - 1)
    size = _("Download: {megabytes} MB. Space needed on the disk: {gigabytes} GB.").format(
        megabytes=plan.download_mb, gigabytes=plan.disk_gb
    )
    source = _("From {source}: {hosts}.").format(source=plan.source, hosts=", ".join(plan.hosts))
    place = _("Into {folder}. Slicer's own Python is not changed.").format(folder=plan.folder)
    return [torch, packages, size, source, place]


def _paragraphs(lines: Sequence[str]) -> str:
    """Rich text, one paragraph for each line that says something."""
    return "".join(f"<p>{html.escape(line, False)}</p>" for line in lines if line)
