"""The report page: everything in it, nothing from outside, readable on a phone, in a real browser."""

import contextlib
import html
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lvc.bench.cache import Row
from lvc.bench.crops import Crop, CropRow
from lvc.bench.plots import can_plot, write_plots
from lvc.bench.png import encode_png, to_rgb
from lvc.bench.report import About, html_report
from lvc.bench.summary import Summary, text_tables
from lvc.bench.svg import SERIES_STYLES, Series, chart, marker_key
from lvc.video import Colour, VideoInfo

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ATTEMPTS = 3
PATIENCE = 120.0
PHONE = 375
CLIPS = ("street", "a_clip_with_quite_a_long_name_1920x1080")
CODECS = ("lvc medium", "x264 medium", "x265 medium")


def row(clip: str, codec: str, step: int, **changes: Any) -> Row:
    rate = 0.02 * 2**step * (1 + CODECS.index(codec) / 4)
    metrics = {"psnr": 30.0 + 3 * step, "psnr_y": 29.0 + 3 * step, "ms_ssim_db": 9.0 + 2 * step, "xpsnr": None}
    return {
        "clip": clip,
        "codec": codec,
        "string": f"{codec.replace(' ', ':preset=')}:crf={40 - step}",
        "bpp": rate,
        "kbps": rate * 1e4,
        "width": 640,
        "height": 360,
        "bit_depth": 8,
        "frame_rate": 25.0,
        "frames": 32,
        "metrics": metrics,
        "missing": {"vmaf": "this PyAV build has no libvmaf filter"},
        "encode_seconds": 1.0 + CODECS.index(codec),
        "decode_seconds": 0.5,
        "encode_fps": 32.0,
        "decode_fps": 64.0,
        "peak_bytes": 1 << 28,
        **changes,
    }


def rows() -> list[Row]:
    return [row(clip, codec, step) for clip in CLIPS for codec in CODECS for step in range(4)]


def page() -> str:
    pixels = np.zeros((16, 24, 3), np.uint8)
    crops = [CropRow(CLIPS[0], 7, (0, 16, 24, 16), [Crop(name, "0.1 bit", pixels) for name in ("source", *CODECS)])]
    about = About("lvc bench <clips>", "2030-01-02", "ctc conditions", ["lvc 0"], ["bad.mkv: <cannot> be read"])
    return html_report(Summary(rows()), about, crops)


def test_everything_is_there() -> None:
    text = page()
    assert text.count('class="chart"') == len(CLIPS) * 3 + 2
    assert text.count('data-series="') == (len(CLIPS) * 3 + 2) * len(CODECS)
    assert "bad.mkv: &lt;cannot&gt; be read" in text
    assert "no libvmaf" in text
    assert text.count("data:image/png;base64") == 4
    assert "against x264 medium" in text


def test_nothing_comes_from_outside() -> None:
    links = re.findall(r"""(?:src|href|action|poster)=["']([^"']*)|url\(([^)]*)\)|@import\s*([^;]*)""", page())
    assert links
    assert all("".join(link).startswith("data:") for link in links)
    assert "<script" not in page()


def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("there is no Chromium here")
    return found


def rendered(page_file: Path, folder: Path) -> str:
    """A page as it is after its scripts have run.

    Browsers start many processes and now and then hang; all of them are ended then, and another one is tried.
    """
    command = [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000", "--dump-dom"]
    command += ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += ["--disable-quic", "--host-resolver-rules=MAP * ~NOTFOUND"]
    for attempt in range(ATTEMPTS):
        profile = folder / f"profile{attempt}"
        output = folder / f"dom{attempt}.html"  # not a pipe, which a process left behind would keep open
        with output.open("w") as stream:
            process = subprocess.Popen(
                [*command, f"--user-data-dir={profile}", page_file.as_uri()],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                status = process.wait(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                continue
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        assert status == 0
        return output.read_text("utf-8")
    pytest.fail(f"{command[0]} hung {ATTEMPTS} times")


def test_in_a_browser_on_a_phone(tmp_path: Path) -> None:
    look = """<script>addEventListener('load', () => { const d = document, frame = d.createElement('iframe');
      frame.style.width = 'WIDTHpx'; frame.srcdoc = d.getElementById('page').content.textContent; frame.onload = () => {
      const p = frame.contentDocument, w = frame.contentWindow, boxes = [...p.querySelectorAll('.chart')];
      const texts = [...p.querySelectorAll('.chart text')];
      d.title = JSON.stringify({ inner: w.innerWidth, scroll: p.documentElement.scrollWidth,
        charts: boxes.length, drawn: boxes.filter(b => b.getBoundingClientRect().width > 200).length,
        curves: [...p.querySelectorAll('.chart [data-series] path.line')].filter(l => l.getTotalLength() > 20).length,
        text: Math.min(...texts.map(t => t.getBoundingClientRect().height)),
        images: [...p.images].filter(i => i.complete && i.naturalWidth).length,
        fetched: w.performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith('data:')),
      }); }; d.body.append(frame); });</script>""".replace("WIDTH", str(PHONE))
    path = tmp_path / "look.html"
    wrapped = f'<!doctype html><meta charset="utf-8"><template id="page">{html.escape(page())}</template>{look}'
    path.write_text(wrapped, "utf-8")
    dom = rendered(path, tmp_path)
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title, dom[:500]
    seen = json.loads(html.unescape(title.group(1)))
    charts = len(CLIPS) * 3 + 2
    assert seen["charts"] == seen["drawn"] == charts
    assert seen["curves"] == len(CLIPS) * 3 * len(CODECS)
    assert seen["images"] == 4
    assert seen["fetched"] == []
    assert seen["scroll"] <= PHONE
    assert seen["text"] >= 9


def test_tables_say_where_there_is_no_number() -> None:
    far = [row("far", "x264 medium", step) for step in range(3)]
    far += [row("far", "lvc medium", step, metrics={"psnr": 60.0 + step}) for step in range(3)]
    text = text_tables(Summary([*rows(), *far]))
    assert "no overlap" in text
    assert "(100%), 2 of 3" in text
    alone = text_tables(Summary([row("street", "lvc medium", 0)]))
    assert "BD-rate" not in alone
    assert "speed" in alone


def test_anchors() -> None:
    assert Summary(rows()).anchor == "x264 medium"
    assert Summary(rows(), "x265 medium").anchor == "x265 medium"
    assert Summary(rows(), "x266").rate_difference(CLIPS[0], "lvc medium", "psnr") is None  # it has no rows
    assert Summary([]).anchor is None
    summary = Summary(rows())
    difference = summary.rate_difference(CLIPS[0], "lvc medium", "psnr")
    assert difference is not None
    assert difference.value == pytest.approx(-20)
    mean = summary.mean_rate_difference("x265 medium", "psnr")
    assert mean is not None
    assert mean.value == pytest.approx(20)
    assert mean.clips == 2


def test_quality_at_equal_rate_is_told_per_clip_and_on_average() -> None:
    """Each doubling of the rate gives 3 dB, and the PSNR curves of x264 and x265 are 20 % of rate apart."""
    expected = -3 * np.log2(1.5 / 1.25)
    summary = Summary(rows())
    mean = summary.mean_quality_difference("x265 medium", "psnr")
    assert mean is not None
    assert (mean.value, mean.clips) == (pytest.approx(expected, abs=0.01), 2)
    text = text_tables(summary)
    table = text[text.index("\nBD-PSNR 6:1:1") :].split("\n\n")[0].splitlines()[-3:]
    assert [line.split()[0] for line in table] == [*CLIPS, "mean"]
    assert all(f"{expected:+.2f} dB (84%)" in line for line in table)
    section = page().split("Quality at equal rate, BD-PSNR 6:1:1")[1].split("</table>")[0]
    assert re.search(
        rf"<th>mean</th>.*<td>{re.escape(f'{expected:+.2f}')} dB \(84%\) <small>2 clips</small></td>", section
    )


def test_the_overlap_is_told_always() -> None:
    short = [row("short", codec, step) for codec in CODECS for step in range(4)]
    short = [each for each in short if each["codec"] != "lvc medium" or each["metrics"]["psnr"] < 38]
    text = text_tables(Summary([*rows(), *short]))
    bd_rates = text.split("\n\n")[0].splitlines()
    assert [re.findall(r"\((.*?)\)", line)[0] for line in bd_rates[3:]] == ["100%", "100%", "67%", "67–100%"]
    assert bd_rates[0] == "against x264 medium, in brackets the overlap of the curves"
    assert '<td><span class="fewer">-20.0 % (100%)</span></td>' in page()


def test_a_run_without_rows_has_a_page() -> None:
    about = About("lvc bench", "2030-01-02", "default conditions", [], ["nothing worked"])
    assert "nothing worked" in html_report(Summary([]), about)


def test_pictures_are_valid_png() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    data = encode_png(pixels)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    position, body = 8, b""
    while position < len(data):
        (size,) = struct.unpack_from(">I", data, position)
        name, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + size]
        assert struct.unpack_from(">I", data, position + 8 + size) == (zlib.crc32(name + content),)
        body += content if name == b"IDAT" else b""
        position += 12 + size
    lines = np.frombuffer(zlib.decompress(body), np.uint8).reshape(5, 22)
    assert (lines[:, 0] == 2).all()
    assert (np.cumsum(lines[:, 1:].reshape(5, 7, 3), axis=0, dtype=np.uint8) == pixels).all()


@pytest.mark.parametrize("depth", [8, 10])
def test_colours_of_crops(depth: int) -> None:
    scale = 2 ** (depth - 8)
    info = VideoInfo(32, 32, depth, colour=Colour(matrix=1, range=1))
    flat = [np.full((32, 32), 16 * scale, np.uint16), *[np.full((16, 16), 128 * scale, np.uint16)] * 2]
    assert (to_rgb(flat, info, 2, 4, 8, 6) == 0).all()
    flat[0] = np.full((32, 32), 235 * scale, np.uint16)
    white = to_rgb(flat, info, 24, 24, 16, 16)
    assert white.shape == (8, 8, 3)
    assert (white == 255).all()
    red = [np.full((32, 32), 63 * scale), np.full((16, 16), 102 * scale), np.full((16, 16), 240 * scale)]
    seen = to_rgb([plane.astype(np.uint16) for plane in red], info, 0, 0, 4, 4)[0, 0].tolist()
    assert seen == pytest.approx([255, 0, 0], abs=2)


def test_plots(tmp_path: Path) -> None:
    if not can_plot():
        pytest.skip("matplotlib is not installed")
    summary = Summary([row("a clip/with slash", codec, step) for codec in CODECS for step in range(3)])
    written = write_plots(summary, tmp_path / "curves")
    assert len(written) == 3
    assert {path.name for path in written} == {f"a_clip_with_slash-{name}.png" for name in summary.measures}
    assert all(path.parent == tmp_path / "curves" and path.read_bytes()[:4] == b"\x89PNG" for path in written)


def test_plots_of_clips_whose_names_look_alike(tmp_path: Path) -> None:
    if not can_plot():
        pytest.skip("matplotlib is not installed")
    clips = ("a b", "a_b", "ab")
    written = write_plots(Summary([row(clip, CODECS[0], 0, metrics={"psnr": 30.0}) for clip in clips]), tmp_path)
    assert [path.name for path in written] == ["a_b-1-psnr.png", "a_b-2-psnr.png", "ab-psnr.png"]


def test_every_codec_has_a_look_of_its_own() -> None:
    assert len({marker_key(style) for style in range(SERIES_STYLES)}) == SERIES_STYLES == 36
    drawings = [chart("", "", "", [Series("one", style, [(1.0, 30.0, "")])]) for style in range(SERIES_STYLES)]
    assert len(set(drawings)) == SERIES_STYLES
