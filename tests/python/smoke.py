"""The C ABI from Python, by ctypes: smoke.py LIBRARY SPOOL_DIR ENDPOINT"""

import ctypes
import sys

library, spool_dir, endpoint = sys.argv[1:]
lib = ctypes.CDLL(library)
lib.spanspool_config_new.restype = ctypes.c_void_p
lib.spanspool_config_free.argtypes = [ctypes.c_void_p]
lib.spanspool_config_set.argtypes = [ctypes.c_void_p] + [ctypes.c_char_p] * 3 + [ctypes.c_size_t]
lib.spanspool_init.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
lib.spanspool_last_error.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
lib.spanspool_last_error.restype = ctypes.c_size_t
lib.spanspool_enqueue.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
lib.spanspool_flush.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
lib.spanspool_shutdown.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
lib.spanspool_free.argtypes = [ctypes.c_void_p]
lib.spanspool_status_str.argtypes = [ctypes.c_int32]
lib.spanspool_status_str.restype = ctypes.c_char_p

why = ctypes.create_string_buffer(256)


def check(status):
    if status:
        sys.exit(f"{lib.spanspool_status_str(status).decode()}: {why.value.decode()}")


config = lib.spanspool_config_new()
for key, value in {"spool_dir": spool_dir, "endpoint": endpoint}.items():
    check(lib.spanspool_config_set(config, key.encode(), value.encode(), why, len(why)))
client = ctypes.c_void_p()
check(lib.spanspool_init(config, ctypes.byref(client), why, len(why)))
lib.spanspool_config_free(config)

item = b'{"object":"trace","id":"trace_python"}'
assert lib.spanspool_enqueue(client, b"{", 1) == 2
assert lib.spanspool_last_error(client, why, len(why)) == len(why.value) > 0
check(lib.spanspool_enqueue(client, item, len(item)))
check(lib.spanspool_flush(client, 20_000))
check(lib.spanspool_shutdown(client, 20_000))
lib.spanspool_free(client)
