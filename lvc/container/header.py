"""The signature and the header at the start of a `.lvc` file."""

import math
import zlib
from dataclasses import dataclass
from fractions import Fraction

from lvc.container import limits
from lvc.container.fields import Cursor, put_varint
from lvc.errors import FormatError, LimitError
from lvc.video import Colour, VideoInfo

SIGNATURE = b"\x8cLVC\r\n\x1a\n"
VERSION = 5
MODEL_ID_BYTES = 32
PREFIX_BYTES = len(SIGNATURE) + 2
"""Signature and header length: what must be read before the length of the rest is known."""

_CHROMA_420 = 1


@dataclass(frozen=True)
class Header:
    """What is true of a whole `.lvc` file.

    Attributes:
        model_id: SHA-256 of the model's weights, 32 bytes.
        info: the video; its ``frames`` estimate is not stored, a header that was read holds None there.
        quality: 1 to 100, what the encoder was asked for; single frames may differ.
        keyint: most frames between intra frames, 1 to ``limits.MAX_GOP_FRAMES``.
    """

    model_id: bytes
    info: VideoInfo
    quality: int
    keyint: int


def check_size(width: int, height: int) -> None:
    """Raise LimitError unless a picture of ``width`` by ``height`` luma samples is within the limits."""
    lowest, highest = limits.MIN_SIDE, limits.MAX_SIDE
    if not (lowest <= width <= highest and lowest <= height <= highest):
        raise LimitError(f"pictures of {width}x{height}: width and height must be {lowest} to {highest}")
    if width * height > limits.MAX_PIXELS:
        raise LimitError(f"pictures of {width}x{height} have more than {limits.MAX_PIXELS} samples")


def _problem(header: Header) -> str | None:
    """The first field outside its range, in words; None when there is none. Picture size: see :func:`check_size`."""
    info, colour = header.info, header.info.colour
    rate = Fraction(0) if info.frame_rate is None else info.frame_rate
    code_points = (colour.primaries, colour.transfer, colour.matrix)
    ranges = [
        ("model identity", len(header.model_id), MODEL_ID_BYTES, MODEL_ID_BYTES),
        ("quality", header.quality, 1, 100),
        ("key interval", header.keyint, 1, limits.MAX_GOP_FRAMES),
        *(("colour code point", code, 0, 255) for code in code_points),
        ("colour range", colour.range, 0, 2),
        ("chroma location", colour.chroma_location, 0, 6),
        ("time base", info.time_base.numerator, 1, limits.MAX_RATIO_TERM),
        *(("ratio", ratio.numerator, 0, limits.MAX_RATIO_TERM) for ratio in (rate, info.sample_aspect)),
        *(("ratio", r.denominator, 1, limits.MAX_RATIO_TERM) for r in (info.time_base, rate, info.sample_aspect)),
    ]
    for name, value, low, high in ranges:
        if not low <= value <= high:
            return f"{name} {value} is not within {low} to {high}"
    if info.bit_depth not in (8, 10):
        return f"bit depth {info.bit_depth} is neither 8 nor 10"
    if info.rotation not in (0, 90, 180, 270):
        return f"rotation {info.rotation} is no quarter turn"
    return None


def pack_header(header: Header) -> bytes:
    """The first bytes of a file: signature, header length, header, checksum.

    Raises:
        LimitError: the picture size is outside the limits.
        ValueError: another field is outside its range.
    """
    info, colour = header.info, header.info.colour
    check_size(info.width, info.height)
    if problem := _problem(header):
        raise ValueError(problem)
    body = bytearray([VERSION])
    body += header.model_id
    put_varint(body, info.width)
    put_varint(body, info.height)
    body += bytes([info.bit_depth, _CHROMA_420])
    for ratio in (info.time_base, info.frame_rate or Fraction(0), info.sample_aspect):
        put_varint(body, ratio.numerator)
        put_varint(body, ratio.denominator)
    body += bytes([colour.primaries, colour.transfer, colour.matrix, colour.range, colour.chroma_location])
    body += bytes([info.rotation // 90, header.quality])
    put_varint(body, header.keyint)
    counted = len(body).to_bytes(2, "big") + body
    return SIGNATURE + counted + zlib.crc32(counted).to_bytes(4, "big")


def header_length(prefix: bytes) -> int:
    """How many bytes follow the prefix (``PREFIX_BYTES``, or fewer at the end of the data) up to the first chunk.

    Raises:
        FormatError: not the signature of a `.lvc` file, or an impossible length.
    """
    if not prefix.startswith(SIGNATURE[: len(prefix)]):
        if prefix.startswith(SIGNATURE[:4]):
            raise FormatError("damaged signature: was the .lvc file transferred as text?", 4)
        raise FormatError("not a .lvc file: its signature is missing", 0)
    length = int.from_bytes(prefix[len(SIGNATURE) : PREFIX_BYTES], "big")
    if len(prefix) == PREFIX_BYTES and not 1 <= length <= limits.MAX_HEADER_BYTES:
        raise FormatError(f"damaged header: a length of {length} bytes", len(SIGNATURE))
    return length + 4


def unpack_header(prefix: bytes, rest: bytes) -> Header:
    """Read a header from the ``PREFIX_BYTES`` of the prefix and the rest, whose size :func:`header_length` gave.

    Raises:
        FormatError: wrong checksum, unknown version, or a field outside its range.
        LimitError: the picture size is outside the limits.
    """
    start = len(SIGNATURE)
    if zlib.crc32(prefix[start:] + rest[:-4]) != int.from_bytes(rest[-4:], "big"):
        raise FormatError("damaged header: wrong checksum", start)
    fields = Cursor(rest[:-4], PREFIX_BYTES, "header")
    version = fields.u8()
    if version != VERSION:
        raise FormatError(f".lvc version {version}, this program reads version {VERSION}", PREFIX_BYTES)
    model_id = fields.take(MODEL_ID_BYTES)
    width, height = fields.varint(), fields.varint()
    bit_depth, chroma = fields.u8(), fields.u8()
    if chroma != _CHROMA_420:
        raise fields.error(f"unknown chroma format {chroma}")
    time_base, frame_rate, sample_aspect = _ratio(fields), _ratio(fields), _ratio(fields)
    colour = Colour(*fields.take(5))
    rotation, quality, keyint = 90 * fields.u8(), fields.u8(), fields.varint()
    fields.finish()
    info = VideoInfo(
        width=width,
        height=height,
        bit_depth=bit_depth,
        time_base=time_base,
        frame_rate=frame_rate or None,
        colour=colour,
        sample_aspect=sample_aspect,
        rotation=rotation,
    )
    header = Header(model_id, info, quality, keyint)
    if problem := _problem(header):
        raise FormatError(f"header: {problem}", PREFIX_BYTES)
    check_size(width, height)
    return header


def _ratio(fields: Cursor) -> Fraction:
    numerator, denominator = fields.varint(), fields.varint()
    if max(numerator, denominator) > limits.MAX_RATIO_TERM or math.gcd(numerator, denominator) != 1 or not denominator:
        raise fields.error(f"{numerator}/{denominator} is no ratio in lowest terms up to {limits.MAX_RATIO_TERM}")
    return Fraction(numerator, denominator)
