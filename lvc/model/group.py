"""What one group of pictures carries from picture to picture, on both sides."""

from dataclasses import dataclass

from lvc.model.codec import Memory
from lvc.model.entropy import GroupTables
from lvc.model.motion import MotionField
from lvc.model.skip import Flags
from lvc.model.weights import Statistics


def fresh_tables(statistics: Statistics) -> GroupTables:
    """The model's own counts, before this group has shown anything."""
    return GroupTables(
        statistics.motion_tables(),
        statistics.skip_tables(),
        [quantiser.tables() for quantiser in statistics.quantisers],
        [statistics.hyper_tables(kind) for kind in range(2)],
    )


@dataclass
class GroupState:
    """Adaptive tables, and what the picture before left: its reference, motion field and skip map (None at first)."""

    tables: GroupTables
    memory: Memory | None = None
    motion: MotionField | None = None
    skip: Flags | None = None
