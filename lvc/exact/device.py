"""Which device may run the exact layers."""

import warnings

from lvc.errors import MismatchError
from lvc.exact.arithmetic import passes_self_test


def working_device(device: str) -> str:
    """The device itself if it passes the self-test, else the CPU, with one warning.

    Raises:
        MismatchError: even the CPU fails: this machine cannot decode.
    """
    if passes_self_test(device):
        return device
    if device != "cpu" and passes_self_test("cpu"):
        warnings.warn(f"{device} does not compute exactly; using the CPU instead", RuntimeWarning, stacklevel=2)
        return "cpu"
    raise MismatchError("this machine does not compute the codec's integer layers exactly; nothing can be decoded here")
