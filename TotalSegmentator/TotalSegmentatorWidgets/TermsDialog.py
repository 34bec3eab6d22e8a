"""The question whether the terms of models are accepted."""

import html

import qt
import slicer.util
from slicer.i18n import tr as _

from TotalSegmentatorLib.catalog import Terms

_COLUMNS = 64


def acceptsTerms(terms: Terms) -> bool:
    """Show terms in a dialog, and wait for the answer."""
    dialog = qt.QDialog(slicer.util.mainWindow())
    dialog.windowTitle = _("Terms of use")
    label = qt.QLabel(_text(terms))
    label.name = "termsLabel"
    label.textFormat = qt.Qt.RichText
    label.wordWrap = True
    label.openExternalLinks = True
    label.setMinimumWidth(_COLUMNS * label.fontMetrics().averageCharWidth())
    acceptButton = qt.QPushButton(_("I accept"))
    acceptButton.name = "acceptTermsButton"
    acceptButton.connect("clicked()", dialog.accept)
    cancelButton = qt.QPushButton(_("Cancel"))
    cancelButton.default = True  # nobody shall accept by the key Return
    cancelButton.connect("clicked()", dialog.reject)
    buttons = qt.QDialogButtonBox()
    buttons.addButton(acceptButton, qt.QDialogButtonBox.AcceptRole)
    buttons.addButton(cancelButton, qt.QDialogButtonBox.RejectRole)
    layout = qt.QVBoxLayout(dialog)
    layout.addWidget(label)
    layout.addWidget(buttons)
    accepted = dialog.exec_() == qt.QDialog.Accepted
    dialog.deleteLater()
    return accepted


def _text(terms: Terms) -> str:
    url = html.escape(terms.url)
    paragraphs = (
        f"<b>{html.escape(terms.title)}</b>",
        html.escape(terms.sentence, False),
        _("The terms in full: {link}").format(link=f'<a href="{url}">{url}</a>'),
        html.escape(_("You are asked only once on this computer."), False),
    )
    return "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
