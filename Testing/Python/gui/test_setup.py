"""The section Setup: installing the engine, its environments, and what is asked before."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable

import pytest
import slicer
from made_environments import make_environment
from panel_steps import apply, cancel, error_text, finished, remedy_button, segmentations
from PySide6.QtGui import QAction

from TotalSegmentatorLib.environment import Environments, Hardware, installation
from TotalSegmentatorLib.environment.bundle import Contents, Installed
from TotalSegmentatorLib.environment.bundle.contents import Member
from TotalSegmentatorLib.environment.findings import ERROR, OK, WARNING, Finding
from TotalSegmentatorLib.environment.lock import lock_version, this_target
from TotalSegmentatorLib.environment.torch_builds import find_build
from TotalSegmentatorLib.errors import SetupError

INSTALLATION = "TotalSegmentatorLib.environment.installation"
BUNDLE = "TotalSegmentatorLib.environment.bundle"
PYTHON_KEY = "TotalSegmentator/EnginePython"
FINE = Finding("disk", OK, "Enough space is free.")


class Installer:
    """Stands in for an installation: remembers what was asked, and leaves an environment."""

    def __init__(self, program) -> None:
        self.program = program
        self.plans, self.forced = [], []
        self.error: SetupError | None = None
        self.held = False

    def __call__(self, plan, base=None, observer=None, variables=None, force=False):
        self.plans.append(plan)
        self.forced.append(force)
        for megabytes in range(0, 200, 10):
            observer.on_step(0.5, f"Downloading PyTorch: {megabytes} of 190 MB")
        while self.held:
            observer.check()
            time.sleep(0.01)
        if self.error:
            raise self.error
        made = make_environment(f"totalsegmentator-1-{plan.build.id}", program=self.program)
        return Environments().use(made.name)


@pytest.fixture
def fresh(panel, monkeypatch):
    """The panel on a computer without an engine, with the section Setup unfolded."""
    for module in ("TotalSegmentatorLib.environment.engine", "TotalSegmentatorWidgets.SetupLogic"):
        monkeypatch.setattr(f"{module}.fixed_folder", lambda: None)
    monkeypatch.setattr(f"{INSTALLATION}.check", lambda *_, **__: (FINE,))
    panel.logic.enginePython = None
    panel.ui.setupCollapsibleButton.collapsed = False
    return panel


@pytest.fixture
def installer(fresh, quick, monkeypatch) -> Installer:
    """What installs in this test."""
    made = Installer(quick.python)
    monkeypatch.setattr(f"{INSTALLATION}.install", made)
    return made


class Person:
    """Reads the question, does something with it, and says yes or no."""

    def __init__(self, host, agrees: bool = True, does=lambda dialog: None) -> None:
        self.host = host
        self.agrees = agrees
        self.does = does
        self.text = ""
        self.couldAgree = False

    def __call__(self, dialog) -> int:
        self.read(dialog)
        self.does(dialog)
        self.read(dialog)
        return int(self.agrees)

    def read(self, dialog) -> None:
        label = slicer.util.findChild(dialog, "planLabel")
        assert self.host.wait(lambda: "Looking" not in label.text, 20)
        self.text = label.text
        self.couldAgree = slicer.util.findChild(dialog, "installButton").enabled


def entry(panel, *titles: str) -> QAction:
    """An entry of the menu *More*, or of a submenu of it."""
    menu = panel.ui.environmentMenuButton.menu()
    menu.aboutToShow()
    for title in titles:
        (action,) = [one for one in menu.actions() if QAction.text(one).startswith(title)]
        menu = QAction.menu(action)
    return action


def choose(panel, *titles: str) -> None:
    action = entry(panel, *titles)
    assert action.isEnabled()
    action.trigger()


def log(panel) -> str:
    return panel.ui.logTextEdit.toPlainText()


def test_apply_on_a_fresh_computer_asks_once_and_installs(fresh, volume, host, installer, quick):
    person = Person(host)
    host.answer(person)
    apply(fresh, host)
    assert error_text(fresh) == ""
    assert [dialog.kind for dialog in host.dialogs] == ["QDialog"]
    (plan,) = installer.plans
    for said in (
        plan.build.title,
        plan.build.reason,
        "TotalSegmentator 2.18.0",
        f"{plan.download_mb} MB",
        f"{plan.disk_gb} GB",
        str(plan.folder),
        "pypi.org",
        "nothing is in the way",
    ):
        assert said in person.text, said
    assert len(quick.requests) == 1 and len(segmentations()) == 1
    assert "Ready" in fresh.ui.environmentLabel.text
    assert not fresh.ui.setupButton.isVisibleTo(fresh.parent)


def test_weights_are_named_in_the_same_question(fresh, volume, host, installer):
    fresh.ui.weightsPathLineEdit.currentPath = "/nowhere"
    fresh.setParameter("task", "total")
    person = Person(host, agrees=False)
    host.answer(person)
    fresh.ui.applyButton.click()
    assert "The weights (1" in person.text


@pytest.mark.parametrize("agrees", [False, True])
def test_weights_of_a_further_task_are_asked_about(
    fresh, volume, host, installer, monkeypatch, tmp_path, agrees
):
    questions: list[str] = []
    asked: list[tuple[str, bool]] = []
    segment = fresh.logic.segment

    def confirm(text: str) -> bool:
        questions.append(text)
        return agrees

    def note(volume, **options):
        asked.append((options["task"], options["mayDownload"]))
        return segment(volume, **{**options, "task": "demo"})

    monkeypatch.setattr("TotalSegmentatorWidgets.RunControl.confirm", confirm)
    monkeypatch.setattr(fresh.logic, "segment", note)
    fresh.ui.weightsPathLineEdit.currentPath = str(tmp_path / "none")
    installer.held = True
    host.answer(Person(host))
    fresh.ui.applyButton.click()
    fresh.setParameter("task", "total")
    fresh.ui.queueButton.click()
    assert len(questions) == 1 and "MB" in questions[0] and len(host.dialogs) == 1
    assert ("weights" in error_text(fresh)) is not agrees
    installer.held = False
    assert finished(fresh, host)
    assert asked == [("demo", False), ("total", True)][: 1 + agrees]


def test_licence_is_missed_before_the_installation(fresh, volume, host, installer, monkeypatch):
    def check(*_):
        raise SetupError("licence.missing", "A licence number is needed.")

    monkeypatch.setattr("TotalSegmentatorLib.environment.check_licence", check)
    fresh.ui.applyButton.click()
    assert "A licence number is needed." in error_text(fresh)
    assert host.dialogs == [] and installer.plans == []


def test_no_changes_nothing(fresh, volume, host, installer):
    host.answer(Person(host, agrees=False))
    fresh.ui.applyButton.click()
    assert not fresh.busy and installer.plans == []
    assert error_text(fresh) == "" and fresh.ui.applyButton.enabled
    assert fresh.ui.environmentLabel.text == "Not installed."
    assert fresh.ui.setupButton.text == "Install..."


def test_what_is_wrong_is_said_before(fresh, host, installer, monkeypatch):
    for state, possible in ((WARNING, True), (ERROR, False)):
        problem = Finding("disk", state, "There is 1 GB free.", "Free some space.")
        findings = (FINE, problem)
        monkeypatch.setattr(f"{INSTALLATION}.check", lambda *_, found=findings, **__: found)
        person = Person(host, agrees=False)
        host.answer(person)
        fresh.ui.setupButton.click()
        assert "There is 1 GB free. Free some space." in person.text
        assert FINE.message not in person.text and "nothing is" not in person.text
        assert person.couldAgree is possible


def test_computer_for_which_there_is_no_pytorch(fresh, host, installer, monkeypatch):
    def plan(*_, **__):
        raise SetupError("environment.no_torch_build", "There is no PyTorch.", "Use another.")

    monkeypatch.setattr(f"{INSTALLATION}.plan", plan)
    person = Person(host, agrees=False)
    host.answer(person)
    fresh.ui.setupButton.click()
    assert "There is no PyTorch. Use another." in person.text and not person.couldAgree


def test_another_build_can_be_chosen(fresh, host, installer):
    def chooseLast(dialog) -> None:
        box = slicer.util.findChild(dialog, "buildComboBox")
        box.currentIndex = box.count - 1

    host.answer(Person(host, does=chooseLast))
    fresh.ui.setupButton.click()
    assert finished(fresh, host)
    (plan,) = installer.plans
    assert plan.build.id == "cpu" and plan.build.reason == "It was asked for."


def test_progress_is_shown_and_is_one_line_of_the_log(fresh, host, installer):
    installer.held = True
    host.answer(Person(host))
    fresh.ui.setupButton.click()
    assert host.wait(lambda: "190 of 190 MB" in fresh.ui.statusLabel.text, 10)
    assert fresh.ui.progressBar.value == fresh.ui.progressBar.maximum / 2
    assert fresh.ui.logTextEdit.toPlainText().count("Downloading PyTorch") == 1
    cancel(fresh, host)
    assert finished(fresh, host)
    assert fresh.ui.statusLabel.text == "Installing the engine: cancelled."
    assert error_text(fresh) == "" and Environments().all() == ()


def test_failed_installation_is_a_sentence_and_can_be_tried_again(fresh, host, installer):
    installer.error = SetupError("network.broken_off", "The download broke off.", "Try again.")
    host.answer(Person(host))
    fresh.ui.setupButton.click()
    assert finished(fresh, host)
    assert "The download broke off." in error_text(fresh)
    installer.error = None
    remedy_button(fresh, "retry").click()
    assert finished(fresh, host)
    assert error_text(fresh) == "" and "Ready" in fresh.ui.environmentLabel.text
    assert len(host.dialogs) == 1  # the answer was given


def offer(host, dialog) -> None:
    """Choose a bundle file instead of the network."""
    host.answer("/somewhere/offline.zip")
    slicer.util.findChild(dialog, "bundleButton").click()


@pytest.fixture
def bundle(fresh, installer, monkeypatch) -> Callable[..., None]:
    """Says what the bundle file holds; it is installed as from the network."""

    def hold(models: int = 0, build: str = "") -> None:
        names = [f"weights/Dataset{number}_x.zip" for number in range(models)]
        target = this_target()
        packages = {"lock": lock_version(), "system": target.system, "python": target.python}
        contents = Contents(
            "1",
            "2026-11-20",
            tuple(Member(name, 10**9, "") for name in names),
            **(packages if build else {}),
            torch_build=build,
        )

        def install(path, weights, folder, observer, variables, force=False) -> Installed:
            if not build:
                return Installed(None, ())
            plan = installation.plan(build, folder)
            return Installed(installer(plan, None, observer, variables, force), ())

        monkeypatch.setattr(f"{BUNDLE}.read", lambda path: contents)
        monkeypatch.setattr(f"{BUNDLE}.install", install)

    return hold


def test_bundle_is_looked_at_and_installed(fresh, volume, host, installer, bundle, quick):
    bundle(models=2, build="cpu")
    person = Person(host, does=functools.partial(offer, host))
    host.answer(person)
    apply(fresh, host)
    assert error_text(fresh) == "" and len(quick.requests) == 1
    for said in (
        "offline.zip, made on 2026-11-20, 2.0 GB",
        find_build("cpu").title,
        "from people you trust only",
        "It holds 2 models.",
    ):
        assert said in person.text, said
    assert "The engine is installed. 2 models are installed." in log(fresh)
    assert installer.forced == [False]


def test_engine_of_a_bundle_is_made_anew_if_asked_to(fresh, host, installer, bundle):
    bundle(build="cpu")
    host.answer(Person(host, does=functools.partial(offer, host)))
    choose(fresh, "Reinstall")
    assert finished(fresh, host)
    assert installer.forced == [True]


def test_bundle_of_models_leaves_the_run_to_a_second_click(fresh, volume, host, bundle, quick):
    bundle(models=2)
    person = Person(host, does=functools.partial(offer, host))
    host.answer(person)
    apply(fresh, host)
    assert "does not hold the engine" in person.text and "trust" not in person.text
    text = "2 models are installed. The engine is not installed yet."
    assert fresh.ui.statusLabel.text == text
    assert error_text(fresh) == "" and quick.requests == []


def test_bundle_downloads_nothing_afterwards(fresh, volume, host, bundle, quick, tmp_path):
    bundle(build="cpu")
    fresh.ui.weightsPathLineEdit.currentPath = str(tmp_path / "none")
    fresh.setParameter("task", "total")
    host.answer(Person(host, does=functools.partial(offer, host)))
    apply(fresh, host)
    assert "The weights of" in error_text(fresh) and len(host.dialogs) == 2  # and the file's
    assert remedy_button(fresh, "download_weights").isVisibleTo(fresh.parent)


def test_what_is_wrong_is_said_before_a_bundle_too(fresh, host, installer, bundle, monkeypatch):
    bundle(build="cpu")
    full = Finding("disk", ERROR, "There is 1 GB free.", "Free some space.")
    unpacked = Finding("bundle", ERROR, "It holds no packages.")
    monkeypatch.setattr(f"{INSTALLATION}.check", lambda *_, **__: (unpacked, full))
    person = Person(host, agrees=False, does=functools.partial(offer, host))
    host.answer(person)
    fresh.ui.setupButton.click()
    assert full.message in person.text and unpacked.message not in person.text
    assert not person.couldAgree


def test_bundle_with_a_pytorch_that_nobody_knows(fresh, host, bundle):
    bundle(build="cu999")
    person = Person(host, agrees=False, does=functools.partial(offer, host))
    host.answer(person)
    fresh.ui.setupButton.click()
    assert "no PyTorch build 'cu999'" in person.text and not person.couldAgree


def test_bundle_for_another_computer(fresh, host, installer, monkeypatch):
    contents = Contents("1", "2026-11-20", (), lock="older", system="win32-AMD64", python="3.12")
    monkeypatch.setattr(f"{BUNDLE}.read", lambda path: contents)
    person = Person(host, agrees=False, does=functools.partial(offer, host))
    host.answer(person)
    fresh.ui.setupButton.click()
    assert "needs other packages" in person.text and not person.couldAgree


def test_environments_are_switched_and_gone_back_to(fresh, host):
    for name, torch in (("one", "2.13.0"), ("two", "2.12.0")):
        make_environment(name, torch)
    Environments().use("one")
    fresh.onSetupChanged()
    assert "2.13.0" in fresh.ui.environmentLabel.text
    assert not entry(fresh, "Go back").isEnabled()
    choose(fresh, "Switch to", "TotalSegmentator 2.18.0, PyTorch 2.12.0")
    assert "2.12.0" in fresh.ui.environmentLabel.text
    choose(fresh, "Go back")
    assert "2.13.0" in fresh.ui.environmentLabel.text
    assert Environments().current().name == "one" and host.dialogs == []


def test_environment_is_removed_after_a_question(fresh, host, monkeypatch):
    make_environment("one")
    Environments().use("one")
    answers = [False, True]
    monkeypatch.setattr(
        "TotalSegmentatorWidgets.EnvironmentView.confirm", lambda text: answers.pop(0)
    )
    choose(fresh, "Remove", "TotalSegmentator 2.18.0")
    assert not fresh.busy and Environments().all()
    choose(fresh, "Remove", "TotalSegmentator 2.18.0")
    assert finished(fresh, host)
    assert Environments().all() == () and not entry(fresh, "Remove").isEnabled()
    assert fresh.ui.environmentLabel.text == "Not installed."


def test_broken_environment_can_be_repaired_but_not_chosen(fresh, host):
    broken = make_environment("one").folder
    (broken / "ready.json").unlink()
    fresh.onSetupChanged()
    assert fresh.ui.setupButton.text == "Repair..."
    assert not entry(fresh, "Switch to", "one").isEnabled()


def test_reinstalling_and_the_development_version_are_asked_about(fresh, host, installer):
    host.answer(Person(host))
    choose(fresh, "Reinstall")
    assert finished(fresh, host)
    person = Person(host)
    host.answer(person)
    choose(fresh, "Install the development")
    installer.program = None
    assert finished(fresh, host)
    assert installer.forced == [True, False]
    assert [plan.development for plan in installer.plans] == [False, True]
    assert "Nobody has tested this version" in person.text


def test_package_information_can_be_copied(fresh, host):
    make_environment("one")
    Environments().use("one")

    def copy(dialog) -> int:
        texts.append(slicer.util.findChild(dialog, "textField").plainText)
        slicer.util.findChild(dialog, "copyTextButton").click()
        return 1

    texts: list[str] = []
    host.answer(copy)
    choose(fresh, "Package information")
    assert host.wait(lambda: texts, 10)
    assert "torch 2.13.0" in texts[0] and slicer.app.clipboard().text() == texts[0]


def test_existing_python_is_tried_and_used(fresh, host, quick, monkeypatch):
    found = Hardware(2, 10**10, 10**10, (), "2.11.0")
    monkeypatch.setattr("TotalSegmentatorLib.environment.probe", lambda engine: found)
    host.answer(str(quick.python))
    choose(fresh, "Use an existing Python")
    assert finished(fresh, host)
    assert error_text(fresh) == ""
    assert fresh.logic.enginePython == str(quick.python)
    assert str(quick.python) in fresh.ui.environmentLabel.text
    assert slicer.app.settings().value(PYTHON_KEY) == str(quick.python)
    make_environment("one")
    choose(fresh, "Switch to", "TotalSegmentator")
    assert fresh.logic.enginePython is None and slicer.app.settings().value(PYTHON_KEY) == ""


def test_existing_python_is_used_until_another_engine_can_be(fresh, host, installer):
    fresh.logic.useEnginePython("/somewhere/python")
    with pytest.raises(SetupError):
        fresh.logic.goBack()
    installer.error = SetupError("network.broken_off", "The download broke off.")
    host.answer(Person(host))
    choose(fresh, "Reinstall")
    assert finished(fresh, host)
    assert fresh.logic.enginePython == slicer.app.settings().value(PYTHON_KEY) != ""
    installer.error = None
    remedy_button(fresh, "retry").click()
    assert finished(fresh, host)
    assert fresh.logic.enginePython is None and slicer.app.settings().value(PYTHON_KEY) == ""
    assert "PyTorch 2.13.0" in fresh.ui.environmentLabel.text


def test_existing_python_is_remembered(host, request):
    slicer.app.settings().setValue(PYTHON_KEY, "/somewhere/python")
    module = request.getfixturevalue("module")
    host.enter(module)
    assert module.widget.logic.enginePython == "/somewhere/python"


def test_existing_python_that_does_not_work_is_not_used(fresh, host, quick, monkeypatch):
    def probe(engine):
        raise SetupError("environment.broken", "The engine's PyTorch does not start.")

    monkeypatch.setattr("TotalSegmentatorLib.environment.probe", probe)
    host.answer(str(quick.python))
    choose(fresh, "Use an existing Python")
    assert finished(fresh, host)
    assert "does not start" in error_text(fresh) and fresh.logic.enginePython is None


def test_nobody_looks_while_the_section_is_folded(panel, volume, monkeypatch):
    looked = []
    monkeypatch.setattr(panel.logic, "engineText", lambda: looked.append(1) or "")
    panel.updateGui()
    panel.showEstimates()
    assert looked == []
    panel.ui.setupCollapsibleButton.collapsed = False
    assert looked


def test_section_makes_the_panel_no_wider(fresh, host):
    fresh.ui.setupCollapsibleButton.collapsed = True
    host.pump()
    folded = fresh.parent.minimumSizeHint().width()
    fresh.ui.setupCollapsibleButton.collapsed = False
    fresh.ui.weightsGroupBox.collapsed = False
    host.pump()
    assert fresh.ui.setupCollapsibleButton.minimumSizeHint().width() < 400
    assert fresh.parent.minimumSizeHint().width() == folded


def test_old_call_of_scripts_installs_and_waits(fresh, installer):
    lines: list[str] = []
    fresh.logic.logCallback = lines.append
    fresh.logic.setupPythonRequirements()
    assert len(installer.plans) == 1 and fresh.logic.isEngineReady()
    assert lines == ["Downloading PyTorch: 0 of 190 MB"]  # not each megabyte
    assert json.loads((Environments().root / "current.json").read_text())["current"]
