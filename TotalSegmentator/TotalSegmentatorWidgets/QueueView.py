"""What runs and what waits."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import qt
from slicer.i18n import tr as _


@dataclass(frozen=True)
class QueueEntry:
    """One run of the queue.

    :param key: what the entry stands for; tells entries apart.
    :param title: for people, e.g. the volume's name and the task.
    :param state: ``running``, ``waiting``, ``done``, ``failed`` or ``cancelled``.
    :param message: what else there is to say, e.g. why it failed.
    """

    key: Hashable
    title: str
    state: str
    message: str = ""


class QueueView:
    """The queue as a list; hidden as long as there is only one run.

    :param ui: the panel's widgets.
    :param onRemove: called with the key of a waiting entry that a person takes out.
    :param onCancelAll: called when a person wants all to stop.
    """

    def __init__(
        self, ui, onRemove: Callable[[Hashable], None], onCancelAll: Callable[[], None]
    ) -> None:
        self.ui = ui
        self._onRemove = onRemove
        self._entries: tuple[QueueEntry, ...] = ()
        ui.removeFromQueueButton.connect("clicked()", self._remove)
        ui.cancelAllButton.connect("clicked()", onCancelAll)
        ui.queueList.connect("currentRowChanged(int)", self._updateButtons)
        self._removeAction = qt.QAction(_("Remove"), ui.queueList)
        self._removeAction.shortcut = qt.QKeySequence("Del")
        self._removeAction.shortcutContext = qt.Qt.WidgetShortcut
        self._removeAction.connect("triggered()", self._remove)
        ui.queueList.addAction(self._removeAction)
        ui.queueList.contextMenuPolicy = qt.Qt.ActionsContextMenu
        self.show(())

    def show(self, entries: Sequence[QueueEntry]) -> None:
        """Show these entries; the selected one stays selected while it is among them."""
        selected = self._selected()
        self._entries = tuple(entries)
        queueList = self.ui.queueList
        queueList.clear()
        for row, entry in enumerate(self._entries):
            queueList.addItem(_text(entry))
            queueList.item(row).setToolTip(entry.message)
            if selected is not None and entry.key == selected.key:
                queueList.currentRow = row
        waiting = any(entry.state == "waiting" for entry in self._entries)
        self.ui.queueFrame.visible = waiting or len(self._entries) > 1
        self._updateButtons()

    def _selected(self) -> QueueEntry | None:
        row = self.ui.queueList.currentRow
        return self._entries[row] if 0 <= row < len(self._entries) else None

    def _remove(self) -> None:
        selected = self._selected()
        if selected is not None and selected.state == "waiting":
            self._onRemove(selected.key)

    def _updateButtons(self) -> None:
        selected = self._selected()
        removable = selected is not None and selected.state == "waiting"
        self.ui.removeFromQueueButton.enabled = self._removeAction.enabled = removable
        goesOn = any(entry.state in ("running", "waiting") for entry in self._entries)
        self.ui.cancelAllButton.enabled = goesOn


def _text(entry: QueueEntry) -> str:
    """One line for people."""
    words = {
        "running": _("running"),
        "waiting": _("waiting"),
        "done": _("done"),
        "failed": _("failed"),
        "cancelled": _("cancelled"),
    }
    text = _("{title}: {state}").format(title=entry.title, state=words[entry.state])
    if entry.message:
        text = _("{entry} ({message})").format(entry=text, message=entry.message)
    return text
