// The C ABI from Go, by cgo: smoke SPOOL_DIR ENDPOINT. CGO_CFLAGS and CGO_LDFLAGS say where header and library are.
package main

/*
#cgo LDFLAGS: -lspanspool
#include <spanspool.h>
#include <stdlib.h>
*/
import "C"

import (
	"fmt"
	"os"
	"unsafe"
)

func check(what string, status C.spanspool_status, why *C.char) {
	if status != C.SPANSPOOL_OK {
		text := C.GoString(C.spanspool_status_str(C.int32_t(status)))
		fmt.Fprintf(os.Stderr, "%s: %s: %s\n", what, text, C.GoString(why))
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) != 3 {
		os.Exit(2)
	}
	const whyLen = 256
	why := (*C.char)(C.calloc(1, whyLen))
	defer C.free(unsafe.Pointer(why))

	config := C.spanspool_config_new()
	for _, setting := range [][2]string{{"spool_dir", os.Args[1]}, {"endpoint", os.Args[2]}} {
		key, value := C.CString(setting[0]), C.CString(setting[1])
		check(setting[0], C.spanspool_config_set(config, key, value, why, whyLen), why)
		C.free(unsafe.Pointer(key))
		C.free(unsafe.Pointer(value))
	}
	var spool *C.spanspool
	check("init", C.spanspool_init(config, &spool, why, whyLen), why)
	C.spanspool_config_free(config)

	// Go memory may be passed as it is: the library copies it during the call.
	item := []byte(`{"object":"trace","id":"trace_go"}`)
	bytes := (*C.char)(unsafe.Pointer(unsafe.SliceData(item)))
	check("enqueue", C.spanspool_enqueue(spool, bytes, C.size_t(len(item))), why)
	check("flush", C.spanspool_flush(spool, 20000), why)
	check("shutdown", C.spanspool_shutdown(spool, 20000), why)
	C.spanspool_free(spool)
}
