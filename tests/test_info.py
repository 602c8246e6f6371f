"""`lvc info`."""

import io
import json
from pathlib import Path

import lvc
from lvc import api
from lvc.container import Reader, SideChunk, Writer
from lvc.container.chunk import SIDE, pack_chunk
from tests.command_line import run
from tests.container_files import FIRST_CHUNK, HEADER, SMALL, group
from tests.media_files import Sound, write_media
from tests.models import tiny_bytes


def test_info(small: Path) -> None:
    result = run("info", small)
    assert result.exit_code == 0
    assert f"{small}: complete" in result.stdout
    assert "641x353, 10 bit, 4:2:0, 29.97 frames/s" in result.stdout
    assert "turned by 270 degrees" in result.stdout
    assert HEADER.model_id.hex() in result.stdout
    assert "5 frames (2 intra)" in result.stdout


def test_info_json_adds_up(small: Path) -> None:
    for result in (run("info", small, "--json"), run("info", "-", "--json", stdin=SMALL)):
        fields = json.loads(result.stdout)
        assert fields["bytes"] == len(SMALL) == sum(fields["parts"].values())
        side = [item.size for item in Reader(io.BytesIO(SMALL)) if isinstance(item, SideChunk)]
        assert fields["parts"]["side"] == sum(side)
        assert sum(side) == len(b"side data" + b"more") + 2 * len(pack_chunk(SIDE, 0, b""))
        assert fields["parts"]["motion"] == 3 * 7 // 3 + 2 * 7 // 3
        assert fields["parts"]["hyper"] == 3 * 7 // 2 + 2 * 7 // 2
        assert fields["parts"]["latents"] == 5 * 7 - 11 - 17
        assert [gop["frames"] for gop in fields["gops"]] == [3, 2]
        assert fields["header"]["frame_rate"] == "30000/1001"
        assert (fields["truncated"], fields["damage"]) == (False, [])


def test_parts_are_those_that_the_encode_told(tmp_path: Path) -> None:
    """Also of other streams."""
    (tmp_path / "tiny.lvcm").write_bytes(tiny_bytes())
    write_media(tmp_path / "in.mkv", times=[0, 40, 80], sounds=[Sound("pcm_s16le", seconds=0.12)])
    result = lvc.encode(
        tmp_path / "in.mkv", tmp_path / "out.lvc", model=tmp_path / "tiny.lvcm", preset="fast", device="cpu", keyint=2
    )
    assert result.parts["side"] > 0
    assert api.inspect(tmp_path / "out.lvc").parts == result.parts


def test_info_tells_of_damage(small: Path) -> None:
    small.write_bytes(SMALL[:-1])
    result = run("info", small)
    assert result.exit_code == 0
    assert f"{small}: truncated" in result.stdout
    assert "damage     the file ends within the END chunk" in result.stdout
    small.write_bytes(SMALL[: FIRST_CHUNK + 100] + b"?" + SMALL[FIRST_CHUNK + 101 :])
    assert f"{small}: damaged" in run("info", small).stdout


def test_info_lists_many_groups_only_when_asked(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with Writer(stream, HEADER) as writer:
        for i in range(30):
            writer.write_gop(group(i, 1))
    path = tmp_path / "many.lvc"
    path.write_bytes(stream.getvalue())
    assert "and 10 more groups" in run("info", path).stdout
    assert "more groups" not in run("info", path, "--gops").stdout
