//go:build static

package spanspool

// Where both libraries are installed -lspanspool is the shared one. The static one is named first, so that nothing is
// left for the shared one to give, and --as-needed leaves that out.

// #cgo LDFLAGS: -Wl,--as-needed -l:libspanspool.a
// #cgo pkg-config: --static spanspool
import "C"
