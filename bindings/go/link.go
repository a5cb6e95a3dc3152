//go:build !static

package spanspool

// #cgo pkg-config: spanspool
import "C"
