"""Decoding of groups of pictures, several in lockstep as one batch."""

import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvc.compute import pictures_at_a_time
from lvc.container import BETWEEN, INTRA, PREDICTED, FrameRecord, GopChunk, Step, coding_order, windows
from lvc.errors import FormatError, LvcError, MismatchError
from lvc.exact.arithmetic import exact_arithmetic
from lvc.exact.device import working_device
from lvc.exact.loop_filter import loop_filtered
from lvc.exact.threads import together
from lvc.model import Model, modes, sizes, skip
from lvc.model.chroma import code_chroma_drop
from lvc.model.entropy import GroupTables, SymbolCoder
from lvc.model.filters import code_filter
from lvc.model.flat import GREY, Flat, code_flat, painted
from lvc.model.group import GroupState, fresh_tables
from lvc.model.levels import Levels, code_levels
from lvc.model.motion import MotionField, code_field
from lvc.model.prediction import Memory, Prediction
from lvc.model.transform import BANDS
from lvc.model.weighting import code_weighting, weighted
from lvc.picture import checksum, padded_size, to_planes
from lvc.rangecoder import RangeDecoder, Seen
from lvc.video import Frame, Plane, VideoInfo


class _Part(NamedTuple):
    """One picture of a batch, read up to what of it is flat."""

    coder: RangeDecoder
    record: FrameRecord
    step: Step
    state: GroupState
    tables: GroupTables
    flat: Flat | None

    @property
    def is_all_flat(self) -> bool:
        """Whether nothing else is sent."""
        return self.flat is not None and self.flat.luma is not None


class _Picture(NamedTuple):
    """A decoded picture, and what was read of it."""

    frame: Frame
    seen: Seen


@dataclass(eq=False)
class _Work:
    """A group that is decoded.

    Attributes:
        windows: of its pictures.
        ready: pictures that wait for others before them, by position.
        shown: how many were given out.
        error: what is wrong with it; the pictures of its later levels are not decoded then.
    """

    group: GopChunk
    state: GroupState
    windows: list[list[Step]] = field(init=False)
    ready: dict[int, Frame] = field(default_factory=dict)
    shown: int = 0
    error: LvcError | None = None

    def __post_init__(self) -> None:
        self.windows = list(windows(coding_order([frame.kind for frame in self.group.gop.frames])))

    def take(self) -> list[Frame]:
        """Those pictures that are complete up to the next one that is not."""
        frames = []
        while self.shown in self.ready:
            frames.append(self.ready.pop(self.shown))
            self.shown += 1
        return frames


class _Place(NamedTuple):
    """One picture of a group."""

    work: _Work
    step: Step

    @property
    def record(self) -> FrameRecord:
        """What is stored of it."""
        return self.work.group.gop.frames[self.step.position]

    @property
    def kind(self) -> int:
        """Intra, predicted or between."""
        return self.record.kind


_Started = tuple[list[_Place], "Future[list[_Picture | LvcError]]"]
"""Pictures that are being decoded as a batch."""


def _settle(batches: list[_Started]) -> None:
    """Wait for the pictures of one level: keep them, and let their groups learn from them."""
    read: dict[_Work, list[tuple[Step, Seen]]] = {}
    for places, future in batches:
        for (work, step), found in zip(places, future.result(), strict=True):
            if isinstance(found, LvcError):
                work.error = work.error or found
            else:
                work.ready[step.position] = found.frame
                read.setdefault(work, []).append((step, found.seen))
    for work, pictures in read.items():
        if work.error is None:
            work.state.learn(*zip(*pictures, strict=True))


class GroupDecoder:
    """Decodes groups of pictures and compares every picture with its checksum.

    Args:
        model: the one that the groups were encoded with.
        info: of the video.
        device: where the networks run.
        keep_going: note damage instead of raising it, and give the pictures before it in its group.
        layers: how many bands of frequencies are decoded, 1...3. With fewer than all, pictures are coarse, their
            checksums say nothing and are not compared, and only groups of one picture can be decoded.

    Attributes:
        damage: what was wrong, with ``keep_going``.

    Raises (while decoding):
        FormatError: damage; names the byte of the file at which its group begins.
        MismatchError: a picture differs from the encoder's; names it.
    """

    def __init__(
        self,
        model: Model,
        info: VideoInfo,
        device: str = "cpu",
        *,
        keep_going: bool = False,
        layers: int = len(BANDS),
    ) -> None:
        self._model, self.info, self._keep_going, self._layers = model, info, keep_going, layers
        self._device = torch.device(working_device(device))
        model.codec.to(self._device)
        self._filters = torch.from_numpy(model.statistics.filters).float().to(self._device)
        self._at_a_time = pictures_at_a_time(info)
        self.damage: list[str] = []

    def decode(self, groups: list[GopChunk]) -> Iterator[Iterator[Frame]]:
        """Frames of each group: one group streams, several run in lockstep and are kept until their turn."""
        works = [_Work(group, GroupState(fresh_tables(self._model.statistics))) for group in groups]
        if len(works) == 1:
            yield self._all_of(works[0], itertools.chain.from_iterable(row[0] for row in self._lockstep(works)))
            return
        kept: list[list[Frame]] = [[] for _ in groups]
        for row in self._lockstep(works):
            for frames, more in zip(kept, row, strict=True):
                frames += more
        yield from (self._all_of(work, frames) for work, frames in zip(works, kept, strict=True))

    def _all_of(self, work: _Work, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Frames of a group, up to what is wrong with it."""
        yield from frames
        error, group = work.error, work.group
        if error is None:
            return
        if not self._keep_going and isinstance(error, MismatchError):
            raise MismatchError(f"{error}; this machine or its libraries do not compute as they should") from error
        if not self._keep_going:
            raise FormatError(str(error), group.position) from error
        at = "" if isinstance(error, MismatchError) else f" in the group at byte {group.position}"
        self.damage.append(f"{error}{at}")

    def _lockstep(self, works: list[_Work]) -> Iterator[list[list[Frame]]]:
        """One window of every group at a time; gives what of each is complete, in display order."""
        for number in itertools.count():
            live = [work for work in works if work.error is None and number < len(work.windows)]
            if not live:
                return
            with exact_arithmetic():
                self._decode_windows(live, number)
            yield [work.take() for work in works]

    def _decode_windows(self, works: list[_Work], number: int) -> None:
        """The pictures of each one's window: those of several groups as batches, those of one at the same time."""
        windows = [(work, work.windows[number]) for work in works]
        several = len(works) > 1
        with together(self._device, 1 if several else min(self._at_a_time, len(windows[0][1]))) as start:

            def started(places: list[_Place]) -> list[_Started]:
                """Pictures of one level, those of one kind together."""
                batches = [[place for place in places if place.kind == kind] for kind in (INTRA, PREDICTED, BETWEEN)]
                if self._device.type == "cpu" and not several:
                    batches = [[place] for batch in batches for place in batch]
                return [(batch, start(self._pictures, batch)) for batch in batches if batch]

            for work, window in windows:
                if window[0].depth:
                    work.state.hold()
            anchors = started([_Place(work, step) for work, window in windows for step in window if not step.depth])
            for depth in range(1, 1 + max(step.depth for _, window in windows for step in window)):
                level = [
                    _Place(work, step)
                    for work, window in windows
                    for step in window
                    if step.depth == depth and work.error is None
                ]
                _settle(started(level))
            _settle(anchors)
        for work, window in windows:
            if not window[-1].depth:
                work.state.forget(window[-1])

    def _pictures(self, places: list[_Place]) -> list[_Picture | LvcError]:
        """Pictures of one kind as a batch: each one, or what is wrong with it."""
        try:
            found = self._decode_pictures(places)
        except FormatError as error:
            return [error] if len(places) == 1 else [self._pictures([place])[0] for place in places]
        result: list[_Picture | LvcError] = []
        for place, (planes, seen) in zip(places, found, strict=True):
            record = place.record
            if self._layers == len(BANDS) and checksum(planes, self.info) != record.check:
                number = place.work.group.first_frame + place.step.position
                result.append(MismatchError(f"picture {number} differs from the one that was encoded"))
            else:
                result.append(_Picture(Frame(planes, record.pts, record.duration), seen))
        return result

    def _decode_pictures(self, places: list[_Place]) -> list[tuple[list[Plane], Seen]]:
        """Decode pictures of one kind, and keep what they leave; also gives what they have read."""
        intra = places[0].kind == INTRA
        parts = []
        for place in places:
            record, step, state = place.record, place.step, place.work.state
            coder, tables = RangeDecoder(record.payload), state.tables_for(step)
            flat = code_flat(coder, tables.flat[not intra], None if intra else state.chroma, None)
            if intra:
                state.chroma_drop, state.chroma = 0, GREY if flat is None else flat.chroma
            parts.append(_Part(coder, record, step, state, tables, flat))
        memory = self._memory(parts)
        for index, (work, step) in enumerate(places):
            if step.is_reference:
                work.state.memories[step.position] = memory.pick(index)
        return [
            (planes, part.coder.seen) for planes, part in zip(to_planes(memory.picture, self.info), parts, strict=True)
        ]

    def _memory(self, parts: list[_Part]) -> Memory:
        """What pictures of one kind leave."""
        coded = [part for part in parts if not part.is_all_flat]
        if len(coded) == len(parts):
            return self._coded(parts)
        nothing = self._model.codec.nothing(1, padded_size(self.info), self._device)
        memory = self._coded(coded) if coded else nothing
        places = iter(range(len(coded)))
        return Memory.join(
            [painted(nothing, [part.flat]) if part.is_all_flat else memory.pick(next(places)) for part in parts]
        )

    def _coded(self, parts: list[_Part]) -> Memory:
        """What pictures of one kind leave that are not flat as a whole."""
        codec, kind = self._model.codec, parts[0].record.kind
        intra = kind == INTRA
        if intra:
            past = codec.nothing(len(parts), padded_size(self.info), self._device)
            expected: list[Levels | None] = [None] * len(parts)
            kinds: list[skip.Kinds] = []
            for part in parts:
                part.state.chroma_drop = code_chroma_drop(part.coder, None)
        else:
            past, expected, kinds = self._predict(parts)
        quality = torch.tensor([float(part.record.quality) for part in parts], device=self._device)
        drop = torch.tensor([part.state.chroma_drop for part in parts], device=self._device)
        prediction = Prediction(past, quality, intra, chroma_drop=drop)
        if any(part.flat for part in parts):
            prediction.is_flat = torch.tensor([part.flat is not None for part in parts], device=self._device)
        self._read_blocks(prediction, parts, kinds)
        self._read_levels(prediction, parts, expected)
        coders, tables = [part.coder for part in parts], [part.tables for part in parts]
        symbols = SymbolCoder(self._model.statistics.quantisers, coders, tables, intra)
        latents = codec.code(prediction, None, symbols, self._layers)
        memory = codec.reconstruct(prediction, latents)
        if self._layers == len(BANDS):
            numbers = [code_filter(part.coder, part.tables.filters[kind], None) for part in parts]
            which = torch.tensor(numbers, device=self._device)
            memory = memory.with_luma(loop_filtered(memory.picture.y, prediction.skip, self._filters, which))
        return painted(memory, [part.flat for part in parts])

    def _read_blocks(self, prediction: Prediction, parts: list[_Part], kinds: list[skip.Kinds]) -> None:
        """Read the maps of blocks of pictures of one kind; intra pictures have no kinds of blocks."""
        rows, cols = (side // skip.BLOCK for side in padded_size(self.info))
        skipped, cut = [], []
        for index, (coder, _, step, state, tables, _) in enumerate(parts):
            flags = np.zeros((rows, cols), dtype=bool)
            if not prediction.intra:
                flags = skip.code_skip(coder, tables.skip, kinds[index], state.past_skip(step), None)
                state.skips[step.position] = flags
            skipped.append(torch.from_numpy(flags))
            cut.append(torch.from_numpy(sizes.code_sizes(coder, tables.sizes, prediction.intra, flags, None)))
        prediction.skip = torch.stack(skipped)[:, None].float().to(self._device)
        prediction.sizes = torch.stack(cut)[:, None].float().to(self._device)

    def _read_levels(self, prediction: Prediction, parts: list[_Part], expected: list[Levels | None]) -> None:
        """Read the quality maps of those of the pictures that have one."""
        if prediction.skip is None or not any(part.record.has_levels for part in parts):
            return
        maps = np.zeros((len(parts), *(side // skip.BLOCK for side in padded_size(self.info))), dtype=np.int64)
        for number, (coder, record, step, state, tables, _) in enumerate(parts):
            if record.has_levels:
                flags = prediction.skip[number, 0].cpu().numpy() == 1
                maps[number] = code_levels(coder, tables.levels, flags, expected[number], None)
                state.levels[step.position] = maps[number]
        prediction.levels = torch.from_numpy(maps)[:, None].to(self._device)

    def _predict(self, parts: list[_Part]) -> tuple[Memory, list[Levels | None], list[skip.Kinds]]:
        """Read the motion of pictures of one kind and move their references; also gives the expected quality maps, and
        how blocks are predicted.
        """
        codec = self._model.codec
        two = parts[0].step.second is not None
        height, width = padded_size(self.info)
        fields: tuple[list[Tensor], list[Tensor]] = ([], [])
        memories: tuple[list[Memory], list[Memory]] = ([], [])
        chosen: list[Tensor] = []
        levels: list[Levels | None] = []
        kinds: list[skip.Kinds] = []
        smooth: list[bool] = []
        for coder, _, step, state, every, _ in parts:
            motions: list[MotionField] = []
            tables = every.motion[two]
            references = [reference for reference in (step.first, step.second) if reference is not None]
            for number, reference in enumerate(references):
                weighting = code_weighting(coder, every.weighting[two], None)
                memories[number].append(weighted(state.memories[reference], weighting))
            found = modes.code_modes(coder, tables.modes, 1 + two, height // modes.BLOCK, width // modes.BLOCK, None)
            chosen.append(torch.from_numpy(found))
            for number in range(len(references)):
                expected = state.motion.expected(step, motions[0] if motions else None)
                motions.append(
                    code_field(coder, tables, height // 8, width // 8, expected, None, used=modes.used(found, number))
                )
                fields[number].append(torch.from_numpy(motions[-1].vectors))
            smooth.append(bool(coder.raw(None, 1, 1)))
            state.motion.keep(step, motions)
            levels.append(state.expected_levels(step, motions, found))
            kinds.append(skip.kinds_of(found, motions))
        mixture = torch.stack(chosen)[:, None].to(self._device)
        is_smooth = torch.tensor(smooth, device=self._device)
        moved = [
            codec.moved(
                Memory.join(each),
                torch.stack(field).to(self._device),
                modes.used_in_batch(mixture, number),
                is_smooth,
            )
            for number, (each, field) in enumerate(zip(memories, fields, strict=True))
            if each
        ]
        return codec.mixed(moved[0], moved[1] if two else None, mixture), levels, kinds
