"""`.lvc` bytes: a header and a row of chunks, written down in ``lvc/FORMAT.md``. Knows no tensors and no codecs."""

from lvc.container import limits
from lvc.container.gop import BETWEEN, INTRA, PREDICTED, FrameRecord, Gop
from lvc.container.header import SIGNATURE, VERSION, Header, check_size
from lvc.container.index import IndexEntry
from lvc.container.order import Step, coding_order, levels, windows
from lvc.container.part import Part
from lvc.container.reader import Chunk, GopChunk, Reader, SideChunk
from lvc.container.writer import Writer

__all__ = [
    "BETWEEN",
    "INTRA",
    "PREDICTED",
    "SIGNATURE",
    "VERSION",
    "Chunk",
    "FrameRecord",
    "Gop",
    "GopChunk",
    "Header",
    "IndexEntry",
    "Part",
    "Reader",
    "SideChunk",
    "Step",
    "Writer",
    "check_size",
    "coding_order",
    "levels",
    "limits",
    "windows",
]
