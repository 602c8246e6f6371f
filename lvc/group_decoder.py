"""Decoding of groups of pictures, several in lockstep as one batch."""

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path

import torch

from lvc.container import INTRA, FrameRecord, GopChunk
from lvc.errors import FormatError, MismatchError
from lvc.exact.arithmetic import exact_arithmetic
from lvc.exact.device import working_device
from lvc.model import Model
from lvc.model.codec import Memory
from lvc.model.entropy import SymbolCoder
from lvc.model.group import GroupState, fresh_tables
from lvc.model.motion import code_field
from lvc.model.skip import BLOCK, code_skip
from lvc.model.transform import BANDS
from lvc.model.weights import load
from lvc.picture import checksum, padded_size, to_planes
from lvc.rangecoder import RangeDecoder
from lvc.spool import write_frames
from lvc.video import Frame, Plane, VideoInfo
from lvc.workers import Report

ALL_LAYERS = len(BANDS)
"""Low, middle and high frequencies."""


class GroupDecoder:
    """Decodes groups of pictures and compares every picture with its checksum.

    Args:
        model: the one that the groups were encoded with.
        info: of the video.
        device: where the networks run.
        keep_going: note damage instead of raising it, and give the pictures before it.
        layers: how many bands of frequencies are decoded, 1...3. With fewer than all, pictures are coarse, their
            checksums say nothing and are not compared, and only groups of one picture can be decoded.

    Attributes:
        damage: what was wrong, with ``keep_going``.

    Raises (while decoding):
        FormatError: damage.
        MismatchError: a picture differs from the encoder's.
    """

    def __init__(
        self,
        model: Model,
        info: VideoInfo,
        device: str = "cpu",
        *,
        keep_going: bool = False,
        layers: int = ALL_LAYERS,
    ) -> None:
        self._model, self.info, self._keep_going, self._layers = model, info, keep_going, layers
        self._device = torch.device(working_device(device))
        model.codec.to(self._device)
        self.damage: list[str] = []

    def decode(self, groups: list[GopChunk]) -> Iterator[Iterator[Frame]]:
        """Frames of each group: one group streams, several run in lockstep and are kept until their turn."""
        if len(groups) == 1:
            yield (frame for row in self._lockstep(groups) for frame in row.values())
            return
        kept: list[list[Frame]] = [[] for _ in groups]
        for row in self._lockstep(groups):
            for index, frame in row.items():
                kept[index].append(frame)
        yield from (iter(frames) for frames in kept)

    def _lockstep(self, groups: list[GopChunk]) -> Iterator[dict[int, Frame]]:
        """One picture of every group at a time, as one batch."""
        states = [GroupState(fresh_tables(self._model.statistics)) for _ in groups]
        live = list(range(len(groups)))
        for position in itertools.count():
            live = [index for index in live if position < len(groups[index].gop.frames)]
            if not live:
                return
            # pictures of one kind form a batch; after the first, all are predicted
            row = {}
            for intra in (True, False):
                part = [i for i in live if (groups[i].gop.frames[position].kind == INTRA) == intra]
                if part:
                    with exact_arithmetic():
                        row.update(self._pictures(groups, states, part, position))
            live = [index for index in live if index in row]
            yield row

    def _pictures(
        self, groups: list[GopChunk], states: list[GroupState], part: list[int], position: int
    ) -> dict[int, Frame]:
        records = [groups[index].gop.frames[position] for index in part]
        try:
            planes = self._decode_pictures(records, [states[index] for index in part])
        except FormatError as error:
            if not self._keep_going:
                raise FormatError(str(error), groups[part[0]].position) from error
            self.damage.append(f"{error} in the group at byte {groups[part[0]].position}")
            return {}
        row = {}
        for index, record, found in zip(part, records, planes, strict=True):
            if self._layers < ALL_LAYERS or checksum(found, self.info) == record.picture_crc:
                row[index] = Frame(found, record.pts, record.duration)
                continue
            message = f"picture {groups[index].first_frame + position} differs from the one that was encoded"
            if not self._keep_going:
                raise MismatchError(f"{message}; this machine or its libraries do not compute as they should")
            self.damage.append(message)
        return row

    def _decode_pictures(self, records: list[FrameRecord], states: list[GroupState]) -> list[list[Plane]]:
        codec = self._model.codec
        intra = records[0].kind == INTRA
        coders = [RangeDecoder(record.payload) for record in records]
        height, width = padded_size(self.info)
        if intra:
            past = codec.nothing(len(records), (height, width), self._device)
        else:
            for coder, state in zip(coders, states, strict=True):
                state.motion = code_field(coder, state.tables.motion, height // 8, width // 8, state.motion, None)
            field = torch.stack([torch.from_numpy(state.motion.vectors) for state in states if state.motion])
            field = field.to(self._device)
            past = codec.moved(Memory.join([state.memory for state in states if state.memory is not None]), field)
        quality = torch.tensor([float(record.quality) for record in records], device=self._device)
        prediction = codec.predict(past, quality, intra)
        if not intra:
            for coder, state in zip(coders, states, strict=True):
                state.skip = code_skip(coder, state.tables.skip, height // BLOCK, width // BLOCK, state.skip, None)
            maps = torch.stack([torch.from_numpy(state.skip) for state in states if state.skip is not None])
            prediction.skip = maps[:, None].float().to(self._device)
        tables = [state.tables for state in states]
        symbols = SymbolCoder(self._model.statistics.quantisers, coders, tables, intra)
        latents = codec.code(prediction, None, symbols, self._layers)
        memory = codec.reconstruct(prediction, latents)
        for index, state in enumerate(states):
            state.memory = memory.pick(index)
            state.tables.adapt(intra)
        return to_planes(memory.picture, self.info)


_load = functools.cache(load)


def decode_in_worker(
    model: Path,
    info: VideoInfo,
    device: str,
    keep_going: bool,
    layers: int,
    threads: int,
    group: GopChunk,
    spool: Path,
    _: Report,
) -> list[str]:
    """Decode a group into a file of frames, with a model that is loaded once per process; gives the damage."""
    torch.set_num_threads(threads)
    decoder = GroupDecoder(_load(model), info, device, keep_going=keep_going, layers=layers)
    for frames in decoder.decode([group]):
        write_frames(spool, info, frames)
    return decoder.damage
