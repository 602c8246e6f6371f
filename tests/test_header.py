"""The beginning of `.lvc` files: signature and header."""

import io
import zlib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest

from lvc.container import VERSION, Reader
from lvc.container.header import pack_header
from lvc.errors import FormatError, LimitError
from lvc.video import Colour
from tests.container_files import FIRST_CHUNK, HEADER, INFO, SMALL, read, write


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"RIFF" + bytes(100), "not a .lvc file"),
        (SMALL.replace(b"\r\n", b"\n", 1), "transferred as text"),
        (SMALL[:8] + b"\xff\xff" + SMALL[10:], "length of 65535"),
        (SMALL[:8] + b"\x00\x00" + SMALL[10:], "length of 0"),
    ],
)
def test_bad_beginnings(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read(data)


def changed_header(change: Callable[[bytearray], None]) -> bytes:
    body = bytearray(SMALL[10 : FIRST_CHUNK - 4])
    change(body)
    counted = len(body).to_bytes(2, "big") + body
    return SMALL[:8] + counted + zlib.crc32(counted).to_bytes(4, "big") + SMALL[FIRST_CHUNK:]


def test_other_versions_and_sizes_over_the_limits_are_refused() -> None:
    with pytest.raises(FormatError, match=f"version {VERSION + 1}"):
        read(changed_header(lambda body: body.__setitem__(0, VERSION + 1)))
    with pytest.raises(LimitError, match="2097088x353"):
        read(changed_header(lambda body: body.__setitem__(slice(33, 35), b"\xc0\xff\x7f")))
    with pytest.raises(FormatError, match="unexpected"):
        read(changed_header(lambda body: body.append(0)))
    for width, height in ((15, 100), (16385, 16), (16000, 16000)):
        with pytest.raises(LimitError, match=f"{width}x{height}"):
            write(header=replace(HEADER, info=replace(INFO, width=width, height=height)))


@pytest.mark.parametrize(
    "change",
    [{"quality": 0}, {"quality": 101}, {"keyint": 0}, {"keyint": 1025}, {"model_id": b"short"}],
)
def test_bad_header_fields_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="is not within"):
        write(header=replace(HEADER, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"bit_depth": 9},
        {"rotation": 45},
        {"time_base": Fraction(0)},
        {"sample_aspect": Fraction(-1)},
        {"frame_rate": Fraction(1 << 40)},
        {"colour": Colour(range=3)},
        {"colour": Colour(primaries=256)},
    ],
)
def test_bad_video_descriptions_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="is n"):
        write(header=replace(HEADER, info=replace(INFO, **change)))  # type: ignore[arg-type]


FIELDS: dict[str, bytes] = {
    "version": b"\5",
    "model": bytes(range(32)),
    "size": b"\x81\5\xe1\2",
    "depth": b"\x0a",
    "chroma": b"\1",
    "time base": b"\xe9\7\xb0\xea\1",
    "frame rate": b"\xb0\xea\1\xe9\7",
    "sample aspect": b"\4\3",
    "primaries, transfer, matrix": b"\x09\x10\x09",
    "range": b"\1",
    "chroma location": b"\1",
    "rotation": b"\3",
    "quality": b"\x3c",
    "key interval": b"\xfa\1",
}
"""The header of ``HEADER``, field by field, from FORMAT.md."""


def header_with(**changed: bytes) -> bytes:
    """A file with this header, changed, and nothing else."""
    body = b"".join({**FIELDS, **{name.replace("_", " "): data for name, data in changed.items()}}.values())
    counted = len(body).to_bytes(2, "big") + body
    return SMALL[:8] + counted + zlib.crc32(counted).to_bytes(4, "big")


def test_fields_are_where_the_format_says() -> None:
    assert header_with() == SMALL[:FIRST_CHUNK]


@pytest.mark.parametrize(
    ("field", "data"),
    [
        ("version", b"\0"),
        ("version", b"\1"),
        ("version", b"\2"),
        ("version", b"\x81\0"),
        ("size", b"\x81\x85\0\xe1\2"),
        ("depth", b"\x09"),
        ("depth", b"\0"),
        ("chroma", b"\0"),
        ("chroma", b"\2"),
        ("time_base", b"\0\1"),
        ("time_base", b"\1\0"),
        ("time_base", b"\2\4"),
        ("time_base", b"\x80\x80\x80\x80\x08\1"),
        ("time_base", b"\1\x80\x80\x80\x80\x08"),
        ("time_base", b"\x80\x80\x80\x80\x10" * 2),
        ("frame_rate", b"\0\0"),
        ("frame_rate", b"\0\2"),
        ("frame_rate", b"\x19\x80\0"),
        ("frame_rate", b"\x32\2"),
        ("sample_aspect", b"\3\3"),
        ("sample_aspect", b"\1\0"),
        ("sample_aspect", b"\x80\x80\x80\x80\x08\3"),
        ("range", b"\3"),
        ("chroma_location", b"\7"),
        ("rotation", b"\4"),
        ("rotation", b"\xff"),
        ("quality", b"\0"),
        ("quality", b"\x65"),
        ("key_interval", b"\0"),
        ("key_interval", b"\x81\x08"),
        ("key_interval", b"\xfa\x81\0"),
        ("key_interval", b"\xfa"),
        ("key_interval", b"\xfa\1\0"),
    ],
)
def test_readers_refuse_fields_out_of_range(field: str, data: bytes) -> None:
    with pytest.raises(FormatError, match=r"header|version") as caught:
        read(header_with(**{field: data}))
    assert 10 <= (caught.value.position or 0) <= FIRST_CHUNK


@pytest.mark.parametrize("data", [b"\x0f\x20", b"\x20\x0f", b"\x81\x80\1\x20", b"\x80\x80\1\x81\x20"])
def test_readers_refuse_sizes_out_of_range(data: bytes) -> None:
    with pytest.raises(LimitError, match="pictures of"):
        read(header_with(size=data))


@pytest.mark.parametrize(
    ("field", "data"),
    [
        ("time_base", b"\xff\xff\xff\xff\7\1"),
        ("time_base", b"\1\xff\xff\xff\xff\7"),
        ("frame_rate", b"\0\1"),
        ("sample_aspect", b"\0\1"),
        ("primaries, transfer, matrix", b"\0\xff\2"),
        ("range", b"\2"),
        ("chroma_location", b"\6"),
        ("rotation", b"\0"),
        ("quality", b"\x64"),
        ("key_interval", b"\x80\x08"),
    ],
)
def test_the_ends_of_ranges_belong_to_them(field: str, data: bytes) -> None:
    whole = header_with(**{field: data})
    header = Reader(io.BytesIO(whole)).header
    assert pack_header(header) == whole
