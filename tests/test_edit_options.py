"""What times, sizes, rates and crops look like on the command line."""

from fractions import Fraction

import pytest
from click.testing import CliRunner

from lvc.cli import main
from lvc.cli.options import seconds_of
from lvc.edit import Crop, parse_rate, parse_size


def test_times_sizes_and_rates() -> None:
    assert [seconds_of(text) for text in ("90", "1:30", "00:01:30.5", "0.001")] == [
        90,
        90,
        Fraction("90.5"),
        Fraction("0.001"),
    ]
    assert parse_size("640x360") == (640, 360)
    assert [parse_rate(text) for text in ("25", "29.97", "30000/1001")] == [
        25,
        Fraction("29.97"),
        Fraction(30000, 1001),
    ]
    assert Crop.parse("64:32:2:4") == Crop(64, 32, 2, 4)
    assert Crop.parse("64:32") == Crop(64, 32)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--start", "soon"), ("--start", "-1"), ("--start", "1:2:3:4"), ("--frames", "0"), ("--crop", "64:32:1:0"),
        ("--crop", "64x32"), ("--scale", "64:32"), ("--scale", "0x3"), ("--fps", "0"), ("--fps", "1/0"), ("--fps", "x"),
    ],
)  # fmt: skip
def test_wrong_usage(option: str, text: str) -> None:
    result = CliRunner().invoke(main, ["encode", "in.mkv", "x.lvc", option, text])
    assert result.exit_code == 2
    assert option in result.stderr
