"""Files that no encoder wrote, behind right checksums: whatever is asked of them ends in a result or in a sentence."""

import io
import zlib
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lvc
from lvc import api
from lvc.container import Reader, chunk
from lvc.container.gop import unpack_gop
from lvc.decoder import Decoder
from lvc.edit import Span
from lvc.errors import LvcError
from tests.media_files import Sound, Text, write_media
from tests.models import tiny_bytes, tiny_model

Chunks = list[tuple[bytes, int, bytes]]
"""Type, flags and payload of each."""


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Three groups of two small pictures, with sound, subtitles, chapters and tags."""
    folder = tmp_path_factory.mktemp("hostile")
    write_media(
        folder / "in.mkv",
        times=range(0, 240, 40),
        size=(32, 32),
        sounds=[Sound("aac", seconds=0.3)],
        texts=[Text("subrip", [(0, 100, "one"), (120, 200, "two")])],
        chapters=[(0, 100, "one"), (100, 240, "two")],
        tags={"title": "A title"},
    )
    (folder / "tiny.lvcm").write_bytes(tiny_bytes())
    lvc.encode(folder / "in.mkv", folder / "out.lvc", keyint=2, quality=30, preset="fast", model=folder / "tiny.lvcm")
    return (folder / "out.lvc").read_bytes()


def taken_apart(data: bytes) -> tuple[bytes, Chunks]:
    source = chunk.Source(io.BytesIO(data))
    source.seek(Reader(io.BytesIO(data))._first_chunk)
    header, chunks = data[: source.position], Chunks()
    while not chunks or chunks[-1][0] != chunk.END:
        head = chunk.read_head(source)
        chunks.append((head.type, head.flags, chunk.read_payload(source, head)[0]))
    return header, chunks


def changed(data: st.DataObject, payload: bytes) -> bytes:
    """Some bytes replaced, put in or left out."""
    out = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(out)))
        out[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    return bytes(out)


def changed_gop(data: st.DataObject, payload: bytes) -> bytes:
    """Its table, with a right checksum, or the payloads of its frames."""
    size = len(payload) - 4 - sum(len(frame.payload) for frame in unpack_gop(payload, 0)[1].frames)
    if data.draw(st.booleans()):
        return payload[: size + 4] + changed(data, payload[size + 4 :])
    table = changed(data, payload[:size])
    return table + zlib.crc32(table).to_bytes(4, "big") + payload[size + 4 :]


def mutant(data: st.DataObject, coded: bytes) -> bytes:
    """The file with a chunk changed, doubled, lost or in another place."""
    header, chunks = taken_apart(coded)
    at, to = (data.draw(st.integers(0, len(chunks) - 1)) for _ in range(2))
    kind, flags, payload = chunks[at]
    match data.draw(st.sampled_from(["payload", "payload", "payload", "double", "lose", "swap"])):
        case "payload":
            chunks[at] = (kind, flags, (changed_gop if kind == chunk.GOP else changed)(data, payload))
        case "double":
            chunks.insert(to, chunks[at])
        case "lose":
            del chunks[at]
        case "swap":
            chunks[at], chunks[to] = chunks[to], chunks[at]
    return header + b"".join(chunk.pack_chunk(*each) for each in chunks)


def decode(data: bytes, **options: bool | int | Span) -> None:
    list(Decoder(io.BytesIO(data), load_model=lambda _: tiny_model(), **options))  # type: ignore[arg-type]


CALLS: dict[str, Callable[[bytes], object]] = {
    "info": lambda data: api.inspect(io.BytesIO(data)).as_json(),
    "cut": lambda data: api.cut(io.BytesIO(data), io.BytesIO(), start=Fraction(1, 10)),
    "cat": lambda data: api.cat([io.BytesIO(data), io.BytesIO(data)], io.BytesIO()),
    "decode": decode,
    "batches": lambda data: decode(data, batch=2, keep_going=True),
    "preview": lambda data: decode(data, preview=True, keep_going=True, layers=1),
    "span": lambda data: decode(data, span=Span(Fraction(1, 10), 2)),
}


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(list(CALLS)))
def test_any_call_of_any_mutant(coded: bytes, data: st.DataObject, name: str) -> None:
    with suppress(LvcError):
        CALLS[name](mutant(data, coded))


@pytest.mark.parametrize("name", list(CALLS))
def test_the_calls_take_the_file_itself(coded: bytes, name: str) -> None:
    header, chunks = taken_apart(coded)
    assert header + b"".join(chunk.pack_chunk(*each) for each in chunks) == coded
    CALLS[name](coded)
