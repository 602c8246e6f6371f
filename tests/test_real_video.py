"""Real clips, from the folder that LVC_VAL names or else from ../shared/data/val, where there is one."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lvc.cli import main
from lvc.media import VideoReader
from lvc.training.data import SUFFIXES

FOLDER = Path(os.environ.get("LVC_VAL") or Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "val")
CLIPS = sorted(path for path in FOLDER.glob("*") if path.suffix in SUFFIXES)[:3]
FRAMES, WIDTH, HEIGHT = 10, 192, 128
PART = ["--frames", str(FRAMES), "--crop", f"{WIDTH}:{HEIGHT}"]
MOST_BITS = {5: 0.5, 60: 3.0}
"""Per pixel, at a quality: raw video has 12."""

pytestmark = pytest.mark.skipif(not CLIPS, reason=f"no clips in {FOLDER} (LVC_VAL names another folder)")


def run(*arguments: object) -> dict[str, Any]:
    result = CliRunner().invoke(main, [*map(str, arguments), "--json", "--quiet"])
    assert result.exit_code == 0, result.output
    fields: dict[str, Any] = json.loads(result.stdout)
    return fields


@pytest.mark.parametrize("clip", CLIPS, ids=lambda path: path.stem)
def test_a_part_of_a_clip(tmp_path: Path, clip: Path) -> None:
    """Decodes to the very pictures that the encoder saw, costs what was estimated, and more at a higher quality."""
    sizes = []
    for quality, most in MOST_BITS.items():
        coded, decoded = tmp_path / f"{quality}.lvc", tmp_path / f"{quality}.y4m"
        fields = run("encode", clip, coded, "-q", quality, "--no-verify", *PART)
        sizes.append(coded.stat().st_size)
        assert fields["frames"] == FRAMES
        assert fields["bytes"] == sum(fields["parts"].values()) == sizes[-1]
        assert fields["estimated_bits"] / 8 == pytest.approx(sizes[-1], rel=0.01)
        assert 8 * sizes[-1] / (FRAMES * WIDTH * HEIGHT) < most
        assert run("verify", coded)["frames"] == FRAMES
        assert run("decode", coded, decoded)["frames"] == FRAMES
        with VideoReader(decoded) as reader:
            assert (reader.info.width, reader.info.height, len(list(reader))) == (WIDTH, HEIGHT, FRAMES)
    assert sizes[0] < sizes[1]
