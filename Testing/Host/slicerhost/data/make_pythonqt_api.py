"""Distil `pythonqt_api.json` from a recording of the real application.

The recording is one JSON object, class name -> {module, members, properties, signals, slots,
members_also}, made inside 3D Slicer 5.13.0 (Qt 5.15) by a script that listed ``dir()`` and the
``metaObject()`` of an instance of each class. `application` in it names the application recorded.

Only facts (names and signatures) are kept, for the classes that the host offers or that the
module and its .ui file may use. Private slots are dropped.

Usage: python make_pythonqt_api.py RECORDING.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

KEPT = """
    QAction QActionGroup QApplication QButtonGroup QByteArray QCheckBox QClipboard QColor QComboBox
    QCompleter QCursor QDesktopServices QDialog QDialogButtonBox QDir QDoubleSpinBox QFileDialog
    QFileInfo QFont QFormLayout QFrame QGridLayout QGroupBox QHBoxLayout QHeaderView QIcon
    QInputDialog QKeySequence QLabel QLineEdit QListWidget QListWidgetItem QMenu QMessageBox
    QObject QPixmap QPlainTextEdit QProcess QProcessEnvironment QProgressBar QProgressDialog
    QPushButton QRadioButton QScrollArea QSettings QShortcut QSize QSizePolicy QSlider QSpinBox
    QSplitter QStackedWidget QTabWidget QTextBrowser QTextEdit QTimer QToolButton QTreeWidget
    QTreeWidgetItem QUrl QVBoxLayout QWidget
    ctkCollapsibleButton ctkCollapsibleGroupBox ctkDirectoryButton ctkMenuButton ctkMessageBox
    ctkPathLineEdit ctkSearchBox ctkSliderWidget
    qMRMLCheckableNodeComboBox qMRMLNodeComboBox qMRMLSegmentationShow3DButton qMRMLTableView
    qMRMLWidget
"""


# Classes that the recorder could not make objects of: what the documentation of Qt 5.15 lists.
NOT_CREATED = {
    "QActionGroup": {
        "properties": [
            ["enabled", "bool", True],
            ["exclusionPolicy", "ExclusionPolicy", True],
            ["visible", "bool", True],
        ],
        "signals": ["hovered(QAction*)", "triggered(QAction*)"],
    },
    "QClipboard": {
        "signals": [
            "changed(QClipboard::Mode)",
            "dataChanged()",
            "findBufferChanged()",
            "selectionChanged()",
        ]
    },
    "QShortcut": {
        "properties": [
            ["autoRepeat", "bool", True],
            ["context", "Qt::ShortcutContext", True],
            ["enabled", "bool", True],
            ["key", "QKeySequence", True],
            ["whatsThis", "QString", True],
        ],
        "signals": ["activated()", "activatedAmbiguously()"],
    },
}


def distil(recording: dict) -> dict:
    """Return the part of a recording that the host needs, as {application, classes}."""
    classes = {}
    for name in KEPT.split():
        entry = {**recording[name], **NOT_CREATED.get(name, {})}
        classes[name] = {
            "module": entry["module"],
            "base": entry.get("members_also"),
            "members": " ".join(entry["members"]),
            "properties": {
                n: [t, bool(writable)] for n, t, writable in entry.get("properties", [])
            },
            "signals": entry.get("signals", []),
            "slots": [s for s in entry.get("slots", []) if not s.startswith("_")],
        }
    return {"application": recording["application"], "classes": classes}


def main() -> None:
    """Read the recording named on the command line and write the data file beside this script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", type=Path, help="JSON recorded in the application")
    recording = json.loads(parser.parse_args().recording.read_text(encoding="utf-8"))
    lines = json.dumps(distil(recording), sort_keys=True, separators=(",", ":"))
    lines = lines.replace('},"', '},\n"')
    Path(__file__).with_name("pythonqt_api.json").write_text(lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
