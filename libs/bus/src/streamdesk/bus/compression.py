"""Bodies of frames, compressed with zstd."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    import backports.zstd as zstd  # noqa: PLR0402 - mypy does not find it the other way

ZSTD = b"zstd"
LEVEL = 1
"""The fastest of the usual levels: a frame is written once and read soon."""

LARGEST_BODY_BYTES = 64 * 1024 * 1024
"""Nothing larger is expanded: some kilobytes could fill the memory otherwise."""


class CodecError(ValueError):
    """Not zstd, or too large."""


def compressed(body: bytes) -> bytes:
    """The body as zstd."""
    return zstd.compress(body, level=LEVEL)


def expanded(body: bytes) -> bytes:
    """The body as it was.

    Raises:
        CodecError: it cannot be expanded, ends early, or is larger than LARGEST_BODY_BYTES.
    """
    expander = zstd.ZstdDecompressor()
    try:
        plain = expander.decompress(body, max_length=LARGEST_BODY_BYTES)
    except zstd.ZstdError as error:
        raise CodecError(str(error)) from error
    if not expander.eof:
        raise CodecError("it does not end where it should")
    return plain
