"""The documents of a delta as the difference to those of its base: one zstd frame.

Source: RFC 8878. The base's documents are the frame's raw-content dictionary, which is what
``zstd -d --patch-from=BASE`` takes. The frame bears the size of its content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundles.reading.delta import BadDelta

if TYPE_CHECKING:
    import zstandard

MAX_CONTENT = 256 * 1024 * 1024  # bytes of documents, before and after: both are in memory
_THOROUGH = 8 * 1024 * 1024  # bytes of both up to which the slower search takes about a second
_MAX_WINDOW = 2 * MAX_CONTENT
_MAX_LOG = 26  # of the search tables: 256 MiB each


def compress(new: bytes, old: bytes) -> bytes:
    """The patch that makes `new` of `old`. The same bytes from the same release of libzstd."""
    import zstandard

    # The tables must hold all of `old`: the library's own choice keeps its last part only.
    log = (len(new) + len(old)).bit_length()
    thorough = len(new) + len(old) <= _THOROUGH
    parameters = zstandard.ZstdCompressionParameters(
        window_log=max(10, log),
        hash_log=min(max(6, log - 1), _MAX_LOG),
        chain_log=min(max(6, log - 1), _MAX_LOG),
        search_log=6,
        min_match=5,
        target_length=4096,
        strategy=zstandard.STRATEGY_BTOPT if thorough else zstandard.STRATEGY_LAZY2,
        write_content_size=True,
        write_checksum=False,
        write_dict_id=False,
    )
    compressor = zstandard.ZstdCompressor(dict_data=_dictionary(old), compression_params=parameters)
    return compressor.compress(new)


def expand(patch: bytes, old: bytes, size: int, where: str) -> bytes:
    """What `patch` makes of `old`, which must be `size` bytes. Part of check 14.

    Raises `BadDelta` before more memory than that is taken.
    """
    import zstandard

    if size > MAX_CONTENT:
        raise BadDelta(f"{where}: {size} bytes of documents in a patch; at most {MAX_CONTENT}")
    try:
        told = zstandard.get_frame_parameters(patch)
        if told.content_size != size or told.dict_id:
            raise BadDelta(f"{where}: the documents' patch is not one to {size} bytes")
        # One output of known size needs no window beside it: its size is no risk.
        expander = zstandard.ZstdDecompressor(
            dict_data=_dictionary(old), max_window_size=_MAX_WINDOW
        )
        data = expander.decompress(patch, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BadDelta(f"{where}: the documents' patch does not fit its base: {error}") from error
    if len(data) != size:
        raise BadDelta(f"{where}: the documents' patch does not make {size} bytes")
    return data


def _dictionary(old: bytes) -> zstandard.ZstdCompressionDict:
    import zstandard

    return zstandard.ZstdCompressionDict(old, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
