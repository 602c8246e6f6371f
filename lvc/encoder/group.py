"""Encoding of one group of pictures."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from lvc.container import BETWEEN, INTRA, PREDICTED, FrameRecord, Gop, Step, coding_order, levels
from lvc.encoder import run_choice
from lvc.encoder.block_choice import Blocks, choose_blocks, wide_blocks, with_wide
from lvc.encoder.chroma_choice import choose_chroma_drop
from lvc.encoder.contrast import RATE_WEIGHTS, exactly, kept_distance, nearly, wanted_levels
from lvc.encoder.loop_filter_choice import FilterObserver, choose_filter
from lvc.encoder.predictor import Past, Predictor
from lvc.encoder.settings import RUN, TRY_EVERY, EncoderSettings, quality_bonus
from lvc.encoder.still import stillness
from lvc.exact import loop_filter
from lvc.exact.threads import together
from lvc.model import Model
from lvc.model.chroma import code_chroma_drop
from lvc.model.codebook import Quantiser
from lvc.model.entropy import GroupTables, Observer, SymbolCoder
from lvc.model.filters import code_filter
from lvc.model.flat import GREY, Flat, code_flat, flat_parts, painted
from lvc.model.group import GroupState, fresh_tables
from lvc.model.levels import LevelTables, code_levels
from lvc.model.prediction import Memory, Picture, Prediction
from lvc.model.quality import RATE_WEIGHT, nominal_step
from lvc.model.sizes import code_sizes
from lvc.model.skip import code_skip
from lvc.model.transform import BANDS, SIZES
from lvc.picture import checksum, from_frame, to_planes
from lvc.rangecoder import RangeEncoder, Seen
from lvc.video import Frame, Plane, VideoInfo

_GOLDEN = (5**0.5 - 1) / 2
MOST_WIDENINGS = 4
"""How often a picture is coded again, at most, because blocks should have been wide."""


class CodedPicture(NamedTuple):
    """One coded picture.

    planes: as a decoder will see them.
    step: its place in the coding order.
    bits: what its symbols cost by their probabilities; motion_bits, hyper_bits: see :class:`lvc.container.Gop`.
    seen: its symbols.
    """

    record: FrameRecord
    planes: list[Plane]
    step: Step
    bits: float
    motion_bits: float
    hyper_bits: float
    seen: Seen


class _Place(NamedTuple):
    """From where a group can be gone on with: what its pictures have left, and their estimated bits."""

    state: GroupState
    estimated_bits: float

    def copied(self) -> "_Place":
        """One that stays as it is while the group goes on."""
        return self._replace(state=self.state.copy())


class _Attempt(NamedTuple):
    """A run of pictures, or the beginning of one, coded in some order.

    coded, costs: in display order.
    cost: of the whole run as far as is known, see :func:`lvc.encoder.run_choice.run_cost`; infinite where it was given
        up.
    end: where it has led to.
    """

    coded: list[CodedPicture]
    costs: list[run_choice.Cost]
    cost: float
    end: _Place

    @property
    def has_between(self) -> bool:
        """Whether there are pictures between its anchors."""
        return any(picture.step.depth for picture in self.coded)


def _total(attempt: _Attempt) -> float:
    return attempt.cost


def _kind(step: Step) -> int:
    return INTRA if step.first is None else BETWEEN if step.depth else PREDICTED


def _error(source: Sequence[Plane], decoded: Sequence[Plane], bit_depth: int) -> float:
    """Summed squared error in 8-bit grey levels, chroma samples weighted 4 to 6 (four times as many, in luma's)."""
    y, u, v = (float(np.square(a.astype(np.float32) - b).sum()) for a, b in zip(source, decoded, strict=True))
    return (6 * y + 16 * (u + v)) / 8 / (1 << 2 * (bit_depth - 8))


class GroupEncoder:
    """Codes the pictures of a group in runs from anchor to anchor; the first one is intra.

    Call :meth:`encode` and :meth:`finish` within :func:`lvc.exact.arithmetic.exact_arithmetic`.

    Attributes:
        quality: of the next run, as in the settings; rate control changes it.
        records: the coded pictures so far, in display order.
        estimated_bits: what their symbols cost by their probabilities.
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
        self._model, self._info, self._settings, self._device = model, info, settings, device
        self._codec = model.codec
        self._quantisers = model.statistics.quantisers
        self._filters = torch.from_numpy(model.statistics.filters).float().to(device)
        self._state = GroupState(fresh_tables(model.statistics))
        if "scalar" in settings.ablate:
            self._quantisers = [Quantiser.lattice(scalar=True)] * 2
            self._state.tables.latents = [quantiser.tables() for quantiser in self._quantisers]
        self._rate_weights = RATE_WEIGHTS if settings.tune == "ssim" else (RATE_WEIGHT,) * len(BANDS)
        self._try_every = 0 if "nobetween" in settings.ablate else TRY_EVERY[settings.preset]
        self._runs, self._is_between_better = 0, False
        self._waiting: list[Frame] = []
        self._still = 0.0
        self._predictor = Predictor(model.codec, info, settings, device)
        self.quality = settings.quality
        self.records: list[FrameRecord] = []
        self._motion_bits = self._hyper_bits = 0.0
        self.estimated_bits = 0.0

    @property
    def gop(self) -> Gop:
        """The coded pictures so far as a group."""
        gop = Gop(tuple(self.records))
        motion = min(round(self._motion_bits / 8), gop.payload_bytes)
        hyper = min(round(self._hyper_bits / 8), gop.payload_bytes - motion)
        return replace(gop, motion_bytes=motion, hyper_bytes=hyper)

    @property
    def tables(self) -> GroupTables:
        """The adaptive tables."""
        return self._state.tables

    @property
    def is_between_runs(self) -> bool:
        """Whether all pictures so far have been coded."""
        return not self._waiting

    def encode(self, frame: Frame, later: Frame | None = None) -> list[CodedPicture]:
        """Take the next picture; gives those that this completes, in display order.

        Args:
            later: one that comes some pictures later, from :func:`lvc.encoder.still.with_later`; it is only looked at.
        """
        if not self.records:
            self._still = 0.0 if later is None else stillness(frame, later, self._info.bit_depth)
        self._waiting.append(frame)
        enough = RUN if self.records and self._try_every else 1
        return self.finish() if len(self._waiting) >= enough else []

    def finish(self) -> list[CodedPicture]:
        """Code the pictures that wait, the last one as an anchor."""
        run, self._waiting = self._waiting, []
        if not run:
            return []
        if not self.records:
            coded = [self._code_first(frame) for frame in run]
        elif len(run) > 1:
            coded = self._code_run(run)
        else:
            coded = self._code_level(run, [self._step()])
        for picture in coded:
            self.records.append(picture.record)
            self._motion_bits += picture.motion_bits
            self._hyper_bits += picture.hyper_bits
        return coded

    def _step(self) -> Step:
        """The next picture as an anchor."""
        position = len(self.records)
        before = position - 1 if position else None
        return Step(position, before, latest=before)

    def _code_first(self, frame: Frame) -> CodedPicture:
        """Code the intra picture, once more if it shows that chroma should be coarser."""
        before = self._place.copied()
        (coded,) = self._code_level([frame], [self._step()])
        if "nodrop" in self._settings.ablate:
            return coded
        drop = choose_chroma_drop(frame.planes, coded.planes)
        if drop:
            self._go_on_from(before)
            self._state.chroma_drop = drop
            (coded,) = self._code_level([frame], [self._step()])
        return coded

    def _code_run(self, run: list[Frame]) -> list[CodedPicture]:
        """Code what follows an anchor, with pictures between anchors or without."""
        first = len(self.records)
        ways = [[PREDICTED, *[kind] * (len(run) - 1), PREDICTED] for kind in (PREDICTED, BETWEEN)]
        plain, between = ([step.moved(first - 1) for step in coding_order(way)[1:]] for way in ways)
        if self._runs % self._try_every == 0:
            attempt = self._cheaper(run, plain, between)
            self._is_between_better = attempt.has_between
        else:
            attempt = self._attempt(run, between if self._is_between_better else plain)
        self._runs += 1
        return attempt.coded

    def _cheaper(self, run: list[Frame], plain: list[Step], between: list[Step]) -> _Attempt:
        """Code a run in two orders, as far as it takes to know which is cheaper, and go on from that one."""
        start = self._place.copied()
        begun = self._attempt(run, between[:1])
        anchor = begun.costs[0]
        if run_choice.is_hard(anchor, 8.0 * len(self.records[0].payload), self.quality, len(run)):
            self._go_on_from(start)
            best = self._attempt(run, plain)
            if run_choice.between_cost(anchor, best.costs) < best.cost:
                self._go_on_from(begun.end)
                best = min(best, self._attempt(run, between[1:], begun), key=_total)
        else:
            best = self._attempt(run, between[1:], begun)
            self._go_on_from(start)
            best = min(self._attempt(run, plain, most=best.cost), best, key=_total)
        self._go_on_from(best.end)
        return best

    def _attempt(
        self, run: list[Frame], steps: list[Step], begun: _Attempt | None = None, most: float = math.inf
    ) -> _Attempt:
        """Code pictures of a run in an order.

        Args:
            begun: what of the run has been coded before.
            most: an attempt that will not cost less, as it goes, is given up; only in display order.
        """
        first = len(self.records)
        coded, costs = ([], []) if begun is None else (list(begun.coded), list(begun.costs))
        for level in levels(steps):
            frames = [run[step.position - first] for step in level]
            coded += self._code_level(frames, level)
            costs += [self._cost(*pair) for pair in zip(frames, coded[-len(level) :], strict=True)]
            if math.isfinite(most) and len(costs) > 1 and run_choice.run_cost(costs, len(run)) > most:
                return _Attempt(coded, costs, math.inf, self._place)
        order = sorted(range(len(coded)), key=lambda index: coded[index].step.position)
        coded, costs = [coded[index] for index in order], [costs[index] for index in order]
        return _Attempt(coded, costs, run_choice.run_cost(costs, len(run)), self._place)

    @property
    def _place(self) -> _Place:
        return _Place(self._state, self.estimated_bits)

    def _go_on_from(self, place: _Place) -> None:
        self._state, self.estimated_bits = place

    def _cost(self, frame: Frame, coded: CodedPicture) -> run_choice.Cost:
        step = float(nominal_step(torch.tensor(self.quality)))
        error = _error(frame.planes, coded.planes, self._info.bit_depth)
        return run_choice.Cost(8.0 * len(coded.record.payload), error / (step * step * RATE_WEIGHT))

    def _quality(self, step: Step) -> int:
        # a fraction of a quality is a share of pictures one quality finer, spread evenly
        quality = min(100, math.floor(self.quality + step.position * _GOLDEN % 1.0))
        if "nocascade" in self._settings.ablate:
            return quality
        return min(100, max(1, quality + quality_bonus(step, quality, self._still, self._settings.tune)))

    def _code_level(self, frames: list[Frame], level: list[Step]) -> list[CodedPicture]:
        """Code pictures that do not need each other, where nobody watches at the same time."""
        state, is_watched = self._state, self._observer is not None
        with together(self._device, 1 if is_watched else len(level)) as start:
            started = [start(self._code, *pair) for pair in zip(frames, level, strict=True)]
            coded = [each.result() for each in started]
        if "noadapt" not in self._settings.ablate:
            state.learn(level, [picture.seen for picture in coded])
        if level[0].depth == 0:
            state.forget(level[0])
        self.estimated_bits += sum(picture.bits for picture in coded)
        return coded

    def _code(self, frame: Frame, step: Step) -> CodedPicture:
        target = from_frame(frame, self._info, self._device)
        quality = self._quality(step)
        qualities = torch.tensor([float(quality)], device=self._device)
        coder = RangeEncoder()
        state = self._state
        tables = state.tables_for(step)
        intra = step.first is None
        flat = self._flat(coder, tables, target, intra)
        flat_bits = coder.bits
        past = self._predictor.predict(coder, tables, state, step, target, qualities)
        if flat is not None and flat.luma is not None:
            return self._coded(coder, frame, step, quality, painted(past.memory, [flat]))
        motion_bits = coder.bits - flat_bits
        if intra:
            code_chroma_drop(coder, state.chroma_drop)
        drop = torch.tensor([state.chroma_drop], device=self._device)
        prediction = Prediction(past.memory, qualities, intra, levels=self._levels(target, past), chroma_drop=drop)
        if flat is not None:
            prediction.is_flat = torch.tensor([True], device=self._device)
            target = Picture(target.y, prediction.picture.uv)  # there is nothing to do
        coder, symbols, latents = self._residual(coder, tables, step, prediction, past, target)
        memory = self._codec.reconstruct(prediction, latents)
        memory = painted(self._filtered(coder, tables, step, memory, prediction, target), [flat])
        parts = motion_bits, symbols.hyper_end[0] - motion_bits
        return self._coded(coder, frame, step, quality, memory, parts, prediction.levels is not None)

    def _coded(
        self,
        coder: RangeEncoder,
        frame: Frame,
        step: Step,
        quality: int,
        memory: Memory,
        parts: tuple[float, float] = (0.0, 0.0),
        has_levels: bool = False,
    ) -> CodedPicture:
        """A picture all of which has been written; keeps what it leaves.

        Args:
            parts: its bits of motion, and those of the hyper-latent.
        """
        if step.is_reference:
            self._state.memories[step.position] = memory
        planes = to_planes(memory.picture, self._info)[0]
        payload = coder.finish()
        record = FrameRecord(
            pts=frame.pts,
            duration=frame.duration,
            kind=_kind(step),
            quality=quality,
            check=checksum(planes, self._info),
            payload=payload,
            has_levels=has_levels,
        )
        return CodedPicture(record, planes, step, coder.bits, *parts, coder.seen)

    def _flat(self, coder: RangeEncoder, tables: GroupTables, target: Picture, intra: bool) -> Flat | None:
        """Write what is flat."""
        flat, state = flat_parts(target), self._state
        if intra:
            state.chroma = GREY if flat is None else flat.chroma
        elif flat is not None:
            flat = Flat(None, flat.chroma) if flat.chroma == state.chroma else None
        return code_flat(coder, tables.flat[not intra], None if intra else state.chroma, flat)

    def _filtered(
        self,
        coder: RangeEncoder,
        tables: GroupTables,
        step: Step,
        memory: Memory,
        prediction: Prediction,
        target: Picture,
    ) -> Memory:
        """What a picture leaves, its luma filtered as is best; writes how."""
        luma = memory.picture.y
        seen = loop_filter.look(luma, prediction.skip)
        if self._filter_observer is not None:
            self._filter_observer(seen, target.y - luma, -1 if prediction.intra else step.depth)
        table = tables.filters[_kind(step)]
        which = 0
        if "nofilter" not in self._settings.ablate:
            which, luma = choose_filter(seen, luma, target.y, self._filters, table, prediction.quality)
        code_filter(coder, table, which)
        return memory.with_luma(luma)

    def _levels(self, target: Picture, past: Past) -> torch.Tensor | None:
        """The quality map that is to be coded, [1, 1, H/16, W/16], None for none; skipped blocks are not yet known."""
        if self._settings.tune != "ssim":
            return None
        wanted = wanted_levels(target.y)
        nowhere = np.zeros(wanted.shape, dtype=bool)
        choose = nearly(wanted, kept_distance(self.quality))
        found = code_levels(RangeEncoder(), LevelTables(), nowhere, past.levels, choose)
        return torch.from_numpy(found)[None, None].to(self._device)

    def _residual(
        self,
        coder: RangeEncoder,
        tables: GroupTables,
        step: Step,
        prediction: Prediction,
        past: Past,
        target: Picture,
    ) -> tuple[RangeEncoder, SymbolCoder, torch.Tensor]:
        """Write all that a prediction misses, again where blocks should have been wide.

        Wide blocks change what is expected of others, which may then have to be wide, too.

        Returns:
            The coder that has written it, what wrote the latents, and these, [1, 384, H/16, W/16].
        """
        blocks = self._blocks(step, prediction, past.is_whole, target)
        before = coder.copy()
        symbols, latents = self._latents(coder, tables, step, prediction, past, blocks)
        for _ in range(0 if "nosizes" in self._settings.ablate else MOST_WIDENINGS):
            wide = wide_blocks(symbols.lost[0], blocks.sizes, coder.bits)
            if wide is None:
                break
            coder = before.copy()
            blocks = with_wide(self._codec, prediction, target, blocks, wide)
            symbols, latents = self._latents(coder, tables, step, prediction, past, blocks)
        return coder, symbols, latents

    def _blocks(self, step: Step, prediction: Prediction, is_whole: torch.Tensor | None, target: Picture) -> Blocks:
        """Choose the maps of blocks."""
        ablate = self._settings.ablate
        if is_whole is not None and "noskip" in ablate:
            is_whole = None
        sizes = 1 if "nosizes" in ablate else SIZES
        return choose_blocks(self._codec, prediction, is_whole, target, sizes, between=step.depth > 0)

    def _latents(
        self,
        coder: RangeEncoder,
        tables: GroupTables,
        step: Step,
        prediction: Prediction,
        past: Past,
        blocks: Blocks,
    ) -> tuple[SymbolCoder, torch.Tensor]:
        """Write the maps of blocks and the latents; gives what wrote these, and them, [1, 384, H/16, W/16]."""
        state = self._state
        skip = blocks.skip[0, 0].cpu().numpy() == 1
        if past.kinds is not None:
            state.skips[step.position] = code_skip(coder, tables.skip, past.kinds, state.past_skip(step), skip)
        code_sizes(coder, tables.sizes, prediction.intra, skip, blocks.sizes[0, 0].long().cpu().numpy())
        prediction.skip, prediction.sizes = blocks.skip, blocks.sizes
        if prediction.levels is not None:
            choose = exactly(prediction.levels)
            found = state.levels[step.position] = code_levels(coder, tables.levels, skip, past.levels, choose)
            prediction.levels = torch.from_numpy(found)[None, None].to(self._device)
        weights = self._rate_weights
        symbols = SymbolCoder(self._quantisers, [coder], [tables], prediction.intra, self._observer, weights)
        return symbols, self._codec.code(prediction, blocks.missed, symbols)
