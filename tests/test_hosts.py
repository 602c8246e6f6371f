"""Programs that use lvc as a library, and have chosen how PyTorch computes."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.clips import make_clip
from tests.models import tiny_bytes

ROOT = Path(__file__).resolve().parent.parent

SETTINGS = {
    "nothing": "pass",
    "short factors": "torch.backends.fp32_precision = 'tf32'",
    "whole factors": "torch.backends.fp32_precision = 'ieee'",
    "short factors in oneDNN": "torch.backends.mkldnn.fp32_precision = 'bf16'",
    "short factors in convolutions": "torch.backends.mkldnn.conv.fp32_precision = 'bf16'",
    "short factors in cuBLAS": "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "the old way": "torch.set_float32_matmul_precision('medium')",
    "double": "torch.set_default_dtype(torch.float64)",
    "no device": "torch.set_default_device('meta')",
    "autocast": "torch.autocast('cpu', torch.bfloat16).__enter__()",
    "deterministic": "torch.use_deterministic_algorithms(True)",
    "inference": "torch.inference_mode().__enter__()",
}

TOGETHER = [
    ["nothing"],
    ["short factors", "deterministic"],
    ["whole factors", "inference"],
    ["short factors in oneDNN", "double"],
    ["short factors in convolutions", "no device"],
    ["short factors in cuBLAS", "autocast"],
    ["the old way"],
]
"""What has nothing to do with each other is chosen by one program, since each takes seconds to start."""

PROGRAM = """
import hashlib, io, sys
import torch

def chosen():
    backends = torch.backends
    settings = [torch.get_default_dtype(), torch.get_default_device(), torch.is_autocast_enabled("cpu")]
    settings += [torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled(), backends.cudnn.enabled]
    for each in (backends, backends.cuda.matmul, backends.mkldnn.matmul, getattr(backends.mkldnn, "conv", None)):
        settings.append(getattr(each, "fp32_precision", None))
    return settings

exec(sys.argv[1])
before = chosen()
import lvc
coded = io.BytesIO()
lvc.encode(sys.argv[2], coded, model=sys.argv[3], quality=40)
pictures = hashlib.md5()
coded.seek(0)
with lvc.open(coded, model=sys.argv[3]) as video:
    for frame in video:
        for plane in frame.planes:
            pictures.update(plane.tobytes())
assert chosen() == before, (before, chosen())
print(hashlib.md5(coded.getvalue()).hexdigest(), pictures.hexdigest())
"""


def results(setting: str, clip: Path, model: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, setting, str(clip), str(model)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="this PyTorch has no such settings")
def test_what_a_program_has_chosen_changes_no_byte_and_stays(tmp_path: Path) -> None:
    clip, model = tmp_path / "clip.y4m", tmp_path / "tiny.lvcm"
    make_clip(clip, width=64, height=48, frames=4)
    model.write_bytes(tiny_bytes())
    assert sorted(name for names in TOGETHER for name in names) == sorted(SETTINGS)
    found = [results("\n".join(SETTINGS[name] for name in names), clip, model) for names in TOGETHER]
    assert set(found) == {found[0]}, dict(zip(map(str, TOGETHER), found, strict=True))
