"""Codec strings: what they stand for, and what is said of those that do not parse."""

import pytest

from lvc.bench.codecs import CodecStringError, parse_codec


def test_a_full_string() -> None:
    spec = parse_codec("x265:preset=slow:crf=37,22,32,27")
    assert (spec.codec, spec.preset, spec.points) == ("x265", "slow", (22, 27, 32, 37))
    assert spec.name == "x265 slow"
    assert spec.point_string(22) == "x265:preset=slow:crf=22"
    assert parse_codec(spec.point_string(22)).name == spec.name


def test_what_is_left_out_takes_defaults() -> None:
    assert parse_codec("x264").preset == "medium"
    assert len(parse_codec("x264").points) == 5
    assert parse_codec("libsvtav1").codec == "svtav1"
    assert len(parse_codec("lvc").points) == 4


def test_ours() -> None:
    assert parse_codec("lvc:tune=ssim:quality=20").point_string(20) == "lvc:preset=medium:tune=ssim:quality=20"
    assert parse_codec("lvc:tune=ssim").name == "lvc medium tune ssim"
    spec = parse_codec("lvc:preset=fast:quality=20,60:model=folder/large.lvcm:ablate=scalar+noadapt")
    assert spec.is_ours
    assert spec.ablate == ("noadapt", "scalar")
    assert spec.name == "lvc fast large.lvcm without noadapt without scalar"
    assert parse_codec(spec.point_string(20)) == parse_codec(
        "lvc:preset=fast:quality=20:model=folder/large.lvcm:ablate=scalar+noadapt"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("h263", "there are lvc, x264"),
        ("", "there is no codec"),
        ("x264:slow", "key=value"),
        ("x264:crf=", "key=value"),
        ("x264:crf=20:crf=30", "twice"),
        ("x264:crf=low", "numbers"),
        ("x264:crf=52", "from 0 to 51"),
        ("x264:preset=quick", "ultrafast"),
        ("lvc:tune=film", "psnr, ssim"),
        ("x264:tune=zerolatency", "there are psnr"),
        ("vp9:tune=psnr", "has none"),
        ("x264:quality=3", "not understood"),
        ("lvc:quality=0", "from 1 to 100"),
        ("lvc:crf=20", "not understood"),
    ],
)
def test_what_does_not_parse_is_named(text: str, says: str) -> None:
    with pytest.raises(CodecStringError, match=says):
        parse_codec(text)
