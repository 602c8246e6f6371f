"""Decoding of groups of pictures, several in lockstep as one batch."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvc.container import BETWEEN, INTRA, PREDICTED, FrameRecord, GopChunk, Step, coding_order
from lvc.errors import FormatError, MismatchError
from lvc.exact.arithmetic import exact_arithmetic
from lvc.exact.device import working_device
from lvc.exact.loop_filter import loop_filtered
from lvc.model import Model, modes, sizes, skip
from lvc.model.chroma import code_chroma_drop
from lvc.model.entropy import SymbolCoder
from lvc.model.filters import code_filter
from lvc.model.flat import GREY, Flat, code_flat, painted
from lvc.model.group import GroupState, fresh_tables
from lvc.model.levels import Levels, code_levels
from lvc.model.motion import MotionField, code_field
from lvc.model.prediction import Memory, Prediction
from lvc.model.transform import BANDS
from lvc.model.weighting import code_weighting, weighted
from lvc.picture import checksum, padded_size, to_planes
from lvc.rangecoder import RangeDecoder
from lvc.video import Frame, Plane, VideoInfo


class _Part(NamedTuple):
    """One picture of a batch, read up to what of it is flat."""

    coder: RangeDecoder
    record: FrameRecord
    step: Step
    state: GroupState
    flat: Flat | None

    @property
    def is_all_flat(self) -> bool:
        """Whether nothing else is sent."""
        return self.flat is not None and self.flat.luma is not None


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
        self.damage: list[str] = []

    def decode(self, groups: list[GopChunk]) -> Iterator[Iterator[Frame]]:
        """Frames of each group: one group streams, several run in lockstep and are kept until their turn.

        Where something is wrong with one of several, they are decoded once more, each alone: so it is known which one
        it is, and the others lose nothing.
        """
        if len(groups) > 1:
            kept: list[list[Frame]] = [[] for _ in groups]
            try:
                for row in self._lockstep(groups):
                    for index, frames in row.items():
                        kept[index].extend(frames)
            except (FormatError, MismatchError):
                kept.clear()
            else:
                yield from (iter(frames) for frames in kept)
                return
        for group in groups:
            yield self._alone(group)

    def _alone(self, group: GopChunk) -> Iterator[Frame]:
        """Frames of one group, up to what is wrong with it."""
        try:
            for row in self._lockstep([group]):
                yield from row[0]
        except FormatError as error:
            if not self._keep_going:
                raise FormatError(str(error), group.position) from error
            self.damage.append(f"{error} in the group at byte {group.position}")
        except MismatchError as error:
            if not self._keep_going:
                raise MismatchError(f"{error}; this machine or its libraries do not compute as they should") from error
            self.damage.append(str(error))

    def _lockstep(self, groups: list[GopChunk]) -> Iterator[dict[int, list[Frame]]]:
        """One picture of every group at a time, as one batch; gives what is complete, in display order.

        Raises:
            FormatError: damage in one of them; what was complete before is given first.
            MismatchError: a picture differs from the encoder's, likewise.
        """
        states = [GroupState(fresh_tables(self._model.statistics)) for _ in groups]
        orders = [coding_order([frame.kind for frame in group.gop.frames]) for group in groups]
        ready: list[dict[int, Frame]] = [{} for _ in groups]
        shown = [0] * len(groups)
        live = list(range(len(groups)))
        for number in itertools.count():
            live = [index for index in live if number < len(orders[index])]
            if not live:
                return
            # pictures of one kind form a batch
            for kind in (INTRA, PREDICTED, BETWEEN):
                part = {i: orders[i][number] for i in live if _kind(groups[i], orders[i][number]) == kind}
                if part:
                    with exact_arithmetic():
                        done = self._pictures(groups, states, part)
                    for index, frame in done.items():
                        ready[index][part[index].position] = frame
            row: dict[int, list[Frame]] = {}
            for index, frames in enumerate(ready):
                row[index] = []
                while shown[index] in frames:
                    row[index].append(frames.pop(shown[index]))
                    shown[index] += 1
            yield row

    def _pictures(self, groups: list[GopChunk], states: list[GroupState], part: dict[int, Step]) -> dict[int, Frame]:
        records = [groups[index].gop.frames[step.position] for index, step in part.items()]
        planes = self._decode_pictures(records, list(part.values()), [states[index] for index in part])
        row = {}
        for (index, step), record, found in zip(part.items(), records, planes, strict=True):
            if self._layers == len(BANDS) and checksum(found, self.info) != record.check:
                number = groups[index].first_frame + step.position
                raise MismatchError(f"picture {number} differs from the one that was encoded")
            row[index] = Frame(found, record.pts, record.duration)
        return row

    def _decode_pictures(
        self, records: list[FrameRecord], steps: list[Step], states: list[GroupState]
    ) -> list[list[Plane]]:
        """Decode pictures of one kind, and keep what they leave."""
        intra = records[0].kind == INTRA
        parts = []
        for record, step, state in zip(records, steps, states, strict=True):
            coder = RangeDecoder(record.payload)
            flat = code_flat(coder, state.tables.flat[not intra], None if intra else state.chroma, None)
            if intra:
                state.motion.keep(step, [])
                state.chroma_drop, state.chroma = 0, GREY if flat is None else flat.chroma
            parts.append(_Part(coder, record, step, state, flat))
        memory = self._memory(parts)
        for index, (step, state) in enumerate(zip(steps, states, strict=True)):
            if step.is_reference:
                state.memories[step.position] = memory.pick(index)
            if step.depth == 0:
                state.forget(step)
            state.tables.adapt(intra)
        return to_planes(memory.picture, self.info)

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
        codec = self._model.codec
        coders, records, steps, states, flats = (list(each) for each in zip(*parts, strict=True))
        intra = records[0].kind == INTRA
        if intra:
            past = codec.nothing(len(records), padded_size(self.info), self._device)
            expected: list[Levels | None] = [None] * len(records)
            kinds: list[skip.Kinds] = []
            for coder, state in zip(coders, states, strict=True):
                state.chroma_drop = code_chroma_drop(coder, None)
        else:
            past, expected, kinds = self._predict(coders, steps, states)
        quality = torch.tensor([float(record.quality) for record in records], device=self._device)
        drop = torch.tensor([state.chroma_drop for state in states], device=self._device)
        prediction = Prediction(past, quality, intra, chroma_drop=drop)
        if any(flats):
            prediction.is_flat = torch.tensor([flat is not None for flat in flats], device=self._device)
        self._read_blocks(prediction, coders, states, kinds)
        self._read_levels(prediction, coders, states, records, steps, expected)
        tables = [state.tables for state in states]
        symbols = SymbolCoder(self._model.statistics.quantisers, coders, tables, intra)
        latents = codec.code(prediction, None, symbols, self._layers)
        memory = codec.reconstruct(prediction, latents)
        if self._layers == len(BANDS):
            kind = records[0].kind
            numbers = [
                code_filter(coder, state.tables.filters[kind], None)
                for coder, state in zip(coders, states, strict=True)
            ]
            which = torch.tensor(numbers, device=self._device)
            memory = memory.with_luma(loop_filtered(memory.picture.y, prediction.skip, self._filters, which))
        return painted(memory, flats)

    def _read_blocks(
        self, prediction: Prediction, coders: list[RangeDecoder], states: list[GroupState], kinds: list[skip.Kinds]
    ) -> None:
        """Read the maps of blocks of pictures of one kind; intra pictures have no kinds of blocks."""
        rows, cols = (side // skip.BLOCK for side in padded_size(self.info))
        skipped, cut = [], []
        for index, (coder, state) in enumerate(zip(coders, states, strict=True)):
            flags = np.zeros((rows, cols), dtype=bool)
            if not prediction.intra:
                flags = state.skip = skip.code_skip(coder, state.tables.skip, kinds[index], state.skip, None)
            skipped.append(torch.from_numpy(flags))
            cut.append(torch.from_numpy(sizes.code_sizes(coder, state.tables.sizes, prediction.intra, flags, None)))
        prediction.skip = torch.stack(skipped)[:, None].float().to(self._device)
        prediction.sizes = torch.stack(cut)[:, None].float().to(self._device)

    def _read_levels(
        self,
        prediction: Prediction,
        coders: list[RangeDecoder],
        states: list[GroupState],
        records: list[FrameRecord],
        steps: list[Step],
        expected: list[Levels | None],
    ) -> None:
        """Read the quality maps of those of the pictures that have one."""
        if prediction.skip is None or not any(record.has_levels for record in records):
            return
        maps = np.zeros((len(records), *(side // skip.BLOCK for side in padded_size(self.info))), dtype=np.int64)
        for number, (coder, state, step) in enumerate(zip(coders, states, steps, strict=True)):
            if records[number].has_levels:
                flags = prediction.skip[number, 0].cpu().numpy() == 1
                maps[number] = code_levels(coder, state.tables.levels, flags, expected[number], None)
                state.levels[step.position] = maps[number]
        prediction.levels = torch.from_numpy(maps)[:, None].to(self._device)

    def _predict(
        self, coders: list[RangeDecoder], steps: list[Step], states: list[GroupState]
    ) -> tuple[Memory, list[Levels | None], list[skip.Kinds]]:
        """Read the motion of pictures of one kind and move their references; also gives the expected quality maps, and
        how blocks are predicted.
        """
        codec = self._model.codec
        two = steps[0].second is not None
        height, width = padded_size(self.info)
        fields: tuple[list[Tensor], list[Tensor]] = ([], [])
        memories: tuple[list[Memory], list[Memory]] = ([], [])
        chosen: list[Tensor] = []
        levels: list[Levels | None] = []
        kinds: list[skip.Kinds] = []
        smooth: list[bool] = []
        for coder, step, state in zip(coders, steps, states, strict=True):
            motions: list[MotionField] = []
            tables = state.tables.motion[two]
            references = [reference for reference in (step.first, step.second) if reference is not None]
            for number, reference in enumerate(references):
                weighting = code_weighting(coder, state.tables.weighting[two], None)
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


def _kind(group: GopChunk, step: Step) -> int:
    return group.gop.frames[step.position].kind
