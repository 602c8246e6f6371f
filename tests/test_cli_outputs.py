"""Outputs that exist, and outputs that are inputs."""

from pathlib import Path

import pytest

import lvc
from tests.command_line import Call, run
from tests.container_files import SMALL


def test_existing_output_without_a_terminal_is_refused(small: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"clip")
    for flags, hint in (([], " (-y replaces it)"), (["-n"], "")):
        result = run("decode", small, clip, *flags)
        assert result.exit_code == 8
        assert result.stderr == f"lvc: error: {clip}: the file exists and is not to be replaced{hint}\n"
    with pytest.raises(lvc.OutputError, match=r"is not to be replaced$"):
        lvc.decode(small, clip)
    assert clip.read_bytes() == b"clip"


@pytest.mark.parametrize(("answer", "replaced"), [(True, True), (False, False)])
def test_on_a_terminal_people_are_asked(
    calls: list[Call], small: Path, monkeypatch: pytest.MonkeyPatch, answer: bool, replaced: bool
) -> None:
    questions: list[str] = []
    monkeypatch.setattr("lvc.cli.options._on_a_terminal", lambda: True)
    monkeypatch.setattr("click.confirm", lambda text, err: questions.append(text) or answer)
    run("encode", "in.mp4", small)
    assert calls[0].options["overwrite"] is replaced
    assert questions == [f"{small} exists. Replace it?"]
    run("encode", "-", small)
    run("encode", "in.mp4", small, "-y")
    run("encode", "in.mp4", small.with_name("new.lvc"))
    assert [call.options["overwrite"] for call in calls[1:]] == [False, True, False]
    assert len(questions) == 1


def test_output_over_input_is_refused(small: Path) -> None:
    result = run("decode", small, small, "-y")
    assert result.exit_code == 8
    assert "same file" in result.stderr
    twin = small.with_name("twin.lvc")
    twin.hardlink_to(small)
    result = run("cut", small, twin, "-y")
    assert result.exit_code == 8
    assert "same file" in result.stderr
    assert small.read_bytes() == SMALL
