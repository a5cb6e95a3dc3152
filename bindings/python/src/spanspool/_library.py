"""Library: libspanspool.so, found, checked and described to ctypes.

``SPANSPOOL_LIBRARY=/path/to/libspanspool.so`` takes the place of the one in the package. It is read once, at import.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_char_p, c_int32, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path

from ._stats import RawStats

# SPANSPOOL_VERSION_NUMBER of the header that the prototypes below follow.
HEADER_VERSION = 0x000200

# A size_t. ctypes turns an int into an address in half the time, and on Linux one is as wide as the other.
_SIZE_OF_ITEM = c_void_p

# Every function that is called from here: what it gives, what it takes.
PROTOTYPES: dict[str, tuple[type, list[type]]] = {
    "spanspool_version_number": (c_uint32, []),
    "spanspool_version": (c_char_p, []),
    "spanspool_status_str": (c_char_p, [c_int32]),
    "spanspool_config_new": (c_void_p, []),
    "spanspool_config_free": (type(None), [c_void_p]),
    "spanspool_config_set": (c_int32, [c_void_p, c_char_p, c_char_p, c_char_p, c_size_t]),
    "spanspool_init": (c_int32, [c_void_p, POINTER(c_void_p), c_char_p, c_size_t]),
    "spanspool_last_error": (c_size_t, [c_void_p, c_char_p, c_size_t]),
    "spanspool_enqueue": (c_int32, [c_void_p, c_char_p, _SIZE_OF_ITEM]),
    "spanspool_enqueue_as": (c_int32, [c_void_p, c_char_p, c_char_p, _SIZE_OF_ITEM]),
    "spanspool_set_api_key": (c_int32, [c_void_p, c_char_p]),
    "spanspool_set_named_key": (c_int32, [c_void_p, c_char_p, c_char_p]),
    "spanspool_pause": (c_int32, [c_void_p]),
    "spanspool_wake": (c_int32, [c_void_p]),
    "spanspool_sync": (c_int32, [c_void_p]),
    "spanspool_flush": (c_int32, [c_void_p, c_uint64]),
    "spanspool_get_stats": (c_int32, [c_void_p, POINTER(RawStats), c_size_t]),
    "spanspool_shutdown": (c_int32, [c_void_p, c_uint64]),
    "spanspool_free": (type(None), [c_void_p]),
}


def _load() -> ctypes.CDLL:
    named = os.environ.get("SPANSPOOL_LIBRARY")
    path = named or str(Path(__file__).with_name("libspanspool.so"))
    try:
        # CDLL lets go of the GIL during each call.
        library = ctypes.CDLL(path)
        for name, (result, arguments) in PROTOTYPES.items():
            function = getattr(library, name)
            function.restype = None if result is type(None) else result
            function.argtypes = arguments
    except (OSError, AttributeError) as error:
        hint = "" if named else "; install the wheel, or name one that you built in SPANSPOOL_LIBRARY"
        raise ImportError(f"spanspool can't use the library {path}: {error}{hint}") from error
    found = int(library.spanspool_version_number())
    # Until 1.0 the second number is the one that says whether two versions fit together.
    if found >> 8 != HEADER_VERSION >> 8:
        raise ImportError(
            f"spanspool can't use the library {path}: it is version {_dotted(found)}, "
            f"and this package is made for {_dotted(HEADER_VERSION)}"
        )
    return library


def _dotted(version: int) -> str:
    return f"{version >> 16}.{version >> 8 & 0xFF}.{version & 0xFF}"


LIBRARY = _load()


def version() -> str:
    """The version of the library that is running, such as "0.2.0"."""
    text: bytes = LIBRARY.spanspool_version()
    return text.decode()


def phrase(status: int) -> str:
    """The library's phrase for a status."""
    text: bytes = LIBRARY.spanspool_status_str(status)
    return text.decode()


def last_error(handle: c_void_p) -> str:
    """The text of the calling thread's last failed call on a handle."""
    length = LIBRARY.spanspool_last_error(handle, None, 0)
    text = ctypes.create_string_buffer(length + 1)
    LIBRARY.spanspool_last_error(handle, text, len(text))
    return text.value.decode(errors="replace")
