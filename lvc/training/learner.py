"""What a training changes: the codec, and tables that only training has."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from lvc.container import Step
from lvc.model.codec import FrameCodec
from lvc.model.config import config_named
from lvc.model.prediction import Picture
from lvc.training.loss import Carried, CoderMaker, FrameCost, run_sequence
from lvc.training.rate import HyperTables, TrainingCoder


class Learner(nn.Module):
    """Codec and training-only tables as one module, so that gradients of all are exchanged."""

    def __init__(self, size: str) -> None:
        super().__init__()
        self.codec = FrameCodec(config_named(size))
        self.tables = HyperTables()
        self.make_coder: CoderMaker = TrainingCoder

    def forward(
        self, pictures: Mapping[int, Picture], qualities: Sequence[Tensor], steps: Sequence[Step], carried: Carried
    ) -> list[FrameCost]:
        """See :func:`lvc.training.loss.run_sequence`."""
        return run_sequence(
            self.codec, self.tables, pictures, qualities, make_coder=self.make_coder, steps=steps, carried=carried
        )
