"""Sources that cannot be encoded or decoded: one sentence, a status of its own, and nothing left behind."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from lvc.catalogue import model_info
from lvc.container import VERSION
from tests.clips import make_clip
from tests.command_line import run
from tests.container_files import HEADER, write
from tests.media_files import write_media
from tests.models import tiny_bytes
from tests.test_header import changed_header

SIDE = 32
FRAME_BYTES = len(b"FRAME\n") + SIDE * SIDE * 3 // 2
TOO_WIDE = b"\xc0\xff\x7f"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.lvcm"
    path.write_bytes(tiny_bytes())
    return path


def check_refusal(result: Result, source: Path, status: int, message: str) -> None:
    """The source is alone in its folder, as it was before."""
    assert result.exit_code == status, result.output
    assert result.stderr.startswith(f"lvc: error: {source}: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not result.stdout
    assert list(source.parent.iterdir()) == [source]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (len(b"FRA"), "before frame 2"),
        (len(b"FRAME\n"), "in the middle of frame 2"),
        (FRAME_BYTES - 1, "in the middle of frame 2"),
    ],
)
def test_raw_video_that_ends_in_a_frame(tmp_path: Path, model: Path, kept: int, message: str, workers: int) -> None:
    """In the third of four pictures, each of which is a group."""
    source = tmp_path / "in.y4m"
    make_clip(source, width=SIDE, height=SIDE, frames=4)
    source.write_bytes(source.read_bytes()[: kept - 2 * FRAME_BYTES])
    fixed = ["--model", model, "--device", "cpu", "--threads", 1, "--quiet"]  # or the first one tells of compiling
    options = ["--preset", "fast", "--keyint", 1, "--workers", workers]
    result = run("encode", source, tmp_path / "out.lvc", *options, *fixed)
    check_refusal(result, source, 3, message)


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv"])
def test_half_a_file(tmp_path: Path, model: Path, name: str) -> None:
    source = tmp_path / name
    make_clip(source, width=SIDE, height=SIDE, frames=4)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    result = run("encode", source, tmp_path / "out.lvc", "--model", model)
    check_refusal(result, source, 3, "cut off")


@pytest.mark.parametrize(
    ("size", "chroma"), [("W16400 H16", "420jpeg"), ("W16 H16400", "420p10"), ("W16000 H16000", "420jpeg")]
)
def test_pictures_over_the_limits(tmp_path: Path, model: Path, size: str, chroma: str) -> None:
    """They are refused by what the header says."""
    source = tmp_path / "in.y4m"
    source.write_bytes(f"YUV4MPEG2 {size} F25:1 Ip A1:1 C{chroma}\n".encode())
    result = run("encode", source, tmp_path / "out.lvc", "--model", model)
    check_refusal(result, source, 7, size[1:].replace(" H", "x"))


def test_pictures_over_the_limits_that_ffmpeg_reads(tmp_path: Path, model: Path) -> None:
    source = tmp_path / "in.mkv"
    write_media(source, times=[0], size=(16400, 16), codec="ffv1")
    result = run("encode", source, tmp_path / "out.lvc", "--model", model)
    check_refusal(result, source, 7, "16400x16")


@pytest.mark.parametrize("name", ["out.y4m", "out.mp4"])
@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        (lambda body: body.__setitem__(0, VERSION + 1), 4, f"version {VERSION + 1}"),
        (lambda body: body.__setitem__(0, VERSION - 1), 4, f"version {VERSION - 1}"),
        (lambda body: body.__setitem__(slice(33, 35), TOO_WIDE), 7, "2097088x353"),
    ],
)
def test_headers_that_cannot_be_read(
    tmp_path: Path, model: Path, change: Callable[[bytearray], None], status: int, message: str, name: str
) -> None:
    source = tmp_path / "in.lvc"
    source.write_bytes(changed_header(change))
    result = run("decode", source, tmp_path / name, "--model", model)
    check_refusal(result, source, status, message)


@pytest.mark.parametrize("name", ["out.y4m", "out.mp4", "out.mkv"])
@pytest.mark.parametrize("options", [[], ["--keep-going"], ["--preview"]])
def test_files_without_pictures(tmp_path: Path, model: Path, options: list[str], name: str) -> None:
    """The format allows them, but no video can be made of them."""
    source = tmp_path / "in.lvc"
    source.write_bytes(write(header=replace(HEADER, model_id=model_info(model).id)))
    result = run("decode", source, tmp_path / name, "--quiet", "--model", model, "--threads", 1, *options)
    check_refusal(result, source, 4, "not one whole picture")
