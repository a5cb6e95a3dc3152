//go:build static

package spanspool

// Where both libraries are installed, -lspanspool is the shared one. The static one is named first, so that it resolves
// every symbol, and --as-needed then leaves the shared one out.

// #cgo LDFLAGS: -Wl,--as-needed -l:libspanspool.a
// #cgo pkg-config: --static spanspool
import "C"
