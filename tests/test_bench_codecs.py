"""Codec strings: what they stand for, and what is said of those that do not parse."""

import pytest

from lvc.bench.codecs import CodecStringError, merged, parse_codec
from lvc.encoder.settings import ABLATIONS


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


def test_paths_may_have_colons() -> None:
    spec = parse_codec("lvc:model=/runs/12:30/last.lvcm:quality=20")
    assert (spec.model, spec.points) == ("/runs/12:30/last.lvcm", (20,))
    assert parse_codec(spec.point_string(20)) == spec


def test_fractions_of_rate_factors() -> None:
    assert parse_codec("x264:crf=20.5").points == parse_codec("x265:crf=20.5").points == (20.5,)


def test_each_point_is_run_once() -> None:
    texts = ["x264:crf=20,40", "x265:crf=30", "libx264:preset=medium:crf=40,30", "x264:preset=slow:crf=40"]
    assert [(spec.name, spec.points) for spec in merged([parse_codec(text) for text in texts])] == [
        ("x264 medium", (20, 30, 40)),
        ("x265 medium", (30,)),
        ("x264 slow", (40,)),
    ]


def test_models_with_the_same_file_name_are_told_apart() -> None:
    models = ("runs/a/last.lvcm", "runs/b/last.lvcm", "old/a/last.lvcm", "runs/best.lvcm", "lite")
    specs = merged([parse_codec(f"lvc:model={model}") for model in models])
    assert [spec.model for spec in specs] == list(models)
    assert [spec.name.removeprefix("lvc medium ") for spec in specs] == [
        "runs/a/last.lvcm",
        "b/last.lvcm",
        "old/a/last.lvcm",
        "best.lvcm",
        "lite",
    ]


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
        ("lvc:ablate=motion", f"no part 'motion'; there are {', '.join(ABLATIONS)}"),
        ("lvc:ablate=scalar+", "no part ''"),
        ("lvc:quality=30.2,30.4", "whole numbers"),
        ("svtav1:crf=30.5", "whole numbers"),
        ("vp9:crf=30.5", "whole numbers"),
        ("x264:preset=slow:er", "key=value"),
    ],
)
def test_what_does_not_parse_is_named(text: str, says: str) -> None:
    with pytest.raises(CodecStringError, match=says):
        parse_codec(text)
