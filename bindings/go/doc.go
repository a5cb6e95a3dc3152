// Package spanspool makes a program's traces and spans durable before the call returns, and delivers them to an HTTP
// ingest: now, after an outage, or from the next process after this one was killed.
//
// [Open] opens a spool, a folder that any number of processes may share. When [Client.Enqueue] returns nil, the item
// will reach its destination, or sit in the spool, or be found in the rejected store with the answer next to it, or was
// dropped under a limit or for damage that a counter of [Client.Stats] names. An item is one JSON object, a trace or a
// span as the OpenAI Agents SDK exports it. Programs with OpenTelemetry use the module otelspool in this folder.
//
// A [Client] may be used by any number of goroutines, also while it is being shut down. [Exporter] accepts values
// instead of bytes.
//
// # Linking
//
// The package calls the C library by cgo and finds it by pkg-config. So Go needs a C compiler, pkg-config, and an
// installed spanspool (or PKG_CONFIG_PATH set to the folder with its spanspool.pc). A program built with -tags static
// contains the library and needs only the system's C library when it runs.
//
// # Processes and signals
//
// os/exec needs no care: it never forks without exec, and the new program inherits no descriptor of the spool. The
// library installs no signal handlers, and its threads block all signals, so os/signal works as always. A program that
// ends without [Client.Shutdown], by os.Exit or by a signal, loses no accepted item.
package spanspool
