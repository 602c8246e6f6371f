"""What one group of pictures carries from picture to picture, on both sides."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, Self, TypeVar

from lvc.container import Step
from lvc.model.entropy import GroupTables
from lvc.model.flat import GREY, Chroma
from lvc.model.levels import Levels, moved_levels
from lvc.model.modes import Modes
from lvc.model.motion import MotionField
from lvc.model.prediction import Memory
from lvc.model.skip import Flags
from lvc.model.weights import Statistics
from lvc.rangecoder import Seen, learn


def fresh_tables(statistics: Statistics) -> GroupTables:
    """The model's own counts, before this group has shown anything."""
    return GroupTables(
        [statistics.motion_tables(kind) for kind in range(len(statistics.motion))],
        statistics.skip_tables(),
        statistics.size_tables(),
        [quantiser.tables() for quantiser in statistics.quantisers],
        [statistics.hyper_tables(kind) for kind in range(2)],
    )


class Motion(Protocol):
    """A motion field, however it is held."""

    def scaled(self, part: int, whole: int) -> Self:
        """See :meth:`lvc.model.motion.MotionField.scaled`."""
        ...


M = TypeVar("M", bound=Motion)


@dataclass
class MotionMemory(Generic[M]):
    """Motion between coded pictures, by which that of the next ones is expected.

    Attributes:
        fields: of the second picture into the first, by their positions in display order.
    """

    fields: dict[tuple[int, int], M] = field(default_factory=dict)

    def expected(self, step: Step, other: M | None = None) -> M | None:
        """The motion of a picture into a reference, as far as what is known tells.

        Args:
            step: for an anchor motion is taken to go on as between the two anchors before; for a picture between two
                the motion into the first is a part of that from the second into the first.
            other: for the second reference: the motion into the first, which is taken to go on.

        Returns:
            None where nothing is known.
        """
        position, first, second = step.position, step.first, step.second
        if first is None:
            return None
        if second is None:
            before = min((before for before, last in list(self.fields) if last == first), default=None)
            return None if before is None else self.fields[before, first].scaled(position - first, first - before)
        if other is not None:
            return other.scaled(position - second, position - first)
        known = self.fields.get((first, second))
        return None if known is None else known.scaled(position - first, second - first)

    def keep(self, step: Step, fields: list[M]) -> None:
        """After the motion of a picture is known: into no reference, one or two."""
        if step.first is not None:
            self.fields[step.first, step.position] = fields[0]
        if step.second is not None:
            self.fields[step.position, step.second] = fields[1].scaled(-1, 1)

    def forget(self, anchor: Step) -> None:
        """After all before an anchor has been coded, and the anchor: what is known is only how it has come about."""
        self.fields = {pair: field for pair, field in self.fields.items() if pair == (anchor.first, anchor.position)}


@dataclass
class GroupState:
    """Adaptive tables, and what coded pictures left. Pictures of one window may be coded at the same time.

    Attributes:
        tables: have learned from everything so far.
        memories: of the last two anchors and of the references between them, by position in display order.
        skips: skip maps of those of these pictures that have references.
        levels: quality maps of those of these pictures that have one.
        chroma_drop: see :mod:`lvc.model.chroma`.
        chroma: that of its pictures whose chroma is flat, see :mod:`lvc.model.flat`.
    """

    tables: GroupTables
    memories: dict[int, Memory] = field(default_factory=dict)
    motion: MotionMemory[MotionField] = field(default_factory=MotionMemory)
    skips: dict[int, Flags] = field(default_factory=dict)
    levels: dict[int, Levels] = field(default_factory=dict)
    chroma_drop: int = 0
    chroma: Chroma = GREY
    _held: GroupTables | None = None

    def tables_for(self, step: Step) -> GroupTables:
        """Those that a picture is coded with. Anchors do not know the pictures between the two anchors before, beside
        which they may be coded.
        """
        return self.tables if self._held is None or step.depth else self._held

    def hold(self) -> None:
        """Keep the tables for the next anchor, before those between learn from pictures that it does not know."""
        if self._held is None:
            self._held = copy.deepcopy(self.tables)

    def learn(self, level: Sequence[Step], seen: Sequence[Seen]) -> None:
        """After pictures of one level: what was taken from the tables for them is known to those that follow."""
        if level[0].depth:
            self.hold()
        learn(self.tables.all(), seen)
        if not level[0].depth:
            self._held = None

    def copy(self) -> "GroupState":
        """For an attempt: goes its own way from here on."""
        return GroupState(
            copy.deepcopy(self.tables),
            dict(self.memories),
            MotionMemory(dict(self.motion.fields)),
            dict(self.skips),
            dict(self.levels),
            self.chroma_drop,
            self.chroma,
            copy.deepcopy(self._held),
        )

    def past_skip(self, step: Step) -> Flags | None:
        """The skip map by which that of a picture is expected; None where there is none."""
        return None if step.latest is None else self.skips.get(step.latest)

    def expected_levels(self, step: Step, fields: Sequence[MotionField], modes: Modes) -> Levels | None:
        """The quality map that a picture is expected to have; None for an intra picture."""
        if step.first is None:
            return None
        references = [step.first] if step.second is None else [step.first, step.second]
        return moved_levels([self.levels.get(at) for at in references], [each.vectors for each in fields], modes)

    def forget(self, anchor: Step) -> None:
        """After an anchor, and all before it: keep only it and the one before."""
        kept = (anchor.first, anchor.position)
        self.memories = {at: memory for at, memory in self.memories.items() if at in kept}
        self.skips = {at: skip for at, skip in self.skips.items() if at in kept}
        self.levels = {at: levels for at, levels in self.levels.items() if at in kept}
        self.motion.forget(anchor)
