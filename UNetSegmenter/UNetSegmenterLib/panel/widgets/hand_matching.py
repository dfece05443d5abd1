"""Below the table: what overlap proposes to match, what a structure was matched with, and the choice of another counterpart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...engine.evaluation.comparison import Comparison, StructureComparison
from ...engine.labels.matching import pair_by_hand
from ...engine.labels.matching_by_overlap import Proposal
from ...scene.nodes.node_attributes import matched_by_hand, set_matched_by_hand
from ..jobs.failure import Slot

NOTHING = "(nothing)"
SUBJECT = "The matching"
MOST_PROPOSALS = 4  # more are counted


class HandMatching:
    """Asks about proposed pairs and follows the row that was clicked; `on_change` compares the two nodes again."""

    def __init__(self, ui: Any, slot: Slot, on_change: Callable[[], None]) -> None:
        """Follow the widgets below the table; `slot` makes slots whose exceptions are shown."""
        self._ui, self._on_change = ui, on_change
        self._prediction_node: Any = None
        self._reference_node: Any = None
        self._rows: tuple[StructureComparison, ...] = ()
        self._proposals: tuple[Proposal, ...] = ()
        self._row: StructureComparison | None = None
        ui.matchComboBox.connect("activated(int)", slot(self._on_choice, SUBJECT))
        ui.matchResetButton.connect("clicked(bool)", slot(self._on_reset, SUBJECT))
        ui.proposalButton.connect("clicked(bool)", slot(self._on_accept, SUBJECT))
        self._show()

    def set_comparison(self, prediction_node: Any, reference_node: Any, comparison: Comparison | None) -> None:
        """The table of these two nodes; no row of it is chosen yet."""
        self._prediction_node, self._reference_node = prediction_node, reference_node
        self._rows, self._proposals = (comparison.rows, comparison.proposals) if comparison else ((), ())
        self._row = None
        self._show()

    def choose(self, row: StructureComparison) -> None:
        """Offer a counterpart for this row."""
        self._row = row
        self._show()

    @property
    def by_hand(self) -> dict[str, str | None]:
        """What was matched by hand: names of the prediction to names of the ground truth."""
        return matched_by_hand(self._prediction_node, self._reference_node) if self._rows else {}

    def _on_choice(self, number: int) -> None:
        row, other = self._row, self._ui.matchComboBox.itemData(number) or None
        if row is None:
            return
        ours = row.prediction.name if row.prediction is not None else None
        wish = (ours, other) if row.reference is None else (other or ours, row.reference.name if other else None)
        if other != _counterpart(row):
            set_matched_by_hand(self._prediction_node, self._reference_node, pair_by_hand(self.by_hand, *wish))
            self._on_change()

    def _on_accept(self, checked: bool = False) -> None:
        by_hand = self.by_hand
        for proposal in self._proposals:
            by_hand = pair_by_hand(by_hand, proposal.prediction, proposal.reference)
        set_matched_by_hand(self._prediction_node, self._reference_node, by_hand)
        self._on_change()

    def _on_reset(self, checked: bool = False) -> None:
        set_matched_by_hand(self._prediction_node, self._reference_node, {})
        self._on_change()

    def _show(self) -> None:
        ui, by_hand = self._ui, self.by_hand
        lonely = any(row.status == "unmatched" for row in self._rows)
        ui.matchFrame.setVisible(bool(self._row or by_hand or lonely or self._proposals))
        ui.proposalFrame.setVisible(bool(self._proposals))
        ui.proposalLabel.setText(_question(self._proposals))
        ui.proposalButton.setText(
            "Match these two" if len(self._proposals) == 1 else f"Match all {len(self._proposals)}"
        )
        ui.matchLabel.setText(self._text(by_hand))
        ui.matchComboBox.setVisible(self._row is not None)
        ui.matchResetButton.setVisible(bool(by_hand))
        if self._row is not None:
            self._fill(self._row)

    def _fill(self, chosen: StructureComparison) -> None:
        box, side = self._ui.matchComboBox, "prediction" if chosen.reference is not None else "reference"
        structures = [getattr(row, side) for row in self._rows if getattr(row, side) is not None]
        box.clear()
        box.addItem(NOTHING, "")
        for structure in sorted(structures, key=lambda one: one.index):
            box.addItem(structure.name, structure.name)
        box.setCurrentIndex(max(0, box.findData(_counterpart(chosen) or "")))

    def _text(self, by_hand: dict[str, str | None]) -> str:
        row = self._row
        if row is not None and row.reference is not None:
            how = f" (matched by {row.matched.removeprefix('by ')})" if row.matched else ""
            return f"Counterpart of “{row.reference.name}” in the prediction{how}:"
        if row is not None and row.prediction is not None:
            return f"Counterpart of “{row.prediction.name}” in the ground truth:"
        if by_hand:
            pairs = (f"{ours} is {theirs or 'nothing'}" for ours, theirs in by_hand.items())
            return f"Matched by hand: {', '.join(pairs)}."
        return "Click on an unmatched structure to choose its counterpart."


def _counterpart(row: StructureComparison) -> str | None:
    """Name of the structure of the prediction that a structure of the ground truth is compared with now."""
    return row.prediction.name if row.reference is not None and row.prediction is not None else None


def _question(proposals: Sequence[Proposal]) -> str:
    """What is asked about structures that lie on each other without a name that says so."""
    if not proposals:
        return ""
    if len(proposals) == 1:
        return proposals[0].text
    lines = [f"“{one.prediction}” and “{one.reference}”: Dice {one.dice:.2f}" for one in proposals[:MOST_PROPOSALS]]
    if (more := len(proposals) - MOST_PROPOSALS) > 0:
        lines.append(f"and {more} more")
    return "\n".join(["No name says so, but these overlap. Compare each as one structure?", *lines])
