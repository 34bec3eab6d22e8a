"""A tree of groups and their rows, of which a search shows some."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import qt

_ROW_ROLE = qt.Qt.UserRole
_GROUP_ROLE = qt.Qt.UserRole + 1
_INDENTATION = 12  # pixels: panels are narrow


class GroupedTree:
    """Rows in groups in a QTreeWidget. Whoever asks about them names them by id.

    No method makes the tree emit its signals: those tell of what people do.

    :param tree: the QTreeWidget; what is in it is removed.
    :param headers: titles of the columns.
    :param nothingText: what the tree shows if no row is left.
    :param widths: characters of the first columns, or of all; the last one grows with the tree.
    """

    def __init__(
        self, tree, headers: Sequence[str], nothingText: str, widths: Sequence[int] = (36,)
    ) -> None:
        self._tree = tree
        self._groups: dict[str, qt.QTreeWidgetItem] = {}
        self._rows: dict[str, qt.QTreeWidgetItem] = {}
        self._members: dict[str, list[str]] = {}
        self._shown: set[str] = set()
        # The groups that were unfolded before a search; None: there is no search.
        self._unfolded: set[str] | None = None
        tree.clear()
        tree.setColumnCount(len(headers))
        tree.setHeaderLabels(list(headers))
        tree.indentation = _INDENTATION
        for column, characters in enumerate(widths):
            tree.setColumnWidth(column, characters * tree.fontMetrics().averageCharWidth())
        self._nothing = qt.QTreeWidgetItem(tree)
        self._nothing.setText(0, nothingText)
        self._nothing.setDisabled(True)
        self._nothing.setHidden(True)

    @property
    def shown(self) -> set[str]:
        """Ids of the rows that are not hidden; they may lie in a folded group."""
        return set(self._shown)

    def add(self, id: str, title: str, rows: Iterable[tuple[str, str]]) -> None:
        """Add a group.

        :param rows: ids and titles; an id stands in one group only.
        """
        with self._quiet():
            group = qt.QTreeWidgetItem(self._tree)
            group.setText(0, title)
            group.setData(0, _GROUP_ROLE, id)
            group.setFirstColumnSpanned(True)
            self._groups[id] = group
            self._members[id] = []
            for rowId, rowTitle in rows:
                row = qt.QTreeWidgetItem(group)
                row.setText(0, rowTitle)
                row.setData(0, _ROW_ROLE, rowId)
                self._rows[rowId] = row
                self._members[id].append(rowId)
                self._shown.add(rowId)

    def __contains__(self, id: str) -> bool:
        """Tell whether there is a row of an id."""
        return id in self._rows

    def groups(self) -> tuple[str, ...]:
        """Ids of the groups, from top to bottom."""
        return tuple(self._groups)

    def members(self, group: str) -> tuple[str, ...]:
        """Ids of the rows of a group, hidden ones too."""
        return tuple(self._members[group])

    def firstOf(self, ids: Iterable[str]) -> str:
        """The uppermost of some rows; empty if there are none."""
        wanted = set(ids)
        return next((id for id in self._rows if id in wanted), "")

    def rowOf(self, item) -> str:
        """The id of the row that an item of the tree is; empty if it is a group."""
        return item.data(0, _ROW_ROLE) or ""

    def groupOf(self, item) -> str:
        """The id of the group that an item of the tree is; empty if it is a row."""
        return item.data(0, _GROUP_ROLE) or ""

    def setText(self, id: str, column: int, text: str, toolTip: str) -> None:
        """Set what a cell of a row shows."""
        with self._quiet():
            self._rows[id].setText(column, text)
            self._rows[id].setToolTip(column, toolTip)

    def setToolTip(self, id: str, toolTip: str) -> None:
        """Set what the title of a row tells on hovering."""
        with self._quiet():
            self._rows[id].setToolTip(0, toolTip)

    def setCheckState(self, id: str, state) -> None:
        """Set the check box of a row."""
        self._setCheckState(self._rows[id], state)

    def setGroupCheckState(self, id: str, state) -> None:
        """Set the check box of a group; those of its rows stay as they are."""
        self._setCheckState(self._groups[id], state)

    def show(self, ids: Iterable[str], found: bool, searching: bool) -> None:
        """Show some rows, and the groups that they lie in; hide the others.

        :param ids: ids of rows.
        :param found: whether there is something that people looked for; if not, the tree says so.
        :param searching: whether to unfold all groups. When this ends, they are folded as before.
        """
        with self._quiet():
            wanted = set(ids)
            for id in wanted ^ self._shown:
                self._rows[id].setHidden(id not in wanted)
            self._shown = wanted
            for id, group in self._groups.items():
                group.setHidden(wanted.isdisjoint(self._members[id]))
            self._nothing.setHidden(found)
            self._unfold(searching)

    def selected(self) -> str:
        """The id of the selected row; empty if no row is selected."""
        items = self._tree.selectedItems()
        return self.rowOf(items[0]) if items else ""

    def mark(self, id: str) -> None:
        """Select a row and leave the keyboard's place where it is; an unknown id: select none."""
        with self._quiet():
            self._tree.clearSelection()
            if id in self._rows:
                self._rows[id].setSelected(True)

    def goTo(self, id: str) -> None:
        """Select a row, go to it, unfold its group, and scroll so that it is seen."""
        with self._quiet():
            row = self._rows[id]
            group = row.parent()
            group.setExpanded(True)
            if self._unfolded is not None:
                self._unfolded.add(self.groupOf(group))
            self._tree.setCurrentItem(row)
            self._tree.scrollToItem(row)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        blocked = self._tree.blockSignals(True)
        try:
            yield
        finally:
            self._tree.blockSignals(blocked)

    def _setCheckState(self, item, state) -> None:
        with self._quiet():
            item.setCheckState(0, state)

    def _unfold(self, searching: bool) -> None:
        if searching and self._unfolded is None:
            self._unfolded = {id for id, group in self._groups.items() if group.isExpanded()}
        if searching:
            for group in self._groups.values():
                group.setExpanded(True)
        elif self._unfolded is not None:
            for id, group in self._groups.items():
                group.setExpanded(id in self._unfolded)
            self._unfolded = None
