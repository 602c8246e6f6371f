"""From a wanted rate, size or likeness to the quality of an encode, and to rate control where that is needed."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from lvc.encoder.probe import PROBE_FRAMES, start_quality
from lvc.encoder.rate import Aim
from lvc.encoder.search import Samples, Target, Try, find_quality
from lvc.encoder.settings import EncodeResult, EncoderSettings
from lvc.encoder.source import Source
from lvc.errors import InputError, LvcError
from lvc.model import Model
from lvc.scratch import scratch_folder
from lvc.video import Frame

MOST_DELAY = 8
GROUPS_PER_DELAY = 8
"""Groups that a source must have for each that rate control lags behind: the last ones are not made up for."""
_NEAR_LIMIT = 0.8
"""Share of the highest rate from which on samples are not trusted to stay under it."""
_MET, _MET_DECIBELS = 0.03, 0.1
"""By how much a size or rate, as a share, and a likeness may be missed without a word."""


class Peeked:
    """A source of which the first frames have been looked at.

    Args:
        source: fresh.
        count: of the frames that are wanted.

    Attributes:
        info: of the source.
        first: the first frames, fewer where there are no more.

    Raises:
        InputError: there is not one.
    """

    def __init__(self, source: Source, count: int) -> None:
        self.info = source.info
        self._source = source
        self._frames = iter(source)
        self.first = list(itertools.islice(self._frames, count))
        if not self.first:
            raise InputError("the input holds no frames")

    def __iter__(self) -> Iterator[Frame]:
        return itertools.chain(self.first, self._frames)

    def take_side(self) -> bytes | None:
        """See :class:`lvc.encoder.stream.Source`."""
        return self._source.take_side()


def aim_at_once(
    source: Source,
    settings: EncoderSettings,
    bitrate: float | None,
    max_bitrate: float | None,
    model: Model,
    device: str,
) -> tuple[Source, EncoderSettings, Aim]:
    """Begin to encode a source that is read once, at a bit rate.

    Args:
        settings: their quality is not exceeded where there is no ``bitrate``.
        bitrate, max_bitrate: bits per second, at least one of them; with both, the lower one counts.

    Returns:
        What is to be encoded in place of the source, and how.
    """
    peeked = Peeked(source, PROBE_FRAMES)
    wanted = min(rate for rate in (bitrate, max_bitrate) if rate is not None)
    most = settings.quality if bitrate is None else 100.0
    start = start_quality(
        peeked.first, source.info, bits_per_second=wanted, settings=settings, model=model, device=device
    )
    quality = min(most, start)
    return peeked, replace(settings, quality=quality), Aim(quality, most, wanted)


def aim_with_samples(
    source: Source,
    settings: EncoderSettings,
    target: Target | None,
    max_bitrate: float | None,
    model: Model,
    device: str,
    show: Callable[[Try], None],
) -> tuple[EncoderSettings, Aim | None, Try]:
    """Find the quality of an encode by samples of its source.

    Args:
        source: is read to its end.
        settings: their quality counts where there is no target.
        target: what is wanted.
        max_bitrate: most bits per second.
        show: called with every quality that was tried.

    Returns:
        The settings with that quality; rate control for what was not sampled, none where the whole source was, or where
        a likeness is wanted; and what the samples were coded to.

    Raises:
        LvcError: the other streams alone exceed the size.
    """
    with scratch_folder() as folder:
        samples = Samples(source, folder, settings)
        if target is not None and target.size is not None and target.size <= samples.side_bytes:
            raise LvcError(
                f"a file of {target.size:.0f} bytes is not possible: audio and other streams alone, which are copied,"
                f" take {samples.side_bytes} bytes"
            )
        if target is None:
            best = samples.code(model, settings.quality, device, psnr=False, ssim=False)
            show(best)
        else:
            best = find_quality(samples, target, model, device, show)
        most, bits = 100.0, _bits(samples, target)
        if max_bitrate is not None and best.bits_per_second > _NEAR_LIMIT * max_bitrate:
            most, bits = (best.quality if bits is None else most), min(bits or 1e30, max_bitrate * samples.seconds)
            if best.bits_per_second > max_bitrate:
                best = find_quality(samples, Target(bitrate=max_bitrate), model, device, show, best)
    aim = None
    if bits is not None and not samples.is_whole:
        delay = max(1, min(MOST_DELAY, samples.groups // GROUPS_PER_DELAY))
        aim = Aim(best.quality, most, bits / samples.seconds, samples.plan(bits), delay)
    return replace(settings, quality=best.quality), aim, best


def missed(result: EncodeResult, target: Target | None, max_bitrate: float | None, best: Try | None) -> Iterator[str]:
    """A sentence where an encode is not what was wanted.

    Args:
        result: what it is.
        target, max_bitrate: what was wanted.
        best: what its samples were coded to; None where a rate was met in one pass.
    """
    target = target or Target()
    rate = 8 * (result.bytes - result.parts["side"]) / result.media_seconds
    if max_bitrate is not None and rate > (1 + _MET) * max_bitrate:
        yield f"the video has {rate / 1e3:.4g} kbit/s instead of {max_bitrate / 1e3:.4g} kbit/s at most"
    elif target.bitrate is not None:
        wanted = min(target.bitrate, max_bitrate or target.bitrate)
        if not _is_near(rate, wanted):
            yield f"the video has {rate / 1e3:.4g} kbit/s instead of the {wanted / 1e3:.4g} kbit/s that were wanted"
    if target.size is not None and not _is_near(result.bytes, target.size):
        yield f"the file has {result.bytes} bytes instead of the {target.size:.0f} that were wanted"
    if best is None:
        return
    if target.psnr is not None:
        if best.psnr is None:
            yield f"the highest bit rate does not allow the PSNR of {target.psnr:.2f} dB that was wanted"
        elif abs(best.psnr - target.psnr) > _MET_DECIBELS:
            yield f"the PSNR is about {best.psnr:.2f} dB instead of the {target.psnr:.2f} dB that were wanted"
    if target.ssim is not None:
        if best.ssim is None:
            yield f"the highest bit rate does not allow the SSIM of {target.ssim:.4f} that was wanted"
        elif abs(10 * math.log10(max(1e-9, 1 - best.ssim) / max(1e-9, 1 - target.ssim))) > _MET_DECIBELS:
            yield f"the SSIM is about {best.ssim:.4f} instead of the {target.ssim:.4f} that was wanted"


def _is_near(found: float, wanted: float) -> bool:
    return abs(found - wanted) <= _MET * wanted


def _bits(samples: Samples, target: Target | None) -> float | None:
    """What the whole source is to cost, where that is the target."""
    if target is not None and target.bitrate is not None:
        return target.bitrate * samples.seconds
    if target is not None and target.size is not None:
        return 8 * (target.size - samples.side_bytes)
    return None
