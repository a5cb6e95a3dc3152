// Package spanspool makes a program's traces and spans durable before the call returns, and delivers them to an HTTP
// ingest whenever that can be reached: now, after the outage, or from the next process after this one was killed.
//
// [Open] opens a spool, a folder that any number of processes may share. When [Client.Enqueue] returns nil, the item
// will reach the ingest, or sit in the spool, or be found in the rejected store with the ingest's answer beside it, or
// have been dropped under a limit or for damage that a counter of [Client.Stats] names. An item is one JSON object, a
// trace or a span as the OpenAI Agents SDK exports it.
//
// A [Client] may be used by any number of goroutines, also while it is being shut down. [Exporter] takes values instead
// of bytes.
//
// # Linking
//
// The package calls the C library by cgo and finds it by pkg-config, so Go needs a C compiler, pkg-config, and an
// installed spanspool (or PKG_CONFIG_PATH set to the folder with its spanspool.pc). Built with -tags static, the
// program has the library inside and needs nothing when it runs but the system's own C library.
//
// # Processes and signals
//
// No care is needed for os/exec, which never forks without exec: the new program inherits no descriptor of the spool.
// The library installs no signal handlers, and its threads block all signals, so os/signal works as ever. A program that
// ends without [Client.Shutdown], by os.Exit or by a signal, loses nothing that was taken.
package spanspool
