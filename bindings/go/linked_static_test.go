//go:build static

package spanspool_test

const static = true
