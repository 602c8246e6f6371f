"""Everything that lvc raises on purpose: one sentence for the user, one exit status for the shell."""


class LvcError(Exception):
    """Base of all expected failures. ``str(error)`` is one sentence: what is wrong, where, what to do.

    Attributes:
        exit_status: the status with which the command line ends.
    """

    exit_status = 1


class InputError(LvcError):
    """The source cannot be read as video: missing, not a video, no frames, damaged."""

    exit_status = 3


class FormatError(LvcError):
    """A `.lvc` file that breaks the format: bad signature, version, checksum or field.

    Args:
        message: what is wrong.
        position: byte offset in the file at which the damaged part begins, where known.
    """

    exit_status = 4

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message if position is None else f"{message} (at byte {position})")
        self.position = position


class TruncatedError(FormatError):
    """A `.lvc` file that ends before its END chunk."""

    exit_status = 5


class ModelError(LvcError):
    """The model that a file needs, or that was asked for, is unknown, damaged or breaks its exactness bound."""

    exit_status = 6


class LimitError(LvcError):
    """A size or count over the documented limits (see ``lvc.container``)."""

    exit_status = 7


class OutputError(LvcError):
    """The output cannot be written: exists and not to be replaced, equals the input, disk full, no permission."""

    exit_status = 8


class MismatchError(LvcError):
    """The decoded pictures are not those that the encoder saw: a broken device or a bug, never to be ignored."""

    exit_status = 9


class OutOfMemoryError(LvcError):
    """Memory does not suffice, of this machine or of its GPU."""

    exit_status = 10
