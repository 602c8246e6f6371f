"""lvc as one of the codecs of a benchmark."""

import hashlib
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from lvc.bench.clips import Clip
from lvc.bench.codecs import CodecSpec
from lvc.errors import InputError, ModelError
from lvc.video import Frame, Plane

if TYPE_CHECKING:
    from lvc.encoder import EncoderSettings
    from lvc.model import Model

KEY_INTERVAL = 1024
"""Frames between intra pictures at most: what lvc allows at most."""

_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass
class OurStream:
    """A clip that lvc encoded.

    Attributes:
        data: the whole ``.lvc`` file, without side streams.
        model: name or path; None for the default.
        threads: 1, or 0 for all.
        device: ``cpu`` or ``cuda``.
        pictures: what a decoder would give, as the encoder saw it, where parts of lvc were switched off that no decoder
            can do without; None where decoding is real.
        encode_seconds: wall time of encoding, without the time that reading the source took.
        encode_cpu_seconds: processor time of the same.
        decode_seconds: wall time of decoding, filled while :meth:`decode` runs.
    """

    data: bytes
    model: str | None
    threads: int
    device: str
    encode_seconds: float = 0.0
    encode_cpu_seconds: float = 0.0
    decode_seconds: float = 0.0
    pictures: list[Sequence[Plane]] | None = None

    @property
    def size(self) -> int:
        """Bytes of the file, with everything in it."""
        return len(self.data)

    @property
    def frame_sizes(self) -> list[int]:
        """Bytes of each frame's payload in display order; headers and checksums are not in them.

        Raises:
            FormatError: the file is damaged.
        """
        from lvc.container import GopChunk, Reader

        chunks = [item for item in Reader(io.BytesIO(self.data)) if isinstance(item, GopChunk)]
        frames = sorted((frame.pts, len(frame.payload)) for chunk in chunks for frame in chunk.gop.frames)
        return [size for _, size in frames]

    @classmethod
    def encode(
        cls, clip: Clip, spec: CodecSpec, quality: float, threads: int, one_intra: bool = False, device: str = "cpu"
    ) -> "OurStream":
        """Encode a clip at one quality.

        Args:
            one_intra: no intra pictures at scene cuts either.

        Raises:
            LvcError: as ``lvc.encode`` raises it.
        """
        from lvc.compute import choose_device, cpu_threads
        from lvc.encoder import EncoderSettings, encode_stream
        from lvc.model import find_model

        chosen = choose_device(device)
        settings = EncoderSettings(
            quality=round(quality),
            preset=spec.preset,
            tune=spec.tune or "psnr",
            keyint=KEY_INTERVAL,
            scene_cuts=not one_intra,
            ablate=frozenset(spec.ablate),
        )
        model = find_model(spec.model)
        source = _Source(clip)
        sink = io.BytesIO()
        stream = cls(b"", spec.model, threads, chosen)
        wall, cpu = time.perf_counter(), time.process_time()
        with cpu_threads(threads or None):
            if spec.ablate:
                stream.pictures = _encode_without(source, sink, model, settings, chosen)
            else:
                encode_stream(source, sink, model=model, settings=settings, device=chosen)
        stream.encode_seconds = time.perf_counter() - wall - source.seconds
        stream.encode_cpu_seconds = time.process_time() - cpu - source.cpu_seconds
        stream.data = sink.getvalue()
        return stream

    def decode(self) -> Iterator[Sequence[Plane]]:
        """Planes of each picture in display order.

        Raises:
            LvcError: as ``lvc.open`` raises it.
        """
        import lvc

        self.decode_seconds = 0.0
        if self.pictures is not None:
            yield from self.pictures
            return
        start = time.perf_counter()
        options: dict[str, Any] = {"device": self.device, "model": self.model, "threads": self.threads or None}
        with lvc.open(io.BytesIO(self.data), **options) as video:
            for frame in video:
                self.decode_seconds += time.perf_counter() - start
                yield frame.planes
                start = time.perf_counter()
        self.decode_seconds += time.perf_counter() - start


def _encode_without(
    source: "_Source", sink: BinaryIO, model: "Model", settings: "EncoderSettings", device: str
) -> list[Sequence[Plane]]:
    """Encode as ``lvc.encoder`` does, but keep what the encoder reconstructs, because no decoder reads such a file."""
    import torch

    from lvc.container import Header, Writer
    from lvc.encoder.around import with_around
    from lvc.encoder.group import GroupEncoder
    from lvc.encoder.picture import CodedPicture
    from lvc.encoder.plan import stretches
    from lvc.exact.arithmetic import exact_arithmetic

    where = torch.device(device)
    model.codec.to(where)
    writer = Writer(sink, Header(model.id, source.info, round(settings.quality), settings.keyint))
    kind = np.uint8 if source.info.bit_depth == 8 else np.uint16
    pictures: list[Sequence[Plane]] = []

    def keep(coded: list[CodedPicture]) -> None:
        pictures.extend([plane.astype(kind) for plane in picture.planes] for picture in coded)

    with exact_arithmetic():
        for stretch in stretches(source, source.info, settings):
            group = GroupEncoder(model, source.info, settings, where)
            for frame, around in with_around(stretch):
                keep(group.encode(frame, around))
            keep(group.finish())
            writer.write_gop(group.gop)
    if not pictures:
        raise InputError("the input holds no frames")
    writer.close()
    return pictures


class _Source:
    """The frames of a clip as ``lvc.encoder`` reads them: no side streams, and the time that reading takes.

    Attributes:
        info, warnings: as in :class:`lvc.media.VideoReader`.
        seconds, cpu_seconds: spent reading so far, wall and processor time.
    """

    def __init__(self, clip: Clip) -> None:
        self.info = clip.info
        self.warnings: list[str] = []
        self.seconds = self.cpu_seconds = 0.0
        self._frames = clip.read()

    def __iter__(self) -> Iterator[Frame]:
        while True:
            wall, cpu = time.perf_counter(), time.process_time()
            frame = next(self._frames, None)
            self.seconds += time.perf_counter() - wall
            self.cpu_seconds += time.process_time() - cpu
            if frame is None:
                return
            yield frame

    def take_side(self) -> bytes | None:
        """Side streams are left out, so that sizes are those of the video alone."""
        return None


@cache
def our_identity(model: str | None) -> str:
    """Hash of the code and the model that results of lvc depend on; code of the benchmark itself is left out.

    Raises:
        ModelError: the model file cannot be read.
    """
    from lvc.catalogue import DEFAULT, installed

    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        parts = path.relative_to(_PACKAGE).parts
        if parts[0] not in ("bench", "training", "cli", "media"):
            digest.update("/".join(parts).encode() + b"\0" + path.read_bytes())
    name = model or DEFAULT
    path = next((info.path for info in installed() if info.name == name), Path(name))
    try:
        digest.update(path.read_bytes())
    except OSError as error:
        raise ModelError(f"model {name}: {error.strerror}.") from error
    return f"lvc {digest.hexdigest()[:16]}"
