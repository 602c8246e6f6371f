"""Peer codecs: they run as they come, their bytes are counted alike, and what they refuse is named."""

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.filter import Graph

from lvc.bench.metrics import frame_quality
from lvc.media import VideoWriter, filters, peers
from lvc.video import Frame, VideoInfo

FRAMES = 12


def clip(width: int = 96, height: int = 80, bit_depth: int = 8, count: int = FRAMES) -> tuple[VideoInfo, list[Frame]]:
    """A texture that moves two samples per frame."""
    generator = np.random.default_rng(0)
    texture = np.kron(generator.integers(0, 2**bit_depth, (64, 64)), np.ones((4, 4), np.int64)).astype(np.uint16)
    frames = []
    for index in range(count):
        luma = texture[10 : 10 + height, 2 * index : 2 * index + width]
        chroma = luma[::2, ::2] // 2 + 2 ** (bit_depth - 2)
        frames.append(Frame([luma, chroma, chroma], index, 1))
    return VideoInfo(width, height, bit_depth, frame_rate=Fraction(30)), frames


def settings(codec: str, rate_factor: float = 30, **more: object) -> peers.PeerSettings:
    if not peers.is_available(codec):
        pytest.skip(f"this PyAV build has no {codec}")
    preset = {"x264": "medium", "x265": "fast", "svtav1": "10", "vp9": "5"}[codec]
    return peers.PeerSettings(codec, preset, rate_factor, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("codec", peers.CODECS)
def test_peers_code_and_decode(codec: str) -> None:
    info, frames = clip()
    stream = peers.encode(settings(codec), info, frames)
    decoded = list(peers.decode(stream))
    assert len(decoded) == len(frames) == len(stream.frame_sizes)
    assert sum(stream.frame_sizes) == stream.size + stream.settings_text_size
    assert stream.encode_seconds > 0
    assert stream.decode_seconds > 0
    for frame, planes in zip(frames, decoded, strict=True):
        assert frame_quality(frame.planes, planes).psnr_611 > 22


@pytest.mark.parametrize("codec", peers.CODECS)
def test_lower_rate_factor_means_more_bytes(codec: str) -> None:
    info, frames = clip()
    fine, coarse = (peers.encode(settings(codec, rate_factor), info, frames).size for rate_factor in (20, 40))
    assert fine > 1.3 * coarse


@pytest.mark.parametrize("codec", ["x264", "x265", "svtav1"])
def test_ten_bits(codec: str) -> None:
    info, frames = clip(bit_depth=10)
    try:
        stream = peers.encode(settings(codec), info, frames)
    except peers.PeerError as error:
        pytest.skip(str(error))
    for frame, planes in zip(frames, peers.decode(stream), strict=True):
        assert frame_quality(frame.planes, planes, 10).psnr_611 > 22


@pytest.mark.parametrize("threads", [0, 1])
def test_x264_runs_with_all_that_its_preset_has(threads: int) -> None:
    info, frames = clip()
    text = peers.encode(settings("x264", threads=threads), info, frames).settings_text
    used = dict(re.findall(r"(\w+)=(\S+)", text))
    expected = {
        "ref": "3",
        "bframes": "3",
        "b_pyramid": "2",
        "weightp": "2",
        "rc_lookahead": "40",
        "mbtree": "1",
        "cabac": "1",
        "subme": "7",
        "trellis": "1",
        "sliced_threads": "0",
        "rc": "crf",
        "keyint": str(peers.KEY_INTERVAL),
        "scenecut": "40",
    }
    assert {name: used.get(name) for name in expected} == expected


def test_x265_runs_with_all_that_its_preset_has() -> None:
    info, frames = clip()
    stream = peers.encode(peers.PeerSettings(settings("x265").codec, "medium", 30), info, frames)
    words = stream.settings_text.split()
    assert {"ref=3", "bframes=4", "b-adapt=2", "rc-lookahead=20", "sao", "cutree", "rd=3"} <= set(words)


def test_settings_text_is_not_counted() -> None:
    info, frames = clip(count=2)
    stream = peers.encode(settings("x264"), info, frames)
    assert stream.settings_text_size > len(stream.settings_text) > 300
    assert stream.size == sum(map(len, stream.packets)) - stream.settings_text_size


@pytest.mark.parametrize("codec", ["x264", "x265"])
def test_one_intra_switches_scene_cuts_off(codec: str) -> None:
    info, frames = clip()
    text = peers.encode(settings(codec, one_intra=True), info, frames).settings_text
    assert "scenecut=0" in text.split()


def test_what_cannot_be_done_is_named() -> None:
    info, frames = clip(width=95)
    with pytest.raises(peers.PeerError, match="x264"):
        peers.encode(settings("x264"), info, frames)
    with pytest.raises(peers.PeerError, match="no frames"):
        peers.encode(settings("x264"), clip()[0], [])


def test_xpsnr_is_near_psnr_on_even_noise() -> None:
    if not filters.is_available("xpsnr"):
        pytest.skip("this PyAV build has no xpsnr filter")
    info, frames = clip(count=3)
    comparison = filters.Comparison("xpsnr", info.width, info.height, 8)
    noise = np.random.default_rng(1).integers(0, 5, frames[0].planes[0].shape).astype(np.uint16)
    frame = frames[0].planes
    values = comparison.add(frame, [np.minimum(frame[0] + noise, 255).astype(np.uint16), frame[1], frame[2]])
    assert 30 < float(values["lavfi.xpsnr.xpsnr.y"]) < 50


def test_filters_known_to_misread_are_refused() -> None:
    if not filters.is_available("xpsnr"):
        pytest.skip("this PyAV build has no xpsnr filter")
    with pytest.raises(filters.FilterError, match="misreads"):
        filters.Comparison("xpsnr", 202, 176, 10)


@pytest.mark.parametrize(("width", "height"), [(16, 16), (44, 46), (64, 30)])
def test_xpsnr_is_refused_where_its_filter_would_crash(width: int, height: int) -> None:
    if not filters.is_available("xpsnr"):
        pytest.skip("this PyAV build has no xpsnr filter")
    with pytest.raises(filters.FilterError, match="under 2025 samples"):
        filters.Comparison("xpsnr", width, height, 8)
    info, frames = clip(48, 44, count=1)
    smallest = filters.Comparison("xpsnr", info.width, info.height, 8)
    assert "lavfi.xpsnr.xpsnr.y" in smallest.add(frames[0].planes, frames[0].planes)


@pytest.mark.parametrize("rate", [24, 30, 60])
def test_xpsnr_is_that_of_ffmpeg_on_files_of_the_same_rate(tmp_path: Path, rate: int) -> None:
    if not {"xpsnr", "movie"} <= av.filter.filters_available:
        pytest.skip("this PyAV build has no xpsnr or movie filter")
    info, frames = clip()
    info = replace(info, frame_rate=Fraction(rate), time_base=Fraction(1, rate))
    generator = np.random.default_rng(2)
    noisy = [
        replace(frame, planes=[plane ^ generator.integers(0, 8, plane.shape, np.uint16) for plane in frame.planes])
        for frame in frames
    ]
    graph = Graph()
    compare, sink = graph.add("xpsnr"), graph.add("buffersink")
    for index, pictures in enumerate((noisy, frames)):
        path = tmp_path / f"{index}.y4m"
        with VideoWriter(path, info, format="y4m") as writer:
            for frame in pictures:
                writer.write(frame)
        graph.add("movie", filename=str(path)).link_to(compare, 0, index)
    compare.link_to(sink)
    graph.configure()
    comparison = filters.Comparison("xpsnr", info.width, info.height, 8, Fraction(rate))
    for frame, decoded in zip(frames, noisy, strict=True):
        ours = comparison.add(frame.planes, decoded.planes)
        theirs = sink.pull().metadata
        for plane in "yuv":
            name = f"lavfi.xpsnr.xpsnr.{plane}"
            assert float(ours[name]) == pytest.approx(float(theirs[name]), abs=0.01)
