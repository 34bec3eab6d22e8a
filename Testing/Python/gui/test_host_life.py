"""The life of the application in the host: quitting, reloading, stalls, no window, themes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import small_module

if TYPE_CHECKING:
    from slicerhost.host import Host
    from slicerhost.scripted_modules import LoadedModule

HOST = Path(__file__).resolve().parents[2] / "Host"
MODULE = Path(__file__).resolve().parents[3] / "TotalSegmentator" / "TotalSegmentator.py"


@pytest.fixture
def small(host: Host, tmp_path: Path) -> Iterator[LoadedModule]:
    """A small module, loaded and entered."""
    loaded = host.loadModule(small_module.write(tmp_path))
    host.enter(loaded)
    yield loaded
    host.unloadModule(loaded)


def test_quitting_cleans_up_once_and_stops_all_events(host: Host, small: LoadedModule) -> None:
    import qt
    import slicer

    seen: list[str] = []
    slicer.app.connect("aboutToQuit()", lambda: seen.append("aboutToQuit"))
    qt.QTimer.singleShot(0, lambda: seen.append("a late event"))
    host.quit()
    assert seen == ["aboutToQuit"]
    assert small.python.CALLS[-1] == "cleanup"
    host.pump()
    assert not host.wait(lambda: len(seen) > 1, timeout=0.05)
    assert not host.run_until(lambda: len(seen) > 1, timeout=0.05)
    host.unloadModule(small)
    assert small.python.CALLS.count("cleanup") == 1
    host.reset()
    host.pump()
    assert seen == ["aboutToQuit"]


def test_reload_button(host: Host, small: LoadedModule) -> None:
    before = small.widget
    source = Path(small.module.path)
    source.write_text(source.read_text(encoding="utf-8") + "\nCHANGED = True\n", encoding="utf-8")
    reloaded = host.reload(small)
    assert reloaded.python.CHANGED
    assert reloaded.python is not small.python
    assert reloaded.widget is not before
    assert small.python.CALLS[-1] == "cleanup"
    assert reloaded.python.CALLS == ["setup", "enter"]
    host.leave()
    assert reloaded.python.CALLS[-1] == "exit"
    host.unloadModule(reloaded)
    assert reloaded.python.CALLS[-1] == "cleanup"
    assert host.slotErrors == []


def test_hook_of_another_program_is_replaced_by_a_reset(host: Host) -> None:
    sys.excepthook = print  # as typer does when a command runs in the same process
    host.reset()
    sys.excepthook(ValueError, ValueError("seen"), None)
    assert [error.message for error in host.slotErrors] == ["seen"]
    host.slotErrors.clear()


def test_what_goes_on_is_found_and_ended(host: Host) -> None:
    import qt
    import slicer

    assert host.leftovers() == []
    timer = qt.QTimer()
    timer.start(100)
    shots: list[str] = []
    qt.QTimer.singleShot(20, lambda: shots.append("shot"))
    process = qt.QProcess()
    process.start(sys.executable, ["-c", "import time; time.sleep(60)"])
    scene = slicer.mrmlScene
    tag = scene.AddObserver(scene.EndCloseEvent, lambda caller, event: shots.append("closed"))
    assert process.waitForStarted(10_000)
    found = host.leftovers()
    assert [line.split(" of ")[0].split()[0] for line in sorted(found)] == [
        "observer",
        "process",
        "timer",
        "timer",
    ]
    host.reset()
    assert host.leftovers() == []
    assert not timer.active
    assert process.state() == qt.QProcess.NotRunning
    assert scene.GetCommand(tag) is None
    time.sleep(0.03)
    host.pump()
    assert shots == []


def test_a_panel_leaves_nothing(host: Host, small: LoadedModule) -> None:
    assert host.leftovers() != []  # its selector and its own observers follow the scene
    host.unloadModule(small)
    assert host.leftovers() == []


def test_the_longest_gap_is_that_of_the_slowest_slot(host: Host) -> None:
    import qt

    idle = host.longestGap(0.1)
    done: list[float] = []

    def work() -> None:
        time.sleep(0.12)
        done.append(time.monotonic())

    qt.QTimer.singleShot(20, work)
    # The loop goes on for a while, without gaps, after the slow slot.
    assert host.longestGap(lambda: done and time.monotonic() > done[0] + 0.03, timeout=10) >= 120
    assert idle > 0
    with pytest.raises(TimeoutError):
        host.longestGap(lambda: False, timeout=0.02)


def test_the_loop_runs_until_something_holds(host: Host) -> None:
    import qt
    from slicerhost.pythonqt.running import RUNNING

    seen: list[int] = []
    qt.QTimer.singleShot(5, lambda: seen.append(1))
    assert host.run_until(lambda: seen, timeout=5)
    assert not RUNNING.shots
    assert not host.run_until(lambda: False, timeout=0.02)
    with pytest.raises(ZeroDivisionError):
        host.run_until(lambda: 1 / 0)


def test_themes(host: Host, small: LoadedModule, tmp_path: Path) -> None:
    import qt
    import slicer

    def lightness() -> int:
        return slicer.app.palette().color(qt.QPalette.Window).lightness()

    assert lightness() > 128
    light = host.screenshot(small.panel, tmp_path / "light.png", width=500)
    host.setTheme("dark")
    assert lightness() < 128
    dark = host.screenshot(small.panel, tmp_path / "dark.png", width=500)
    pictures = [qt.QPixmap(str(path)).toImage() for path in (light, dark)]
    assert [picture.width() for picture in pictures] == [500, 500]
    corners = [qt.QColor(picture.pixel(2, 2)).lightness() for picture in pictures]
    assert corners[0] > 128 > corners[1]
    assert max(path.stat().st_size for path in (light, dark)) < 30_000
    with pytest.raises(KeyError):
        host.setTheme("pink")
    host.reset()
    assert lightness() > 128


def test_screenshots_have_the_full_height(host: Host, tmp_path: Path) -> None:
    import qt

    panel = qt.QWidget()
    box = qt.QVBoxLayout()
    panel.setLayout(box)
    label = qt.QLabel("many words " * 60)
    label.wordWrap = True
    box.addWidget(label)
    heights = [
        qt.QPixmap(str(host.screenshot(panel, tmp_path / f"{width}.png", width=width))).height()
        for width in (800, 300)
    ]
    assert heights[1] > heights[0] * 1.8


CODE = """
import sys
for folder in {folders!r}:
    sys.path.insert(0, folder)
from slicerhost import host
started = host.start(mainWindow=False)
import slicer
assert slicer.util.mainWindow() is None
assert slicer.app.commandOptions().noMainWindow
for path in {paths!r}:
    loaded = started.loadModule(path)
    logic = getattr(loaded.python, loaded.name + "Logic")()
    assert loaded.module._widget is None  # no panel was made
    print(type(logic).__name__, getattr(loaded.python, "CALLS", ""))
    started.unloadModule(loaded)
print("slot errors:", started.slotErrors, "left over:", started.leftovers())
started.stop()
"""


@pytest.mark.slow
def test_without_a_main_window(tmp_path: Path) -> None:
    paths = [str(small_module.write(tmp_path)), str(MODULE)]
    code = CODE.format(folders=[str(HOST), str(MODULE.parent)], paths=paths)
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "SmallModuleLogic ['startupCompleted']" in ended.stdout
    assert "TotalSegmentatorLogic" in ended.stdout
    assert "slot errors: [] left over: []" in ended.stdout
