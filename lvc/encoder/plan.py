"""Where groups of pictures begin, decided from the source alone, so that they can be coded in any order."""

from collections.abc import Callable, Iterable, Iterator

from lvc.container import limits
from lvc.encoder.scene import SceneCuts
from lvc.encoder.settings import EncoderSettings
from lvc.video import Frame, VideoInfo


def stretches(source: Iterable[Frame], info: VideoInfo, settings: EncoderSettings) -> Iterator[Iterator[Frame]]:
    """Cut a source at scene cuts and after the key interval.

    Yields:
        The frames of each stretch, all to be gone through before the next stretch is asked for. When they have been,
        one frame more of the source has been read.
    """
    is_cut: Callable[[Frame], bool] = SceneCuts(info.bit_depth).is_cut
    most = min(settings.keyint, limits.MAX_GOP_FRAMES)
    frames = iter(source)
    waiting: list[Frame] = []

    def stretch() -> Iterator[Frame]:
        yield waiting.pop()
        count = 1
        for frame in frames:
            if (is_cut(frame) and settings.scene_cuts) or count >= most:
                waiting.append(frame)
                return
            yield frame
            count += 1

    first = next(frames, None)
    if first is None:
        return
    is_cut(first)
    waiting.append(first)
    while waiting:
        yield stretch()
