"""Where a group of pictures stands, and runs of pictures that are coded from there on trial."""

import math
from dataclasses import dataclass, field, replace

from lvc.container import Step
from lvc.encoder import run_choice
from lvc.encoder.picture import CodedPicture
from lvc.model.group import GroupState
from lvc.video import Frame


@dataclass
class Place:
    """From where a group can be gone on with: what its pictures have left, and their estimated bits."""

    state: GroupState
    estimated_bits: float = 0.0

    def copied(self) -> "Place":
        """One that stays as it is while the group goes on."""
        return replace(self, state=self.state.copy())


@dataclass
class Attempt:
    """A run of pictures that is coded in some order.

    Attributes:
        levels: of its pictures, those that are still to be coded.
        place: where it has led to.
        intra_bits: of the intra picture of its group.
        quality: as in the settings.
        coded, costs: so far, in coding order.
        most: if it will not cost less, as it goes, it is given up; only in display order.
    """

    run: list[Frame]
    levels: list[list[Step]]
    place: Place
    intra_bits: int
    quality: float
    coded: list[CodedPicture] = field(default_factory=list)
    costs: list[run_choice.Cost] = field(default_factory=list)
    most: float = math.inf

    @property
    def is_given_up(self) -> bool:
        """Whether more pictures are not worth it: two at least have to be coded."""
        if not math.isfinite(self.most):
            return False
        return any(
            self._cost(self.costs[:count]) > self.most + run_choice.DOUBT * (count < len(self.run))
            for count in range(2, len(self.costs) + 1)
        )

    @property
    def cost(self) -> float:
        """Of the whole run as far as is known, see :func:`lvc.encoder.run_choice.run_cost`; infinite where it was given
        up.
        """
        return math.inf if self.is_given_up else self._cost(self.costs_shown)

    def _cost(self, costs: list[run_choice.Cost]) -> float:
        return run_choice.run_cost(costs, len(self.run), self.intra_bits, self.quality)

    @property
    def has_between(self) -> bool:
        """Whether there are pictures between its anchors."""
        return any(picture.step.depth for picture in self.coded)

    @property
    def shown(self) -> list[CodedPicture]:
        """The pictures in display order."""
        return [self.coded[index] for index in self._order]

    @property
    def costs_shown(self) -> list[run_choice.Cost]:
        """The costs in display order."""
        return [self.costs[index] for index in self._order]

    @property
    def _order(self) -> list[int]:
        return sorted(range(len(self.coded)), key=lambda index: self.coded[index].step.position)
