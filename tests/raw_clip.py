"""A small clip of raw video, as bytes, for commands to encode and decode."""

import io

from lvc.media import VideoWriter
from tests.clips import clip_frames, clip_info

FRAMES = 6
WIDTH, HEIGHT = 65, 48


def y4m() -> bytes:
    stream = io.BytesIO()
    with VideoWriter(stream, clip_info(WIDTH, HEIGHT, FRAMES), format="y4m") as writer:
        for frame in clip_frames("pan", WIDTH, HEIGHT, FRAMES):
            writer.write(frame)
    return stream.getvalue()
