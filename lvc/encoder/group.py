"""Encoding of one group of pictures, picture by picture."""

import math

import numpy as np
import torch

from lvc.container import INTRA, PREDICTED, FrameRecord
from lvc.encoder import motion_search
from lvc.encoder.settings import EFFORTS, EncoderSettings, quality_bonus
from lvc.encoder.skip_choice import choose_skip
from lvc.exact import warp
from lvc.model import Model
from lvc.model.codebook import Quantiser
from lvc.model.codec import Picture, Prediction
from lvc.model.entropy import GroupTables, Observer, SymbolCoder
from lvc.model.group import GroupState, fresh_tables
from lvc.model.motion import LEVELS, MotionField, code_field
from lvc.model.skip import code_skip
from lvc.picture import checksum, from_frame, padded_size, to_planes
from lvc.rangecoder import RangeEncoder
from lvc.video import Frame, Plane, VideoInfo

_GOLDEN = (5**0.5 - 1) / 2


class GroupEncoder:
    """Codes pictures in order; the first one is intra.

    Attributes:
        quality: of the next picture, as in the settings; rate control changes it.
        records: the coded pictures so far.
        estimated_bits: what their symbols cost by their probabilities.
        decoded: the planes of the last picture as a decoder will see them.
    """

    def __init__(
        self,
        model: Model,
        info: VideoInfo,
        settings: EncoderSettings,
        device: torch.device,
        observer: Observer | None = None,
    ) -> None:
        self._observer = observer
        self._model, self._info, self._settings, self._device = model, info, settings, device
        self._codec = model.codec
        self._quantisers = model.statistics.quantisers
        self._state = GroupState(fresh_tables(model.statistics))
        if "scalar" in settings.ablate:
            self._quantisers = [Quantiser.lattice(scalar=True)] * 2
            self._state.tables.latents = [quantiser.tables() for quantiser in self._quantisers]
        self.quality = settings.quality
        self.records: list[FrameRecord] = []
        self.estimated_bits = 0.0
        self.decoded: list[Plane] = []

    @property
    def tables(self) -> GroupTables:
        """The adaptive tables."""
        return self._state.tables

    def _quality(self) -> int:
        position = len(self.records)
        bonus = 0 if "nocascade" in self._settings.ablate else quality_bonus(position)
        # a fraction of a quality is a share of pictures one quality finer, spread evenly
        return min(100, math.floor(self.quality + position * _GOLDEN % 1.0) + bonus)

    def encode(self, frame: Frame) -> None:
        """Code the next picture. Call within :func:`lvc.exact.arithmetic.exact_arithmetic`."""
        target = from_frame(frame, self._info, self._device)
        quality = self._quality()
        qualities = torch.tensor([float(quality)], device=self._device)
        coder = RangeEncoder()
        state = self._state
        field = planes = None
        if state.memory is not None:
            planes = warp.phases(state.memory.picture.y)
            wanted = self._search(target.y, state.memory.picture.y, planes, qualities)
            rows, cols = wanted.levels.shape
            choose = motion_search.RateChooser(target.y, planes, qualities)
            state.motion = code_field(coder, state.tables.motion, rows, cols, state.motion, wanted, choose)
            field = torch.from_numpy(state.motion.vectors)[None].to(self._device)
        intra = state.memory is None
        if state.memory is None or field is None:
            past = self._codec.nothing(1, padded_size(self._info), self._device)
        else:
            past = self._codec.moved(state.memory, field, planes)
        prediction = self._codec.predict(past, qualities, intra)
        motion_end = coder.position()
        if field is not None:
            self._skip(coder, prediction, field, target)
        symbols = SymbolCoder(self._quantisers, [coder], [state.tables], intra, self._observer)
        latents = self._codec.code(prediction, target, symbols)
        state.memory = self._codec.reconstruct(prediction, latents)
        if "noadapt" not in self._settings.ablate:
            state.tables.adapt(intra)
        self.decoded = to_planes(state.memory.picture, self._info)[0]
        payload = coder.finish()
        self.estimated_bits += coder.bits
        motion_bytes = min(motion_end, len(payload))
        hyper_bytes = min(max(symbols.hyper_end[0] - motion_bytes, 0), len(payload) - motion_bytes)
        self.records.append(
            FrameRecord(
                pts=frame.pts,
                duration=frame.duration,
                kind=INTRA if intra else PREDICTED,
                quality=quality,
                motion_bytes=motion_bytes,
                hyper_bytes=hyper_bytes,
                picture_crc=checksum(self.decoded, self._info),
                payload=payload,
            )
        )

    def _skip(self, coder: RangeEncoder, prediction: Prediction, field: torch.Tensor, target: Picture) -> None:
        state = self._state
        skip = choose_skip(self._codec, prediction, field, target)
        if "noskip" in self._settings.ablate:
            skip = torch.zeros_like(skip)
        wanted = skip[0, 0].cpu().numpy() == 1
        rows, cols = wanted.shape
        state.skip = code_skip(coder, state.tables.skip, rows, cols, state.skip, wanted)
        prediction.skip = skip

    def _search(
        self, luma: torch.Tensor, reference: torch.Tensor, planes: torch.Tensor, quality: torch.Tensor
    ) -> MotionField:
        rows, cols = luma.shape[2] // warp.BLOCK, luma.shape[3] // warp.BLOCK
        if "nomotion" in self._settings.ablate:
            return MotionField(np.zeros((rows, cols, 2), np.int64), np.full((rows, cols), LEVELS[0], np.int64))
        motion = self._state.motion
        past = None if motion is None else torch.from_numpy(motion.vectors)[None].to(self._device)
        effort = EFFORTS[self._settings.preset]
        field, level = motion_search.search(luma, reference, planes, past, quality, effort)
        return MotionField(field[0].cpu().numpy(), level[0].cpu().numpy())
