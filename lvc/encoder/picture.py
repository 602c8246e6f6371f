"""Encoding of one picture of a group."""

from typing import NamedTuple

import numpy as np
import torch

from lvc.container import BETWEEN, INTRA, PREDICTED, FrameRecord, Step
from lvc.encoder.around import Around
from lvc.encoder.block_choice import Blocks, choose_blocks, undone_blocks, wide_blocks, with_wide
from lvc.encoder.contrast import RATE_WEIGHTS, exactly, kept_distance, nearly, wanted_levels
from lvc.encoder.loop_filter_choice import FilterObserver, choose_filter
from lvc.encoder.predictor import Past, Predictor
from lvc.encoder.settings import EncoderSettings
from lvc.encoder.temporal_filter import filtered
from lvc.exact import loop_filter
from lvc.model import Model
from lvc.model.chroma import code_chroma_drop
from lvc.model.codebook import Quantiser
from lvc.model.entropy import GroupTables, Observer, SymbolCoder
from lvc.model.filters import code_filter
from lvc.model.flat import GREY, Flat, code_flat, flat_parts, painted
from lvc.model.group import GroupState
from lvc.model.levels import LevelTables, code_levels
from lvc.model.prediction import Memory, Picture, Prediction
from lvc.model.quality import RATE_WEIGHT
from lvc.model.sizes import code_sizes
from lvc.model.skip import code_skip
from lvc.model.transform import BANDS, SIZES
from lvc.picture import checksum, from_frame, to_planes
from lvc.rangecoder import RangeEncoder, Seen
from lvc.video import Frame, Plane, VideoInfo

MOST_WIDENINGS = 4
"""How often a picture is coded again, at most, because blocks should have been wide."""


class CodedPicture(NamedTuple):
    """One coded picture.

    planes: as a decoder will see them.
    aim: what they were to be like, where that was not the source but its average with others.
    step: its place in the coding order.
    bits: what its symbols cost by their probabilities; motion_bits, hyper_bits: see :class:`lvc.container.Gop`.
    seen: its symbols.
    ends: see :class:`Task`.
    """

    record: FrameRecord
    planes: list[Plane]
    step: Step
    bits: float
    motion_bits: float
    hyper_bits: float
    seen: Seen
    aim: list[Plane] | None = None
    ends: bool = False


class Task(NamedTuple):
    """A picture that is to be coded.

    base: the quality that its own one, 1...100, was made from: that of its run.
    state: of its group.
    around: frames that it is averaged with.
    is_repeat: all its references, if any, show the very same.
    ends: whether its group is known to end with it.
    """

    frame: Frame
    step: Step
    quality: int
    base: float
    state: GroupState
    around: Around = Around()
    is_repeat: bool = False
    ends: bool = False

    @property
    def tables(self) -> GroupTables:
        """Those to write with."""
        return self.state.tables_for(self.step)

    @property
    def kind(self) -> int:
        """Intra, predicted or between."""
        return INTRA if self.step.first is None else BETWEEN if self.step.depth else PREDICTED


class PictureEncoder:
    """Codes pictures; may be called by several threads at once, observers then, too. Keeps nothing of pictures but
    references that were interpolated.

    Attributes:
        quantisers: of intra pictures, of all others.
    """

    def __init__(
        self,
        model: Model,
        info: VideoInfo,
        settings: EncoderSettings,
        device: torch.device,
        observer: Observer | None = None,
        filter_observer: FilterObserver | None = None,
    ) -> None:
        self._observer, self._filter_observer = observer, filter_observer
        self._info, self._settings, self._device = info, settings, device
        self._codec = model.codec
        self.quantisers = model.statistics.quantisers
        if "scalar" in settings.ablate:
            self.quantisers = [Quantiser.lattice(scalar=True)] * 2
        self._filters = torch.from_numpy(model.statistics.filters).float().to(device)
        self._rate_weights = RATE_WEIGHTS if settings.tune == "ssim" else (RATE_WEIGHT,) * len(BANDS)
        self._predictor = Predictor(model.codec, info, settings, device)

    def code(self, task: Task) -> CodedPicture:
        """Code a picture, and keep what it leaves in the state of its group; tables do not learn from it yet."""
        state, step = task.state, task.step
        target = from_frame(task.frame, self._info, self._device)
        qualities = torch.tensor([float(task.quality)], device=self._device)
        coder = RangeEncoder()
        intra = step.first is None
        flat = _write_flat(coder, task, target)
        flat_bits = coder.bits
        aim = None
        if (task.around.before or task.around.after) and (flat is None or flat.luma is None):
            target = filtered(target, self._pictures_around(task.around), qualities)
            aim = to_planes(target, self._info)[0]
        past = self._predictor.predict(coder, state, step, target, qualities, task.base, task.is_repeat)
        if flat is not None and flat.luma is not None:
            return self._coded(coder, task, painted(past.memory, [flat]))
        motion_bits = coder.bits - flat_bits
        if intra:
            code_chroma_drop(coder, state.chroma_drop)
        drop = torch.tensor([state.chroma_drop], device=self._device)
        levels = self._levels(task, target, past)
        prediction = Prediction(past.memory, qualities, intra, levels=levels, chroma_drop=drop)
        if flat is not None:
            prediction.is_flat = torch.tensor([True], device=self._device)
            target = Picture(target.y, prediction.picture.uv)  # there is nothing to do
        coder, symbols, memory = self._residual(coder, task, prediction, past, target)
        memory = painted(self._filtered(coder, task, memory, prediction, target), [flat])
        parts = motion_bits, symbols.hyper_end[0] - motion_bits
        return self._coded(coder, task, memory, parts, prediction.levels is not None)._replace(aim=aim)

    def _pictures_around(self, around: Around) -> list[tuple[int, Picture]]:
        """Each with how far it is away."""
        return [
            (distance, from_frame(frame, self._info, self._device))
            for side in (around.before, around.after)
            for distance, frame in enumerate(side, 1)
        ]

    def _coded(
        self,
        coder: RangeEncoder,
        task: Task,
        memory: Memory,
        parts: tuple[float, float] = (0.0, 0.0),
        has_levels: bool = False,
    ) -> CodedPicture:
        """A picture all of which has been written; keeps what it leaves.

        Args:
            parts: its bits of motion, and those of the hyper-latent.
        """
        if task.step.is_reference:
            task.state.memories[task.step.position] = memory
        planes = to_planes(memory.picture, self._info)[0]
        payload = coder.finish()
        record = FrameRecord(
            pts=task.frame.pts,
            duration=task.frame.duration,
            kind=task.kind,
            quality=task.quality,
            check=checksum(planes, self._info),
            payload=payload,
            has_levels=has_levels,
        )
        return CodedPicture(record, planes, task.step, coder.bits, *parts, coder.seen, ends=task.ends)

    def _filtered(
        self, coder: RangeEncoder, task: Task, memory: Memory, prediction: Prediction, target: Picture
    ) -> Memory:
        """What a picture leaves, its luma filtered as is best; writes how."""
        luma = memory.picture.y
        seen = loop_filter.look(luma, prediction.skip)
        if self._filter_observer is not None:
            self._filter_observer(seen, target.y - luma, -1 if prediction.intra else task.step.depth)
        table = task.tables.filters[task.kind]
        which = 0
        if "nofilter" not in self._settings.ablate:
            which, luma = choose_filter(seen, luma, target.y, self._filters, table, prediction.quality)
        code_filter(coder, table, which)
        return memory.with_luma(luma)

    def _levels(self, task: Task, target: Picture, past: Past) -> torch.Tensor | None:
        """The quality map that is to be coded, [1, 1, H/16, W/16], None for none; skipped blocks are not yet known."""
        if self._settings.tune != "ssim":
            return None
        wanted = wanted_levels(target.y)
        nowhere = np.zeros(wanted.shape, dtype=bool)
        choose = nearly(wanted, kept_distance(task.base))
        levels = code_levels(RangeEncoder(), LevelTables(), nowhere, past.levels, choose)
        return torch.from_numpy(levels)[None, None].to(self._device)

    def _residual(
        self, coder: RangeEncoder, task: Task, prediction: Prediction, past: Past, target: Picture
    ) -> tuple[RangeEncoder, SymbolCoder, Memory]:
        """Write all that a prediction misses, again where blocks should have been wide or skipped.

        Wide blocks change what is expected of others, which may then have to be wide, too.

        Returns:
            The coder that has written it, what wrote the latents, and what the picture leaves, not yet filtered.
        """
        ablate, levels = self._settings.ablate, prediction.levels
        blocks = self._blocks(task.step, prediction, past.is_whole, target)
        before = coder.copy()
        symbols, latents = self._latents(coder, task, prediction, past, blocks)
        for _ in range(0 if "nosizes" in ablate else MOST_WIDENINGS):
            wide = wide_blocks(symbols.lost[0], blocks.sizes, coder.bits)
            if wide is None:
                break
            coder = before.copy()
            blocks = with_wide(self._codec, prediction, target, blocks, wide)
            symbols, latents = self._latents(coder, task, prediction, past, blocks)
        memory = self._codec.reconstruct(prediction, latents)
        if past.is_whole is not None and "noskip" not in ablate:
            bits = coder.bits - before.bits
            undone = undone_blocks(prediction, past.is_whole, target, memory.picture, blocks, bits)
            if undone is not None:
                coder = before.copy()
                # blocks that are skipped have no levels of their own, which the context has been told
                prediction.levels, prediction.c8, prediction.c16 = levels, None, None
                symbols, latents = self._latents(coder, task, prediction, past, undone)
                memory = self._codec.reconstruct(prediction, latents)
        return coder, symbols, memory

    def _blocks(self, step: Step, prediction: Prediction, is_whole: torch.Tensor | None, target: Picture) -> Blocks:
        """Choose the maps of blocks."""
        ablate = self._settings.ablate
        if is_whole is not None and "noskip" in ablate:
            is_whole = None
        sizes = 1 if "nosizes" in ablate else SIZES
        return choose_blocks(self._codec, prediction, is_whole, target, sizes, between=step.depth > 0)

    def _latents(
        self, coder: RangeEncoder, task: Task, prediction: Prediction, past: Past, blocks: Blocks
    ) -> tuple[SymbolCoder, torch.Tensor]:
        """Write the maps of blocks and the latents; gives what wrote these, and them, [1, 384, H/16, W/16]."""
        state, tables, position = task.state, task.tables, task.step.position
        skip = blocks.skip[0, 0].cpu().numpy() == 1
        if past.kinds is not None:
            state.skips[position] = code_skip(coder, tables.skip, past.kinds, state.past_skip(task.step), skip)
        code_sizes(coder, tables.sizes, prediction.intra, skip, blocks.sizes[0, 0].long().cpu().numpy())
        prediction.skip, prediction.sizes = blocks.skip, blocks.sizes
        if prediction.levels is not None:
            choose = exactly(prediction.levels)
            state.levels[position] = code_levels(coder, tables.levels, skip, past.levels, choose)
            prediction.levels = torch.from_numpy(state.levels[position])[None, None].to(self._device)
        weights = self._rate_weights
        symbols = SymbolCoder(self.quantisers, [coder], [tables], prediction.intra, self._observer, weights)
        return symbols, self._codec.code(prediction, blocks.missed, symbols)


def _write_flat(coder: RangeEncoder, task: Task, target: Picture) -> Flat | None:
    """Write what is flat."""
    flat, state, intra = flat_parts(target), task.state, task.step.first is None
    if intra:
        state.chroma = GREY if flat is None else flat.chroma
    elif flat is not None:
        flat = Flat(None, flat.chroma) if flat.chroma == state.chroma else None
    return code_flat(coder, task.tables.flat[not intra], None if intra else state.chroma, flat)
