"""What the module's logic does about engine, models and licence; also without Qt."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import slicer
import slicer.util
from slicer.i18n import tr as _

from TotalSegmentatorLib import catalog, environment, jobs
from TotalSegmentatorLib.environment import (
    EngineEnvironment,
    LicenceStatus,
    Observer,
    bundle,
    installation,
    terms,
    weights,
)
from TotalSegmentatorLib.environment.doctor import diagnose
from TotalSegmentatorLib.environment.duplicates import other_modules
from TotalSegmentatorLib.environment.engine import fixed_folder
from TotalSegmentatorLib.environment.environments import (
    OUTDATED,
    Environment,
    Environments,
    read_environment,
)
from TotalSegmentatorLib.environment.findings import Finding
from TotalSegmentatorLib.environment.installation import Plan
from TotalSegmentatorLib.environment.paths import import_folder
from TotalSegmentatorLib.errors import SetupError
from TotalSegmentatorLib.jobs import Event, Job
from TotalSegmentatorLib.scene import SceneJob, versions

EventHandler = Callable[[Event], None]
#: Where the application keeps the path of an interpreter that was chosen.
PYTHON_KEY = "TotalSegmentator/EnginePython"
_MAIN_PACKAGES = {
    "TotalSegmentator": "TotalSegmentator",
    "torch": "PyTorch",
    "nnunetv2": "nnU-Net",
    "python": "Python",
}


class SetupLogic:
    """A part of TotalSegmentatorLogic, whose jobs and idle engine it uses.

    :ivar enginePython: an interpreter to use instead of the environments.
    :ivar totalSegmentatorWeightsPath: a folder to use instead of the usual one for weights.
    """

    enginePython: str | None = None
    totalSegmentatorWeightsPath: str | None = None

    # Engine

    def _engine(self) -> EngineEnvironment:
        python = Path(self.enginePython) if self.enginePython else None
        return environment.find_engine(python, versions.startup_variables())

    def useEnginePython(self, python: str | None) -> None:
        """Use another interpreter from now on, also in later sessions of the application.

        :param python: its path; None: the environment that is in use.
        """
        self.enginePython = python
        if hasattr(slicer, "app"):  # not on slicer-core
            slicer.app.settings().setValue(PYTHON_KEY, python or "")

    def isEngineReady(self) -> bool:
        """Whether PyTorch and TotalSegmentator are installed."""
        return bool(self.enginePython) or environment.is_ready(environment.default_folder())

    def engineText(self) -> str:
        """The engine's packages and their versions, or that it is not installed."""
        if self.enginePython:
            return _("Ready: the Python {path} is used.").format(path=self.enginePython)
        found = read_environment(environment.default_folder())
        if environment.is_ready(found.folder):
            main = [(title, found.versions.get(name)) for name, title in _MAIN_PACKAGES.items()]
            packages = ", ".join(f"{title} {version}" for title, version in main if version)
            text = _("Ready: {packages}.").format(packages=packages)
            untested = _("TotalSegmentator is the development version, which nobody has tested.")
            return f"{text} {untested}" if found.development else text
        if found.state == OUTDATED:
            return _("Out of date: this version of the extension needs other packages.")
        return _("Damaged.") if self.environments() else _("Not installed.")

    def startProbe(self) -> SceneJob:
        """Start looking for GPUs, which only the engine can see.

        :return: its ``result`` is a :class:`TotalSegmentatorLib.environment.Hardware`.
        """
        engine = self._engine()
        return self._startObserved(lambda observer: environment.probe(engine))

    def startPythonTrial(self, python: str, onEvent: EventHandler | None = None) -> SceneJob:
        """Start looking whether a Python, to be used as :attr:`enginePython`, can run the engine.

        :return: as of :meth:`startProbe`.
        """
        engine = environment.find_engine(Path(python), versions.startup_variables())
        return self._startObserved(lambda observer: environment.probe(engine), onEvent)

    def startPlanning(self, build: str = "", development: bool = False) -> SceneJob:
        """Start finding out what would be installed here, and whether it can be.

        :param build: id of a build of PyTorch; empty for the one that fits this computer.
        :param development: the official package's development version instead of the tested one.
        :return: its ``result`` is a pair: what :meth:`startSetup` takes, and findings.
        """
        variables = versions.startup_variables()

        def work(observer: Observer) -> tuple[Plan, tuple[Finding, ...]]:
            plan = installation.plan(build, fixed_folder(), development=development)
            return plan, installation.check(plan, variables=variables)

        return self._startObserved(work)

    def startSetup(
        self,
        onEvent: EventHandler | None = None,
        plan: Plan | None = None,
        again: bool = False,
    ) -> SceneJob:
        """Start installing PyTorch and TotalSegmentator apart from Slicer's own Python.

        They are used from then on, also if :attr:`enginePython` was set.

        :param plan: what :meth:`startPlanning` has found; None: what fits this computer.
        :param again: also what is there already.
        :return: its ``result`` is a dictionary of the installed versions.
        :raises SetupError: ``environment.busy``.
        """
        variables = self._readyToInstall()

        def work(observer: Observer) -> dict[str, str]:
            wanted = plan or installation.plan(folder=fixed_folder())
            made = installation.install(wanted, observer=observer, variables=variables, force=again)
            return dict(made.versions)

        def finish(made: dict[str, str]) -> dict[str, str]:
            self.useEnginePython(None)
            return made

        return self._startObserved(work, onEvent, finish)

    def _readyToInstall(self) -> dict[str, str] | None:
        """The variables for an installation, which nothing hinders.

        :raises SetupError: ``environment.busy``.
        """
        if versions.other_installation_running():  # whose need of disk space nobody knows
            raise SetupError(
                "environment.busy",
                _("Slicer is installing other packages at this moment."),
                _("Try again when that has ended."),
            )
        self.releaseEngine()  # it would go on with the packages as they were
        return versions.startup_variables()

    def startReadingBundle(self, path: str) -> SceneJob:
        """Start reading what a bundle file holds, and whether that can be installed here.

        :return: its ``result`` is what the bundle holds
            (:class:`TotalSegmentatorLib.environment.bundle.Contents`), the plan for the engine in
            it, or None, and findings.
        """
        file, variables = Path(path), versions.startup_variables()

        def work(
            observer: Observer,
        ) -> tuple[bundle.Contents, Plan | None, tuple[Finding, ...]]:
            contents = bundle.read(file)
            bundle.check_fits(file, contents)
            if not contents.lock:
                return contents, None, ()
            plan = installation.plan(contents.torch_build, fixed_folder(), bundle=file)
            found = installation.check(plan, variables=variables)
            # Its packages are not unpacked yet: that they are there was just read.
            return contents, plan, tuple(one for one in found if one.check != "bundle")

        return self._startObserved(work)

    def startBundle(
        self, path: str, onEvent: EventHandler | None = None, again: bool = False
    ) -> SceneJob:
        """Start installing the engine and models from a bundle file, without a network.

        :param again: also an engine that is there already.
        :return: its ``result`` is a
            :class:`TotalSegmentatorLib.environment.bundle.Installed`.
        :raises SetupError: ``environment.busy``.
        """
        variables, folder = self._readyToInstall(), self.weightsFolder()

        def finish(installed: bundle.Installed) -> bundle.Installed:
            if installed.environment:
                self.useEnginePython(None)
            return installed

        return self._startObserved(
            lambda observer: bundle.install(
                Path(path), folder, fixed_folder(), observer, variables, again
            ),
            onEvent,
            finish,
        )

    def setupPythonRequirements(self, upgrade: bool = False) -> None:
        """Install PyTorch and TotalSegmentator if they are not there, and wait for the end.

        :param upgrade: kept for older scripts; an outdated environment is always made anew.
        """
        self.startSetup().wait()

    # Environments

    def environments(self) -> tuple[Environment, ...]:
        """The engine's environments on this computer."""
        return Environments().all()

    def currentEnvironment(self) -> Environment | None:
        """The environment that is used; None if there is none, or another Python is used."""
        return None if self.enginePython else Environments().current()

    def useEnvironment(self, name: str) -> Environment:
        """Use another environment from now on; nothing is installed.

        :raises SetupError: if there is none of this name, or it is not whole.
        """
        return self._switch(Environments().use(name))

    def canGoBack(self) -> bool:
        """Whether :meth:`goBack` has something to go back to."""
        return Environments().previous() is not None

    def goBack(self) -> Environment:
        """Use the environment that was used before; a second time goes back again.

        :raises SetupError: if there is none.
        """
        return self._switch(Environments().rollback())

    def _switch(self, environment: Environment) -> Environment:
        """Let the next run use what is in use now."""
        self.useEnginePython(None)
        self.releaseEngine()
        return environment

    def startEnvironmentRemoval(self, name: str, onEvent: EventHandler | None = None) -> SceneJob:
        """Start removing an environment from this computer."""
        self.releaseEngine()  # a file that is open cannot be removed on Windows
        return self._startObserved(lambda observer: Environments().remove(name), onEvent)

    def startEnvironmentInformation(self) -> SceneJob:
        """Start collecting versions, place and size of the environment that is used.

        :return: its ``result`` is a text for people.
        """

        def work(observer: Observer) -> str:
            found = Environments()
            current = found.current()
            return found.information(current.name) if current else _("Not installed.")

        return self._startObserved(work)

    def otherModules(self) -> tuple[Path, ...]:
        """Other modules of this name, which Slicer may load instead of this one."""
        additional: list[str] = []
        if hasattr(slicer, "app"):  # not on slicer-core
            settings = slicer.app.revisionUserSettings()
            paths = slicer.util.settingsValue("Modules/AdditionalPaths", [], settings=settings)
            additional = [paths] if isinstance(paths, str) else list(paths)
        return other_modules(import_folder() / "TotalSegmentator.py", [*sys.path, *additional])

    def startDoctor(self) -> SceneJob:
        """Start looking at all that runs need on this computer; nothing is changed.

        :return: its ``result`` is a tuple of :class:`TotalSegmentatorLib.environment.Finding`.
        """
        python = Path(self.enginePython) if self.enginePython else None
        options = {
            "variables": versions.startup_variables(),
            "other_modules": self.otherModules(),
            "weights": self.weightsFolder(),
        }

        def work(observer: Observer) -> tuple[Finding, ...]:
            found = []
            for finding in diagnose(python, **options):
                observer.check()
                found.append(finding)
            return tuple(found)

        return self._startObserved(work)

    # Weights

    def weightsFolder(self) -> Path:
        """The folder that holds the models."""
        chosen = self.totalSegmentatorWeightsPath
        variables = versions.startup_variables()
        return Path(chosen) if chosen else environment.weights_folder(variables)

    def startWeightsList(self) -> SceneJob:
        """Start looking which models are on this computer.

        :return: its ``result`` is a tuple of
            :class:`TotalSegmentatorLib.environment.weights.WeightsEntry`, one for each model.
        """
        folder = self.weightsFolder()
        return self._startObserved(lambda observer: weights.entries(folder))

    def startWeightsDownload(
        self, models: Iterable[catalog.Model], onEvent: EventHandler | None = None
    ) -> SceneJob:
        """Start downloading those of some models that are missing or damaged.

        :param models: e.g. ``catalog.task("total").required_models("fast")``.
        """
        wanted, folder = tuple(models), self.weightsFolder()
        way = weights.Way(variables=versions.startup_variables())
        return self._startObserved(
            lambda observer: weights.obtain(wanted, folder, observer, way), onEvent
        )

    def startWeightsImport(self, path: str, onEvent: EventHandler | None = None) -> SceneJob:
        """Start adding models from an archive, or from a folder.

        :return: its ``result`` is a tuple of the models' entries.
        """
        folder = self.weightsFolder()
        return self._startObserved(
            lambda observer: weights.import_weights(Path(path), folder, observer), onEvent
        )

    def startWeightsCheck(
        self, models: Iterable[catalog.Model], onEvent: EventHandler | None = None
    ) -> SceneJob:
        """Start comparing models with what was noted when they were got.

        :return: its ``result`` is a tuple of findings, one for each model that is there.
        """
        wanted, folder = tuple(models), self.weightsFolder()
        return self._startObserved(
            lambda observer: weights.verify(folder, wanted, observer), onEvent
        )

    def startWeightsRemoval(
        self, models: Iterable[catalog.Model], onEvent: EventHandler | None = None
    ) -> SceneJob:
        """Start deleting models from this computer.

        :return: its ``result`` is the number of bytes that became free.
        """
        wanted, folder = tuple(models), self.weightsFolder()
        self.releaseEngine()
        return self._startObserved(
            lambda observer: weights.remove(wanted, folder, observer), onEvent
        )

    # Licence

    def setLicense(self, licenseStr: str) -> None:
        """Check a TotalSegmentator licence number online and store it.

        :raises SegmentationError: if it is not accepted.
        """
        self.licenceStore(licenseStr)()

    def licenceStatus(self) -> LicenceStatus:
        """Whether a licence number is stored; nobody is asked whether it is valid."""
        return environment.licence_status(versions.startup_variables())

    def licenceCheck(self) -> Callable[[], LicenceStatus]:
        """What asks whether the stored licence number is valid, for a thread of its own."""
        variables = versions.startup_variables()
        return lambda: environment.licence_status(variables, online=True)

    def licenceStore(self, number: str, unchecked: bool = False) -> Callable[[], LicenceStatus]:
        """What checks and stores a licence number, for a thread of its own.

        :param unchecked: ask nobody, for a computer without internet.
        """
        variables = versions.startup_variables()
        return lambda: environment.store_licence(number, variables, unchecked)

    def removeLicence(self) -> None:
        """Forget the licence number.

        :raises SetupError: if its file cannot be written.
        """
        environment.remove_licence(versions.startup_variables())

    def acceptTerms(self, id: str) -> None:
        """Accept the terms of models, once on this computer; what they say is in
        ``catalog.terms(id)``.

        :param id: e.g. ``nv-segment-ctmr``; :meth:`termsToAccept` tells which a run needs.
        :raises InputError: if there are no such terms.
        :raises SetupError: if it cannot be noted.
        """
        terms.accept(catalog.terms(id).id)

    def _startObserved(
        self,
        work: Callable[[Observer], object],
        onEvent: EventHandler | None = None,
        finish: Callable[[object], object] = lambda result: result,
    ) -> SceneJob:
        """Start work that tells an observer of itself.

        :param finish: called on the main thread with what the work gives, if it ends well.
        """

        def run(context: jobs.JobContext) -> object:
            def onStep(share: float, text: str) -> None:
                context.emit(jobs.Stage(text))
                context.emit(jobs.Progress(share))

            observer = Observer(
                on_step=onStep,
                on_line=lambda line: context.emit(jobs.Log(line)),
                cancelled=context.cancelled.is_set,
            )
            return work(observer)

        return self.followJob(Job(run, onEvent or self._log).start(), finish)
