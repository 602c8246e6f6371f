"""What a picture is predicted from: motion and modes are searched, decided and written."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvc.container import Step
from lvc.encoder import motion_search
from lvc.encoder.interpolation_choice import choose_smooth
from lvc.encoder.matching import VECTOR_WEIGHT, misses_of, vector_weight
from lvc.encoder.mode_choice import choose_modes, share_of, target_beside
from lvc.encoder.motion_blocks import RateChooser, block_sizes
from lvc.encoder.settings import EFFORTS, EncoderSettings
from lvc.encoder.weighting_choice import likely_weighting
from lvc.exact import warp
from lvc.model.codec import FrameCodec
from lvc.model.group import GroupState
from lvc.model.levels import Levels
from lvc.model.modes import BOTH, FIRST, code_modes, used_in_batch
from lvc.model.motion import MotionField, MotionTables, code_field
from lvc.model.prediction import Memory, Picture
from lvc.model.skip import Kinds, kinds_of
from lvc.model.weighting import Weighting, code_weighting, weighted
from lvc.picture import padded_size
from lvc.rangecoder import RangeEncoder, Table
from lvc.video import VideoInfo

_KEPT_PLANES = 5
"""References whose interpolations are kept: all those of the pictures of one level."""
_KEPT_PLANES_SAMPLES = 1 << 21
"""Largest picture whose interpolations are kept: where they are not made as they are read, they take 64 bytes a sample.
"""


class Past(NamedTuple):
    """What a picture is predicted from.

    memory: the prediction.
    is_whole: which 8x8 blocks of it are taken from whole samples, [1, H/8, W/8]; None for an intra picture.
    levels: the quality map that is expected, likewise.
    kinds: how its blocks are predicted, see :mod:`lvc.model.skip`, likewise.
    """

    memory: Memory
    is_whole: Tensor | None = None
    levels: Levels | None = None
    kinds: Kinds | None = None


class _Look(NamedTuple):
    """What was found in a reference, weighted or not: a field [1, H/8, W/8, 2] with a vector for every 16x16 block."""

    weighting: Weighting | None
    memory: Memory
    planes: Tensor
    field: Tensor


class Predictor:
    """Predicts the pictures of a group; keeps nothing of them but interpolated references, which several share."""

    def __init__(self, codec: FrameCodec, info: VideoInfo, settings: EncoderSettings, device: torch.device) -> None:
        self._codec, self._info, self._settings, self._device = codec, info, settings, device
        self._planes: list[tuple[Tensor, Tensor]] = []

    def predict(
        self,
        coder: RangeEncoder,
        state: GroupState,
        step: Step,
        target: Picture,
        quality: Tensor,
        base: float,
        is_repeat: bool = False,
    ) -> Past:
        """Write modes and motion of a picture; gives what it is predicted from by them.

        Args:
            state: of its group; learns the motion.
            target: the source, [1, ...].
            quality: [1].
            base: the quality of the file, which says what a bit of a vector counts.
            is_repeat: all its references were coded from the same source: it is predicted from all of them, standing
                still. What a search finds is more like it by errors of coding alone (measured on a page of text at
                quality 95: a twentieth of the bits of motion, predicted pictures 15 % smaller, 0.1 dB less).
        """
        luma = target.y
        if step.first is None:
            return Past(self._codec.nothing(1, padded_size(self._info), self._device))
        references = [step.first] if step.second is None else [step.first, step.second]
        weight = vector_weight(base, step.depth > 0)
        looks: list[_Look] = []
        if is_repeat or "nomotion" in self._settings.ablate:
            looks = [self._still(state.memories[reference]) for reference in references]
        else:
            for reference in references:
                other = looks[0].field if looks else None
                looks.append(self._look(state, reference, step, target, quality, weight, other))
        every, two = state.tables_for(step), step.second is not None
        for look in looks:
            code_weighting(coder, every.weighting[two], look.weighting)
        tables = every.motion[two]
        guesses = [warp.sample(look.planes, look.field, warp.BLOCK) for look in looks]
        if is_repeat:
            chosen = torch.full_like(looks[0].field[:, None, ::2, ::2, 0], BOTH if two else FIRST)
        else:
            chosen = choose_modes(luma, guesses[0], guesses[1] if two else None, quality)
        modes = chosen[0, 0].cpu().numpy()
        code_modes(coder, tables.modes, len(looks), modes.shape[0], modes.shape[1], modes)
        motions: list[MotionField] = []
        fields: list[Tensor] = []
        for number, look in enumerate(looks):
            expected = state.motion.expected(step, motions[0] if number else None)
            # of the first reference the second one knows what has been coded by now, in place of what was searched
            wanted = target_beside(luma, guesses[1 - number] if two else None, chosen)
            motions.append(
                _code_motion(coder, tables, look, wanted, expected, quality, share_of(chosen, number), weight)
            )
            fields.append(self._tensor(motions[-1]))
            guesses[number] = warp.sample(look.planes, fields[-1], warp.BLOCK)
        state.motion.keep(step, motions)
        is_whole = torch.stack([(field & 3 == 0).all(-1) for field in fields]).all(0)
        seen = [look.memory.picture.y for look in looks]
        is_smooth = choose_smooth(luma, guesses, seen, fields, chosen, quality)
        coder.raw(is_smooth.long().cpu().numpy(), 1, 1)
        moved = [
            self._codec.moved(
                look.memory, field, used_in_batch(chosen, number), is_smooth, None if bool(is_smooth) else guess
            )
            for number, (look, field, guess) in enumerate(zip(looks, fields, guesses, strict=True))
        ]
        mixture = self._codec.mixed(moved[0], moved[1] if two else None, chosen)
        return Past(mixture, is_whole, state.expected_levels(step, motions, modes), kinds_of(modes, motions))

    def _look(
        self,
        state: GroupState,
        reference: int,
        step: Step,
        target: Picture,
        quality: Tensor,
        weight: float,
        other: Tensor | None = None,
    ) -> _Look:
        """Search a reference; ``other`` is what was found in the first one, [1, H/8, W/8, 2]."""
        memory, luma = state.memories[reference], target.y
        rows, cols = luma.shape[2] // warp.BLOCK, luma.shape[3] // warp.BLOCK
        first = None if other is None else MotionField(other[0].cpu().numpy(), np.ones((rows, cols), np.int64))
        expected = state.motion.expected(step, first)
        past = None if expected is None else self._tensor(expected)
        effort = EFFORTS[self._settings.preset].over(abs(step.position - reference))

        def look(weighting: Weighting | None) -> _Look:
            known = weighted(memory, weighting)
            planes = self._interpolated(known.picture.y)
            field = motion_search.search(luma, known.picture.y, planes, past, quality, effort, weight)
            return _Look(weighting, known, planes, field)

        likely = None if "noweighting" in self._settings.ablate else likely_weighting(target, memory.picture)
        if likely is None:
            return look(None)
        looks = [look(None), look(likely)]
        guesses = [warp.sample(each.planes, each.field, warp.BLOCK) for each in looks]
        missed = [float(misses_of(luma - guess, quality).sum(dtype=torch.float64)) for guess in guesses]
        table = state.tables_for(step).weighting[step.second is not None]
        more = _weighting_bits(table, likely) - _weighting_bits(table, None)
        return looks[missed[1] + VECTOR_WEIGHT * more < missed[0]]

    def _still(self, memory: Memory) -> _Look:
        """A reference in which nothing has moved."""
        luma = memory.picture.y
        field = luma.new_zeros(1, luma.shape[2] // warp.BLOCK, luma.shape[3] // warp.BLOCK, 2, dtype=torch.int64)
        return _Look(None, memory, self._interpolated(luma), field)

    def _tensor(self, motion: MotionField) -> Tensor:
        """Its vectors, [1, H/8, W/8, 2]."""
        return torch.from_numpy(motion.vectors)[None].to(self._device)

    def _interpolated(self, luma: Tensor) -> Tensor:
        """All quarter-sample positions of a reference; the last few are kept, since pictures between share them."""
        for known, planes in self._planes:
            if known is luma:
                return planes
        planes = warp.readable(luma)
        if luma.numel() <= _KEPT_PLANES_SAMPLES:
            self._planes = [*self._planes[1 - _KEPT_PLANES :], (luma, planes)]
        return planes


def _weighting_bits(table: Table, weighting: Weighting | None) -> float:
    """What it takes to say how a reference is weighted."""
    coder = RangeEncoder()
    code_weighting(coder, table, weighting)
    return coder.bits


def _code_motion(
    coder: RangeEncoder,
    tables: MotionTables,
    look: _Look,
    luma: Tensor,
    expected: MotionField | None,
    quality: Tensor,
    share: Tensor,
    weight: float,
) -> MotionField:
    """Decide on block sizes and write a field."""
    field, level = block_sizes(luma, look.planes, look.field, quality, share, weight)
    wanted = MotionField(field[0].cpu().numpy(), level[0].cpu().numpy())
    choose = RateChooser(luma, look.planes, quality, share, weight)
    used = share[0].cpu().numpy() > 0
    return code_field(coder, tables, used.shape[0], used.shape[1], expected, wanted, choose, used)
