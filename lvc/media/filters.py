"""FFmpeg's own comparison filters over two sequences of pictures: XPSNR and VMAF for ``lvc bench``."""

from collections.abc import Sequence
from fractions import Fraction

import av
from av.filter import Graph, filters_available

from lvc.errors import LvcError
from lvc.media.pictures import FORMAT_OF_DEPTH, picture_of
from lvc.memory import pass_on_shortage
from lvc.video import Plane

FILTERS = {"psnr": "psnr", "ssim": "ssim", "xpsnr": "xpsnr", "vmaf": "libvmaf"}
"""Names of the filters by the name of the measure."""


XPSNR_SMALLEST = 2025
"""Luma samples below which FFmpeg's xpsnr filter divides by a block size of zero and takes the process with it."""


class FilterError(LvcError):
    """A filter that this PyAV build lacks, or that fails."""


def is_available(measure: str) -> bool:
    """Whether this PyAV build has the filter of a measure of ``FILTERS``."""
    return FILTERS[measure] in filters_available


class Comparison:
    """One measure over pictures that arrive pair by pair.

    Args:
        measure: a key of ``FILTERS``.
        width, height: luma samples.
        bit_depth: 8 or 10.
        rate: frames per second; XPSNR looks one or, at high rates, two pictures back.

    Raises:
        FilterError: this build lacks the filter, or its filter is known to misread or not to survive such pictures.
    """

    def __init__(self, measure: str, width: int, height: int, bit_depth: int, rate: Fraction = Fraction(25)) -> None:
        if not is_available(measure):
            raise FilterError(f"this PyAV build has no {FILTERS[measure]} filter")
        if measure == "xpsnr" and width * height < XPSNR_SMALLEST:
            raise FilterError(f"FFmpeg's xpsnr filter takes no pictures under {XPSNR_SMALLEST} samples")
        name = FORMAT_OF_DEPTH[bit_depth]
        rows = [(plane.line_size, plane.width) for plane in av.VideoFrame(width, height, name).planes]
        if measure == "xpsnr" and bit_depth > 8 and any(size != 2 * samples for size, samples in rows):
            # github.com/fraunhoferhhi/xpsnr issues 5 and 8: off by tens of decibels.
            raise FilterError(f"FFmpeg's xpsnr filter misreads {bit_depth}-bit pictures of this width")
        self._size = (bit_depth, width, height)
        self._rate = rate
        self._count = 0
        self._graph = Graph()
        # Graph.add_buffer knows no frame rate.
        pictures = {"video_size": f"{width}x{height}", "pix_fmt": name, "time_base": f"{1 / rate}"}
        decoded, source = (self._graph.add("buffer", **pictures, frame_rate=f"{rate}") for _ in range(2))
        compare = self._graph.add(FILTERS[measure])
        sink = self._graph.add("buffersink")
        decoded.link_to(compare, 0, 0)
        source.link_to(compare, 0, 1)
        compare.link_to(sink, 0, 0)
        self._graph.configure()
        self._inputs, self._sink = (decoded, source), sink

    def add(self, source: Sequence[Plane], decoded: Sequence[Plane]) -> dict[str, str]:
        """Compare one pair of pictures, planes as in :class:`lvc.video.Frame`.

        Returns:
            What the filter wrote into the metadata of this picture, or of an earlier one it held back; empty where
            it still waits.

        Raises:
            FilterError: the filter fails.
        """
        for buffer, planes in zip(self._inputs, (decoded, source), strict=True):
            picture = picture_of(list(planes), *self._size)
            picture.pts, picture.time_base = self._count, 1 / self._rate
            buffer.push(picture)
        self._count += 1
        return self._pull()

    def finish(self) -> list[dict[str, str]]:
        """What the filter had held back, in order."""
        for buffer in self._inputs:
            buffer.push(None)
        rest = []
        while values := self._pull():
            rest.append(values)
        return rest

    def _pull(self) -> dict[str, str]:
        try:
            picture = self._sink.pull()
        except (av.BlockingIOError, av.EOFError):
            return {}
        except av.FFmpegError as error:
            pass_on_shortage(error)
            raise FilterError(f"FFmpeg's filter fails: {error}") from error
        return dict(picture.metadata) if isinstance(picture, av.VideoFrame) else {}
