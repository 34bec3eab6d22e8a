"""Make the pictures of README and extension catalogue from a real run of the demo.

    .venv/bin/python Tools/make_pictures.py      (after `make demo`)

Writes Screenshot01.jpg (the panel, as the host shows it, beside the result), Docs/panel.png and
Docs/panel-results.png (before and after a run), Docs/engines.png (the list of tasks with those of
all engines), Docs/setup.png, Docs/demo.png, Docs/names.png (the sample CT's reference labels with
our names and colours) and the icon. A screenshot of Slicer itself replaces the first once there is
one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "TotalSegmentator"), str(ROOT / "Testing" / "Host")]

import numpy as np  # noqa: E402
import slicer  # noqa: E402
from slicerhost import host as slicerhost  # noqa: E402  (sets Qt's platform, so before PySide6)

from PySide6 import QtCore, QtGui  # noqa: E402  # isort: skip
from TotalSegmentatorLib import catalog  # noqa: E402
from TotalSegmentatorLib.environment import interpreter  # noqa: E402
from TotalSegmentatorLib.environment.sample_data import sample_ct  # noqa: E402
from TotalSegmentatorLib.images import (  # noqa: E402
    Layer,
    SegmentRecord,
    read_image,
    read_labelmap,
    write_segmentation,
)
from TotalSegmentatorLib.report import measure, segment_records  # noqa: E402
from TotalSegmentatorLib.scene import image_to_volume  # noqa: E402

MODULE = ROOT / "TotalSegmentator" / "TotalSegmentator.py"
DEMO = ROOT / "demo" / "segmentation.png"
RUN_TIMEOUT_S = 300
# The surfaces in the picture of the demo (1600 x 900), without the letters around them.
ICON_PART = QtCore.QRect(82, 80, 720, 740)
ICON_PIXELS = 128
PANEL_PIXELS = 520
SCREENSHOT_PIXELS = 1600


def main() -> None:
    """Make all pictures."""
    if not DEMO.is_file():
        raise SystemExit("Run `make demo` first.")
    before, engines, after, results, setup = panel_pictures()
    result = QtGui.QImage(str(DEMO))
    save(scaled(beside(after, result), SCREENSHOT_PIXELS), ROOT / "Screenshot01.jpg", 90)
    save(with_few_colors(before), ROOT / "Docs" / "panel.png", 0)
    save(with_few_colors(engines), ROOT / "Docs" / "engines.png", 0)
    save(with_few_colors(results), ROOT / "Docs" / "panel-results.png", 0)
    save(with_few_colors(setup), ROOT / "Docs" / "setup.png", 0)
    save(scaled(result, 1200), ROOT / "Docs" / "demo.png")
    save(names_and_colors(), ROOT / "Docs" / "names.png")
    icon = scaled(result.copy(ICON_PART), ICON_PIXELS)
    save(icon, ROOT / "TotalSegmentator.png")
    save(icon, MODULE.parent / "Resources" / "Icons" / "TotalSegmentator.png")


def panel_pictures() -> tuple[QtGui.QImage, ...]:
    """The panel with a volume, with all engines, after a run, of that the results only, and the
    setup."""
    host = slicerhost.start()
    module = host.loadModule(MODULE)
    host.enter(module)
    panel = module.widget
    panel.logic.enginePython = str(interpreter(ROOT / ".venv-engine"))
    image, _ = read_image(sample_ct(ROOT / ".cache" / "sample").ct)
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Abdomen CT")
    image_to_volume(image, volume)
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    if not host.wait(lambda: panel.ui.normalEstimateLabel.text, RUN_TIMEOUT_S):
        raise SystemExit("There is no estimate.")
    before = panel_picture(host, module.panel)
    engines = engines_picture(host, module)
    panel.setParameter("task", "demo")
    panel.ui.applyButton.click()
    if not host.wait(lambda: not panel.busy, RUN_TIMEOUT_S):
        raise SystemExit("The run did not end.")
    after = panel_picture(host, module.panel)
    for name in ("inputs", "speed", "outputs"):
        getattr(panel.ui, f"{name}CollapsibleButton").collapsed = True
    results = panel_picture(host, module.panel)
    setup = setup_picture(host, module)
    host.unloadModule(module)
    host.stop()
    return before, engines, after, results, setup


def engines_picture(host: slicerhost.Host, module: slicerhost.LoadedModule) -> QtGui.QImage:
    """The list of tasks with the groups of other engines unfolded."""
    panel, tree = module.widget, module.widget.ui.taskTree
    panel.setParameter("task", "wholebody_ct")
    families = {task.family for task in catalog.tasks() if task.family}
    groups = [tree.topLevelItem(number) for number in range(tree.topLevelItemCount)]
    for group in groups:
        group.setExpanded(group.text(0) in families)
    last = next(group for group in reversed(groups) if group.text(0) in families)

    def told() -> bool:  # the estimates are this task's, which has no such speed
        return bool(last.child(0).text(2)) and not panel.ui.fastestEstimateLabel.text

    if not host.wait(told, RUN_TIMEOUT_S):
        raise SystemExit("There are no times.")
    return panel_picture(host, module.panel)


def setup_picture(host: slicerhost.Host, module: slicerhost.LoadedModule) -> QtGui.QImage:
    """The section Setup after a check of this computer, without weights and licence number."""
    panel, ui = module.widget, module.widget.ui
    panel.logic.enginePython = None  # its path is nobody's business
    for part in ("inputs", "speed", "outputs", "results"):
        getattr(ui, f"{part}CollapsibleButton").collapsed = True
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TOTALSEG_HOME_DIR"] = folder
        ui.setupCollapsibleButton.collapsed = ui.weightsGroupBox.collapsed = False
        ui.doctorButton.click()
        if not host.wait(lambda: ui.doctorButton.enabled, RUN_TIMEOUT_S):
            raise SystemExit("The check of this computer did not end.")
        return panel_picture(host, module.panel)


def panel_picture(host: slicerhost.Host, panel: object) -> QtGui.QImage:
    """The panel as it is."""
    with tempfile.TemporaryDirectory() as folder:
        return QtGui.QImage(str(host.screenshot(panel, Path(folder) / "panel.png", PANEL_PIXELS)))


def names_and_colors() -> QtGui.QImage:
    """The official labels of the sample CT, drawn in our colours beside a list of our names."""
    sample = sample_ct(ROOT / ".cache" / "sample")
    labels, image = read_labelmap(sample.reference), read_image(sample.ct)[0]
    records = segment_records(measure(labels, image, catalog.task("total").labels))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_segmentation([Layer(labels, records)], folder / "reference.seg.nrrd", {})
        command = [sys.executable, "-m", "TotalSegmentatorLib.scene.rendering", sample.ct]
        arguments = [folder / "reference.seg.nrrd", folder / "picture.png"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "TotalSegmentator")}
        parts = [str(part) for part in [*command, *arguments]]
        subprocess.run(parts, env=environment, check=True)
        drawn = scaled(QtGui.QImage(str(folder / "picture.png")), 1100)
    return beside(drawn, name_list(records, drawn.height()))


def name_list(records: Sequence[SegmentRecord], height: int) -> QtGui.QImage:
    """A colour and a name for each segment, in two columns."""
    rows = -(-len(records) // 2)
    line, width = height // (rows + 1), 250
    picture = QtGui.QImage(2 * width, height, QtGui.QImage.Format.Format_RGB32)
    picture.fill(QtGui.QColor(20, 24, 30))
    painter = QtGui.QPainter(picture)
    font = painter.font()
    font.setPixelSize(max(line - 6, 8))
    painter.setFont(font)
    painter.setPen(QtGui.QColor(220, 227, 235))
    for number, record in enumerate(records):
        left, top = number // rows * width + 12, number % rows * line + line // 2
        painter.fillRect(left, top + 3, line - 6, line - 6, QtGui.QColor(*record.color))
        painter.drawText(left + line + 2, top + line - 5, record.name)
    painter.end()
    return picture


def beside(left: QtGui.QImage, right: QtGui.QImage) -> QtGui.QImage:
    """Both pictures at the height of the left one."""
    right = right.scaledToHeight(left.height(), QtCore.Qt.TransformationMode.SmoothTransformation)
    size = QtCore.QSize(left.width() + right.width(), left.height())
    both = QtGui.QImage(size, QtGui.QImage.Format.Format_RGB32)
    painter = QtGui.QPainter(both)
    painter.drawImage(0, 0, left)
    painter.drawImage(left.width(), 0, right)
    painter.end()
    return both


def scaled(image: QtGui.QImage, width: int) -> QtGui.QImage:
    """The picture at another width."""
    return image.scaledToWidth(width, QtCore.Qt.TransformationMode.SmoothTransformation)


def with_few_colors(image: QtGui.QImage) -> QtGui.QImage:
    """The picture in the 256 colours that it has most of, which makes a small file."""
    image = image.convertToFormat(QtGui.QImage.Format.Format_RGB32)
    colors, counts = np.unique(np.frombuffer(image.constBits(), np.uint32), return_counts=True)
    commonest = colors[np.argsort(-counts)][:256].tolist()
    plain = QtCore.Qt.ImageConversionFlag.AvoidDither
    return image.convertToFormat(QtGui.QImage.Format.Format_Indexed8, commonest, plain)


def save(image: QtGui.QImage, path: Path, quality: int = -1) -> None:
    """Write the picture and say so.

    :param quality: 0 to 100; 0 is a small file, also of a PNG, which loses nothing.
    """
    if not image.save(str(path), quality=quality):
        raise SystemExit(f"{path.name} could not be written.")
    print(path.relative_to(ROOT), f"{path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
