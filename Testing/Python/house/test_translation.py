"""Everything that people read can be translated, by Slicer's rules.

Slicer collects the literals of ``_()`` and ``translate()`` from the sources, so each must stand
there as a whole, and values come in afterwards, by name.
"""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[3] / "TotalSegmentator"
SOURCES = [
    MODULE / "TotalSegmentator.py",
    *sorted((MODULE / "TotalSegmentatorWidgets").glob("*.py")),
]
UI_FILES = sorted((MODULE / "Resources" / "UI").glob("*.ui"))

TRANSLATORS = ("_", "translate")
# Shown as they are in every language.
NAMES = {"TotalSegmentator"}

# Qt's properties that hold what people read.
PROPERTIES = {
    "detailedText",
    "informativeText",
    "label",
    "noneDisplay",
    "placeholderText",
    "statusTip",
    "text",
    "title",
    "toolTip",
    "whatsThis",
    "windowTitle",
}
SETTERS = {f"set{name[0].upper()}{name[1:]}" for name in PROPERTIES}
# Other calls, and which of their arguments people read; None means each.
CALLS: dict[str, tuple[int, ...] | None] = {
    **dict.fromkeys(SETTERS),
    **dict.fromkeys(("setLabelText", "setHeaderLabel", "setHeaderLabels", "addItems")),
    **dict.fromkeys(("setHorizontalHeaderLabels", "setVerticalHeaderLabels")),
    **dict.fromkeys(("addTab", "setTabText", "setTabToolTip", "setItemText")),
    **dict.fromkeys(("addAction", "addMenu", "addButton", "addRow", "showMessage")),
    **dict.fromkeys(("QAction", "QCheckBox", "QGroupBox", "QLabel", "QMessageBox", "QPushButton")),
    **dict.fromkeys(("QMenu", "QRadioButton", "QTreeWidgetItem", "QListWidgetItem")),
    **dict.fromkeys(("QTableWidgetItem", "QStandardItem")),
    **dict.fromkeys(("information", "warning", "question", "about")),
    **dict.fromkeys(("getText", "getItem", "getInt", "getDouble")),
    **dict.fromkeys(("getOpenFileName", "getSaveFileName", "getExistingDirectory")),
    **dict.fromkeys(("infoDisplay", "warningDisplay", "errorDisplay", "delayDisplay")),
    **dict.fromkeys(("confirmOkCancelDisplay", "confirmYesNoDisplay", "showStatusMessage")),
    **dict.fromkeys(("confirmRetryCloseDisplay", "messageBox", "tryWithErrorDisplay")),
    "addItem": (0,),  # then its data
    "insertItem": (1,),
}
# Methods of other objects that have such a name too: logging.warning() is for the log.
NOT_FOR_PEOPLE = {"logging"}


def holds_letters(text: str) -> bool:
    return re.search(r"[^\W\d_]", text) is not None and text not in NAMES


def called(node: ast.Call) -> str:
    """Name of what is called, without the object it belongs to."""
    return getattr(node.func, "attr", None) or getattr(node.func, "id", "")


def translations(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in TRANSLATORS:
            yield node


def literals(node: ast.AST) -> Iterator[str]:
    """The texts that an expression's value is made of, without those that are translated."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield node.value
    elif isinstance(node, ast.Call):
        if called(node) in ("format", "join") and isinstance(node.func, ast.Attribute):
            for part in (node.func.value, *(node.args if called(node) == "join" else ())):
                yield from literals(part)
    else:
        parts = {
            ast.JoinedStr: ("values",),
            ast.BinOp: ("left", "right"),
            ast.BoolOp: ("values",),
            ast.IfExp: ("body", "orelse"),
            ast.List: ("elts",),
            ast.Tuple: ("elts",),
            ast.ListComp: ("elt",),
            ast.GeneratorExp: ("elt",),
        }
        for name in parts.get(type(node), ()):
            value = getattr(node, name)
            for part in value if isinstance(value, list) else [value]:
                yield from literals(part)


def shown(tree: ast.AST) -> Iterator[ast.expr]:
    """The expressions whose values people read."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            if any(getattr(target, "attr", None) in PROPERTIES for target in node.targets):
                yield node.value
        elif isinstance(node, ast.Call) and called(node) in CALLS:
            owner = getattr(node.func, "value", None)
            if getattr(owner, "id", "") in NOT_FOR_PEOPLE:
                continue
            places = CALLS[called(node)]
            yield from (a for i, a in enumerate(node.args) if places is None or i in places)
            yield from (k.value for k in node.keywords if k.arg in PROPERTIES)


def wrong_translations(tree: ast.AST) -> list[str]:
    """What is not one literal, or has placeholders without names."""
    wrong = []
    for node in translations(tree):
        if node.keywords or not all(isinstance(a, ast.Constant) for a in node.args):
            wrong.append(f"line {node.lineno}: not a plain text")
        elif re.search(r"\{(?!\w*[A-Za-z_]\w*\})", node.args[-1].value):
            wrong.append(f"line {node.lineno}: a placeholder without a name")
        elif re.search(r"%(\(\w+\))?[sdrfi]\b", node.args[-1].value):
            wrong.append(f"line {node.lineno}: a placeholder of the % operator")
    return wrong


def wrong_values(tree: ast.AST) -> list[str]:
    """Where what is put into a translated text does not fit its placeholders."""
    wrong = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or called(node) != "format":
            continue
        for text in translations(getattr(node.func, "value", ast.Constant(0))):
            names = set(re.findall(r"\{(\w+)\}", str(getattr(text.args[-1], "value", ""))))
            given = {keyword.arg for keyword in node.keywords}
            if node.args or (given != names and None not in given):
                wrong.append(f"line {node.lineno}: {sorted(names)} are wanted")
    return wrong


def untranslated(tree: ast.AST) -> list[str]:
    return [
        f"line {value.lineno}: {text!r}"
        for value in shown(tree)
        for text in literals(value)
        if holds_letters(text)
    ]


@pytest.fixture(params=SOURCES, ids=lambda path: path.name)
def tree(request) -> ast.AST:
    return ast.parse(request.param.read_text("utf-8"))


def test_translated_texts_are_plain_with_named_placeholders(tree):
    assert wrong_translations(tree) == []


def test_placeholders_get_their_values_by_name(tree):
    assert wrong_values(tree) == []


def test_what_people_read_is_translated(tree):
    assert untranslated(tree) == []


@pytest.mark.parametrize(
    "code",
    [
        '_(f"{n} structures")',
        '_("{n} structures".format(n=n))',
        '_("Found " + name)',
        "_(text)",
        '_("{} structures")',
        '_("{0} structures")',
        '_("%d structures")',
        'translate("context", f"{n}")',
    ],
)
def test_the_check_finds_what_cannot_be_translated(code):
    assert wrong_translations(ast.parse(code))


def test_the_check_lets_right_texts_pass():
    code = '_("{count} of {all_2}, 100 % done").format(count=1, all_2=2); _("Done " "now")'
    assert wrong_translations(ast.parse(code)) == wrong_values(ast.parse(code)) == []


@pytest.mark.parametrize("values", ["3", "number=3", "", "count=3, more=4"])
def test_the_check_finds_values_that_do_not_fit(values):
    assert wrong_values(ast.parse(f'_("{{count}} found").format({values})'))


@pytest.mark.parametrize(
    "code",
    [
        'label.text = "Done"',
        'label.text = _("Done") if done else "Stopped"',
        'label.text = f"{n} found"',
        'label.text = " ".join([_("Done"), "at last"])',
        'label.text = "{n} found".format(n=3)',
        'button.setToolTip("Start")',
        'tabs.addTab(page, "Setup")',
        'tree.setHeaderLabels([_("Name"), "Size"])',
        'box.addItem("Normal", "normal")',
        'qt.QMessageBox.warning(None, _("Title"), "Text")',
        'slicer.util.errorDisplay(_("Text"), windowTitle="Title")',
        'layout.addRow("Threads:", box)',
        'action = qt.QAction("Segment", parent)',
    ],
)
def test_the_check_finds_what_is_not_translated(code):
    assert untranslated(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        'label.text = ""',
        'label.text = "%: 3"',
        'label.text = names["normal"]',
        'label.text = _("{n} found").format(n="3 or more")',
        'box.addItem(_("Normal"), "normal")',
        'parent.title = "TotalSegmentator"',
        'logging.warning("for the log")',
        'label.text = read("name")',
    ],
)
def test_the_check_lets_the_rest_pass(code):
    assert untranslated(ast.parse(code)) == []


@pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.name)
def test_texts_of_the_form_are_translated(path):
    """A text of a .ui file is translated unless it says ``notr``, or is not a ``string``."""
    wrong = []
    for found in ElementTree.parse(path).getroot().iter("property"):
        (value,) = found
        text = "".join(value.itertext())
        is_translated = value.tag == "string" and value.get("notr") != "true"
        if found.get("name") in PROPERTIES and holds_letters(text) and not is_translated:
            wrong.append(text)
    assert UI_FILES
    assert wrong == []
