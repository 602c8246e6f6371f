"""The script that writes measured figures into a model's card."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from lvc.bench.cache import Cache
from lvc.bench.clips import Clip
from lvc.bench.codecs import parse_codec
from lvc.bench.measure import Conditions
from lvc.bench.results import Results
from lvc.bench.run import make_plan, run_plan
from lvc.catalogue import description_of
from lvc.media import VideoWriter
from lvc.model.weights import unpack
from tests.clips import clip_frames, clip_info
from tests.models import tiny_bytes

SCRIPT = Path(__file__).parent.parent / "scripts" / "publish_model.py"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report folder with curves of two peers."""
    folder = tmp_path_factory.mktemp("published")
    clip = folder / "pan.y4m"
    with VideoWriter(clip, clip_info(192, 176, 3), format="y4m") as writer:
        for frame in clip_frames("pan", 192, 176, 3):
            writer.write(frame)
    conditions = Conditions(frames=3)
    specs = [parse_codec(text) for text in ("x264:crf=20,28,36", "x265:crf=20,28,36")]
    plan = make_plan([Clip(clip, 3)], specs, conditions)
    for _ in run_plan(plan, conditions, Results(folder / "report"), Cache(None), 1, lambda _: None):
        pass
    return folder / "report"


def test_figures_are_those_of_the_report(report: Path) -> None:
    figures: Any = runpy.run_path(str(SCRIPT))["figures"]
    sentences = figures(report, "x264 medium", "x265 medium")
    assert [text.partition(" % ")[2] for text in sentences] == [
        "BD-rate in PSNR 6:1:1 against x264 medium, 1 clips of 3 frames",
        "BD-rate in MS-SSIM Y against x264 medium, 1 clips of 3 frames",
    ]
    assert all(-90 < float(text.partition(" ")[0]) < 90 for text in sentences)
    assert json.loads((report / "results.jsonl").read_text().splitlines()[0])["conditions"]["frames"] == 3


def test_the_model_is_the_same_but_for_its_card(report: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    command: Any = runpy.run_path(str(SCRIPT))["main"]
    model, published = tmp_path / "new.lvcm", tmp_path / "out.lvcm"
    model.write_bytes(tiny_bytes())
    arguments = [model, report, published, "--codec", "x265 medium", "--data", "nothing but noise"]
    result = CliRunner().invoke(command, [str(word) for word in arguments])
    assert result.exit_code == 0, result.output
    description, base = description_of(published.read_bytes(), "out")
    _, before = description_of(model.read_bytes(), "new")
    assert description["card"]["data"] == "nothing but noise"
    assert published.read_bytes()[base:] == model.read_bytes()[before:]
    assert unpack(published.read_bytes(), "out").id != unpack(model.read_bytes(), "new").id


def test_figures_are_of_one_run(report: Path, tmp_path: Path) -> None:
    """Curves of points that were measured in different ways would say something else; a model is asked for by name."""
    from click.testing import CliRunner

    command: Any = runpy.run_path(str(SCRIPT))["main"]
    lines = (report / "results.jsonl").read_text().splitlines(keepends=True)
    other = json.loads(lines[0])
    other |= {"key": "another", "conditions": {**other["conditions"], "frames": 2}}
    (tmp_path / "results.jsonl").write_text("".join(lines) + json.dumps(other) + "\n")
    model = tmp_path / "new.lvcm"
    model.write_bytes(tiny_bytes())
    for folder, options, said in (
        (tmp_path, ["--codec", "x265 medium"], "several conditions"),
        (report, [], "no points of 'lvc medium new.lvcm'"),
    ):
        result = CliRunner().invoke(command, [str(word) for word in (model, folder, tmp_path / "out.lvcm", *options)])
        assert result.exit_code == 1
        assert said in result.output
        assert not (tmp_path / "out.lvcm").exists()
