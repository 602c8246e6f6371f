"""Video files and pipes: frames with timing and colour in and out, side streams copied untouched.

The only place that imports ``av`` (PyAV, FFmpeg).
"""

from lvc.media.edit import EditedSource
from lvc.media.reader import VideoReader
from lvc.media.writer import VideoWriter

__all__ = ["EditedSource", "VideoReader", "VideoWriter"]
