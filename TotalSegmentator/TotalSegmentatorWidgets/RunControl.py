"""Runs from the panel: queued, followed, stopped; and what is shown of them."""

import functools
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import slicer
import slicer.util
from slicer.i18n import tr as _

from TotalSegmentatorLib import catalog, jobs, remedies
from TotalSegmentatorLib.catalog import Terms
from TotalSegmentatorLib.errors import CancelledError, SegmentationError, SetupError
from TotalSegmentatorLib.jobs import Event, Job, Order, RunQueue, State
from TotalSegmentatorLib.remedies import Remedy
from TotalSegmentatorLib.scene import SceneJob, SegmentationJob, find_sequence

from .Choices import askedFor, regionOf
from .ConsentDialog import Begin, Consent, ConsentDialog
from .ErrorView import ErrorView
from .QueueView import QueueEntry, QueueView
from .TermsDialog import acceptsTerms

# The second half of a double click on Apply is not meant for Cancel.
_DOUBLE_CLICK_S = 0.5
# Codes that end so are about a run that was not begun, for a reason that an estimate gives.
_WILL_NOT_FIT = ".will_not_fit"
# What each remedy changes of the run that failed; the others open something.
_CHANGES = {
    remedies.RETRY: {},
    remedies.RETRY_ON_CPU: {"device": "cpu"},
    remedies.USE_FASTER_SPEED: {},
    remedies.CHANGE_OPTIONS: {},
    remedies.DOWNLOAD_WEIGHTS: {"mayDownload": True},
    remedies.RUN_ANYWAY: {"anyway": True},
}
Again = Callable[..., None]


class Panel(Protocol):
    """What the runs need of the panel."""

    def onRunsChanged(self) -> None:
        """A run was queued, began or ended."""

    def onResult(self, parameters, job: SegmentationJob) -> None:
        """A segmentation is in the scene.

        :param parameters: the parameter node that was shown at the click.
        """

    def openSetup(self) -> None:
        """Show what is missing on this computer."""

    def openLicence(self) -> None:
        """Let a licence number be entered."""


@dataclass(eq=False)
class SceneOrder(Order):
    """An order that works on the scene, and ends with it."""


@dataclass(eq=False)
class SetupOrder(Order):
    """The installation of the engine, of which there is one at a time."""


class RunControl:
    """Queues runs, follows them, and shows how they go and what went wrong.

    :param ui: the panel's widgets.
    :param logic: the module's logic.
    """

    def __init__(self, ui, logic, panel: Panel) -> None:
        self._ui = ui
        self._logic = logic
        self._panel = panel
        self._queue = RunQueue(self._onQueueChanged)
        self._again: Again | None = None
        self._beside: list[SceneJob] = []
        self._warnings: list[str] = []
        self._phrase = ""
        self._startedAt = 0.0
        self._stopping: Order | SceneJob | None = None
        self.errorView = ErrorView(ui, self.onRemedy)
        self.queueView = QueueView(ui, self._queue.remove, self._queue.cancel_all)

    @property
    def busy(self) -> bool:
        """Whether a run goes on or waits."""
        return self._queue.running is not None

    @property
    def canCancel(self) -> bool:
        """Whether there is something to stop: a run, or a job beside, e.g. an export."""
        return self.busy or bool(self._beside)

    def apply(self, parameters, **changes: object) -> None:
        """Queue a run for each chosen volume, and the installation of the engine before them.

        :param parameters: the panel's parameter node; the panel may be left in the meantime.
        :param changes: arguments of :meth:`TotalSegmentatorLogic.segment` that replace what is
            chosen.
        """
        self.errorView.hide()
        try:
            orders = self._orders(parameters, changes)
        except SegmentationError as error:
            self._showFailure(error, again=functools.partial(self.apply, parameters))
        else:
            self._startedAt = time.monotonic()
            self._queue.add(*orders)

    def cancel(self) -> None:
        """Ask what runs to stop; it is followed until nothing of it is left."""
        if time.monotonic() - self._startedAt < _DOUBLE_CLICK_S:
            return
        self._stopping = next(iter(self._active()), None)
        if self.busy:
            self._queue.cancel()
        else:
            for job in self._beside:
                job.cancel()
        self._ui.statusLabel.text = _("Stopping...")
        self._ui.applyButton.enabled = False

    def cancelAll(self) -> None:
        """Stop what runs, and begin nothing that waits."""
        self._queue.cancel_all()

    def leaveScene(self) -> None:
        """The scene is closed: stop what works on it, and forget what has."""
        self._queue.cancel_all(lambda order: isinstance(order, SceneOrder))
        self._queue.forget_ended()
        self._again = None
        self.errorView.hide()

    def install(self, again: bool = False, development: bool = False) -> None:
        """Queue the installation of the engine, if the user agrees.

        :param again: also if the same is there already.
        :param development: the official package's development version.
        """
        if self._installing() is None:
            consent = ConsentDialog(self._logic, again, development).ask()
            if consent:
                self.errorView.hide()
                self._queue.add(self._setupOrder(consent))

    def queue(self, title: str, begin: Begin, whenDone: Callable[[SceneJob], None]) -> None:
        """Queue work that needs no scene; what fails can be tried again.

        :param title: for people.
        :param begin: starts it; called with what receives its events.
        :param whenDone: called with the job if it has ended well.
        """
        self.errorView.hide()
        self._queue.add(self._order(Order, title, begin, whenDone))

    def _order(
        self, kind: type[Order], title: str, begin: Begin, whenDone: Callable[[SceneJob], None]
    ) -> Order:
        def finish(job: SceneJob) -> None:
            self.showProgress(1.0, None)
            whenDone(job)

        def fail(error: SegmentationError) -> None:
            if isinstance(error, CancelledError):
                error = CancelledError(message=_("{title}: cancelled.").format(title=title))
            self._showFailure(error, again=again)

        def again() -> None:
            self._queue.add(self._order(kind, title, begin, whenDone))

        return kind(title, functools.partial(begin, self.onEvent), finish, fail)

    # What is queued

    def _orders(self, parameters, changes: Mapping[str, object]) -> list[Order]:
        """
        :raises SegmentationError: what can be known of the first volume before anything begins.
        """
        asked = {**askedFor(parameters, self._logic), **changes}
        mayDownload = bool(asked.pop("mayDownload", False))
        # A list of nodes keeps the places of those that have left the scene.
        more = [volume for volume in parameters.moreVolumes if volume]
        volumes = dict.fromkeys([parameters.inputVolume, *more])
        regions = {volume: regionOf(parameters, volume) for volume in volumes}
        orders, setup = [], self._installing()
        self._areAccepted(self._logic.termsToAccept(parameters.inputVolume, **asked))
        missing = self._missingWeights(asked, parameters.inputVolume)
        size = self._logic.downloadSize(parameters.inputVolume, **asked) if missing else 0
        if setup or self._logic.isEngineReady():
            mayDownload = mayDownload or _mayDownload(missing, size)
        else:
            consent = ConsentDialog(self._logic, downloadMb=size).ask()
            if consent is None:
                return []
            setup, mayDownload = self._setupOrder(consent), consent.mayDownload
            if not consent.hasEngine:
                return [setup]
            orders.append(setup)
        for volume, region in regions.items():
            output = parameters.outputSegmentation if volume is parameters.inputVolume else None
            options = {
                **asked,
                "region": region,
                "output": output,
                "mode": parameters.mode,
                "mayDownload": mayDownload,
            }
            orders.append(self._segmentationOrder(parameters, volume, options, setup))
        return orders

    def _installing(self) -> Order | None:
        """The installation that runs or waits."""
        for order in self._queue.orders:
            if isinstance(order, SetupOrder) and order.state in (State.RUNNING, State.WAITING):
                return order
        return None

    def _setupOrder(self, consent: Consent) -> Order:
        kind = SetupOrder if consent.hasEngine else Order
        return self._order(kind, consent.title, consent.begin, lambda job: self.say(consent.done))

    def _missingWeights(self, asked: Mapping[str, object], volume) -> SetupError | None:
        """What is said if a run lacks weights; None if it does not.

        :raises SegmentationError: what else is wrong with the request, e.g. ``licence.missing``.
        """
        try:
            self._logic.check(volume, **asked)
        except SetupError as error:
            if error.code != "weights.missing":
                raise
            return error
        return None

    def onceAccepted(self, terms: Iterable[Terms], goOn: Callable[[], None]) -> None:
        """Ask whether terms are accepted, and go on if they are; at once if there are none."""
        try:
            agreed = self._areAccepted(terms)
        except SegmentationError as error:
            self.showError(error)
        else:
            if agreed:
                goOn()

    def _areAccepted(self, terms: Iterable[Terms]) -> bool:
        """Ask whether terms are accepted, and note it; False as soon as some are not.

        :raises SetupError: if it cannot be noted.
        """
        for one in terms:
            if not acceptsTerms(one):
                return False
            self._logic.acceptTerms(one.id)
        return True

    def _segmentationOrder(
        self, parameters, volume, options: dict[str, object], setup: Order | None = None
    ) -> Order:
        start = self._logic.segment
        if find_sequence(volume):
            start = functools.partial(self._logic.segmentSequence, frames=parameters.frames)
        names, keep = parameters.useStandardSegmentNames, parameters.keepTemporaryFiles

        def begin() -> SegmentationJob:
            self._warnings = []
            self.addLog(_("{what}:").format(what=what))
            return start(
                volume,
                makeTable=True,
                standardNames=names,
                keepFiles=keep,
                onEvent=self.onEvent,
                **options,
            )

        def finish(job: SegmentationJob) -> None:
            self._showDone(job)
            self._panel.onResult(parameters, job)

        def fail(error: SegmentationError) -> None:
            self._showFailure(error, options, again)

        def again(**changes: object) -> None:
            # What failed, not what the panel shows by now.
            changed = {**options, **changes}
            self._queue.add(self._segmentationOrder(parameters, volume, changed))

        what = catalog.task(options["task"]).title if options.get("task") else _("structures")
        title = _("{volume}, {what}").format(volume=volume.GetName(), what=what)
        return SceneOrder(title, begin, finish, fail, setup)

    # Jobs beside the queue

    def start(self, job: Job, whenDone: Callable[[Job], None]) -> None:
        """Start a job beside whatever runs, and show what it tells and what goes wrong."""
        self.follow(
            lambda onEvent: self._logic.followJob(job.start(onEvent)), lambda _: whenDone(job)
        )

    def follow(self, begin: Begin, whenDone: Callable[[SceneJob], None]) -> None:
        """Do what :meth:`start` does with a job of the logic.

        :param begin: starts it; called with what receives its events.
        :raises SegmentationError: what it raises.
        """

        def end(following: SceneJob) -> None:
            self._beside.remove(following)
            if following.error:
                self.showError(following.error)
            elif not self.busy:
                self.showProgress(1.0, None)
            whenDone(following)
            self._panel.onRunsChanged()

        following = begin(self._onSideEvent)
        self._beside.append(following)
        self._startedAt = time.monotonic()
        self._phrase = ""
        self._panel.onRunsChanged()
        following.when_done(end)

    def say(self, text: str) -> None:
        """Show a sentence."""
        self._ui.statusLabel.text = text
        self.addLog(text)

    def _onSideEvent(self, event: Event) -> None:
        """Show what a job tells, unless a run uses the bar and the line."""
        if not self.busy or isinstance(event, jobs.Log):
            self.onEvent(event)

    def _active(self) -> list[Order | SceneJob]:
        """What goes on now; what Cancel stops first."""
        running = self._queue.running
        return [*([running] if running else []), *self._beside]

    # What is shown

    def _onQueueChanged(self) -> None:
        self._phrase = ""
        self.queueView.show(
            [
                QueueEntry(
                    order, order.title, order.state.value, str(order.error) if order.error else ""
                )
                for order in self._queue.orders
            ]
        )
        if self.busy:
            self.showProgress(0.0, None)
        else:
            self._showSum()
        self._panel.onRunsChanged()

    def _showSum(self) -> None:
        """What became of several runs."""
        states = [order.state for order in self._queue.orders]
        failed = states.count(State.FAILED)
        if failed and len(states) > 1:
            self.say(
                _("{done} of {count} done, {failed} failed: see the list.").format(
                    done=states.count(State.DONE), count=len(states), failed=failed
                )
            )

    def showButtons(self, hasVolume: bool) -> None:
        """Apply, which is Cancel while something runs.

        :param hasVolume: whether there is something to segment.
        """
        apply, queue = self._ui.applyButton, self._ui.queueButton
        canCancel = self.canCancel
        apply.text = _("&Cancel") if canCancel else _("&Apply")
        apply.enabled = (canCancel or hasVolume) and self._stopping not in self._active()
        apply.toolTip = _("Start the segmentation.")
        if canCancel:
            apply.toolTip = _("Stop the run; the scene stays as it is.")
        elif not hasVolume:
            apply.toolTip = _("Choose a volume first.")
        queue.visible = self.busy
        queue.enabled = hasVolume

    def _showDone(self, job: SegmentationJob) -> None:
        self.showProgress(1.0, None)
        done = _("Done: {count} structures found.").format(
            count=sum(structure["found"] for structure in job.reports[0]["structures"])
        )
        if find_sequence(job.result):
            done = _("Done: {count} frames segmented.").format(count=len(job.reports))
        self.say(" ".join([done, *self._warnings]))

    def onEvent(self, event: Event) -> None:
        """Show what a run tells."""
        if isinstance(event, jobs.Stage):
            self._showStage(event)
        elif isinstance(event, jobs.Progress):
            self.showProgress(event.fraction, event.seconds_left)
        elif isinstance(event, jobs.Warned):
            self._warnings.append(event.message)
            self.addLog(_("Warning: {message}").format(message=event.message))
        elif isinstance(event, jobs.Log):
            self.addLog(event.text)

    def _showStage(self, stage: jobs.Stage) -> None:
        self._ui.statusLabel.text = stage.text
        if stage.phrase != self._phrase:
            self._phrase = stage.phrase
            self.addLog(stage.text)

    def showProgress(self, fraction: float, secondsLeft: float | None) -> None:
        """Set the bar; ``%`` is Qt's own sign for the percentage."""
        bar = self._ui.progressBar
        bar.value = round(fraction * bar.maximum)
        bar.format = "%p%"
        if secondsLeft is not None:
            minutes, seconds = divmod(round(secondsLeft), 60)
            bar.format = "%p% - " + _("{minutes}:{seconds} left").format(
                minutes=minutes, seconds=f"{seconds:02d}"
            )

    def addLog(self, text: str) -> None:
        """Append a line to the log."""
        self._ui.logTextEdit.appendPlainText(text)

    # Errors

    def showError(self, error: SegmentationError) -> None:
        """Show what went wrong beside the runs, without a dialog."""
        self._tell(error)
        if not isinstance(error, CancelledError):
            self._again = None
            opening = [r for r in self._remedies(error, {}) if r.action not in _CHANGES]
            self.errorView.show(error, opening, _volumeNames())

    def _showFailure(
        self,
        error: SegmentationError,
        options: Mapping[str, object] | None = None,
        again: Again | None = None,
    ) -> None:
        """Show why a run did not come to its end, and what to do.

        :param options: arguments of the run.
        :param again: runs it once more, with changes.
        """
        self.showProgress(0.0, None)
        self._tell(error)
        if isinstance(error, CancelledError):
            self._ui.statusLabel.text = str(error)
            return
        self._ui.statusLabel.text = _("Not done: see below.")
        self._again = again
        self.errorView.show(error, self._remedies(error, options or {}), _volumeNames())

    def _tell(self, error: SegmentationError) -> None:
        self.addLog(f"{error} [{error.code}]")
        logging.info("%s [%s] %s", error, error.code, error.details)

    def _remedies(
        self, error: SegmentationError, options: Mapping[str, object]
    ) -> tuple[Remedy, ...]:
        if error.remedies is not None:
            insist = [Remedy(remedies.RUN_ANYWAY)] if error.code.endswith(_WILL_NOT_FIT) else []
            return (*error.remedies, *insist)
        task = str(options.get("task") or "")
        return remedies.remedies(
            error.code,
            speeds=self._logic.getSupportedSpeeds(task) if task else catalog.SPEEDS,
            speed=str(options.get("speed", "")),
            device=str(options.get("device", "auto")),
            has_region=bool(options.get("region")),
        )

    def onRemedy(self, remedy: Remedy) -> None:
        """Do what a button of the error offers."""
        if remedy.action in _CHANGES:
            changes = {**_CHANGES[remedy.action], **remedy.options}
            if remedy.action == remedies.USE_FASTER_SPEED:
                changes["speed"] = remedy.value
            self._again(**changes)
            return
        openers = {
            remedies.CHOOSE_REGION: self._ui.regionSelector.setFocus,
            remedies.CHOOSE_BUILD: functools.partial(self.install, again=True),
            remedies.REINSTALL_ENGINE: functools.partial(self.install, again=True),
            remedies.OPEN_SETUP: self._panel.openSetup,
            remedies.OPEN_LICENCE: self._panel.openLicence,
            remedies.ACCEPT_TERMS: functools.partial(self._accept, remedy),
        }
        openers[remedy.action]()

    def _accept(self, remedy: Remedy) -> None:
        """Let terms be accepted, and try again what failed without that."""
        self.onceAccepted([catalog.terms(remedy.value)], self._again or self.errorView.hide)


def _mayDownload(missing: SetupError | None, size: int) -> bool:
    """Whether weights may be downloaded; asked only if some are missing.

    :param missing: ``weights.missing``, raised if the user does not agree.
    :param size: of them, in megabytes.
    """
    if missing is None:
        return False
    question = _("{problem} Download them now ({size} MB)?")
    if not confirm(question.format(problem=missing.message, size=size)):
        raise missing
    return True


def confirm(text: str) -> bool:
    """Ask whether something may be installed or downloaded."""
    return slicer.util.confirmOkCancelDisplay(text, _("Continue?"))


def _volumeNames() -> list[str]:
    """Names that may be a patient's."""
    return [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
