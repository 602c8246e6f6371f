"""The encoder: everything in here may change without changing the format."""

from lvc.encoder.settings import EncodeResult, EncoderSettings
from lvc.encoder.stream import encode_stream

__all__ = ["EncodeResult", "EncoderSettings", "encode_stream"]
