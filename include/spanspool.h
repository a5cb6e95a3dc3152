/*
 * spanspool: makes a program's traces and spans durable before the call returns, and delivers them to an HTTP ingest.
 *
 * cc -I include quickstart.c -L target/release -lspanspool
 *
 *     #include <spanspool.h>
 *     #include <stdio.h>
 *     #include <string.h>
 *
 *     int main(int argc, char **argv) {
 *         if (argc != 3) return fprintf(stderr, "usage: quickstart SPOOL_DIR ENDPOINT\n"), 2;
 *         char why[256] = "";
 *         spanspool_client *client = NULL;
 *         spanspool_config *config = spanspool_config_new();
 *         spanspool_status status = spanspool_config_set(config, "spool_dir", argv[1], why, sizeof why);
 *         if (!status) status = spanspool_config_set(config, "endpoint", argv[2], why, sizeof why);
 *         if (!status) status = spanspool_init(config, &client, why, sizeof why);
 *         spanspool_config_free(config);
 *         if (status) return fprintf(stderr, "cannot open the spool: %s\n", why), 1;
 *
 *         const char *item = "{\"object\":\"trace\",\"id\":\"trace_0123456789abcdef0123456789abcdef\","
 *                            "\"workflow_name\":\"quickstart\",\"group_id\":null,\"metadata\":null}";
 *         status = spanspool_enqueue(client, item, strlen(item));
 *         // What is not delivered by then stays in the spool.
 *         if (!status) status = spanspool_shutdown(client, 5000);
 *         if (status) {
 *             spanspool_last_error(client, why, sizeof why);
 *             fprintf(stderr, "%s\n", why);
 *         }
 *         spanspool_free(client);
 *         return status;
 *     }
 *
 *
 * The promise
 * -----------
 * When spanspool_enqueue returns OK, the item will reach its destination, or stay in the spool, or be found in the
 * rejected store with the reason next to it, or have been dropped under a limit or for damage that a counter names.
 * Nothing else can become of it.
 *
 * This holds when the process dies at any instruction, kill -9 included: the next process delivers what is left. It holds
 * through fork and exit, on a full disk, and with an ingest that is absent, slow or hostile. A damaged file costs what
 * was damaged, and the rest is delivered. A power cut takes nothing with durability=power; with durability=process, the
 * default, it can take the items accepted since the last sync. Delivery is at least once, so an item can arrive twice.
 * docs/guarantees.md lists the limits, such as a spool directory that is moved while it is in use.
 *
 *
 * Words
 * -----
 *   item      one JSON object: a trace or a span as the OpenAI Agents SDK exports it;
 *             with exporter=otlp one export request
 *   batch     items that are sent in one request, under one id, which is its Idempotency-Key
 *   spool     the directory that holds the items; any number of processes share it
 *   lane      a directory in the spool that one handle owns; when its process has died, another handle adopts it
 *   rejected  the store of items that could not be delivered, each with the reason; `spanspool rejected` lists them and
 *             puts them back on their way
 *
 *
 * Durability
 * ----------
 * durability=process, the default: OK means that the kernel has the item. Nothing is lost however the process dies. A
 * power cut can take the items of the last sync_interval_ms; spanspool_sync closes that gap.
 * durability=power: OK means that the item is on stable storage.
 *
 * Delivery is at least once. After a lost answer the same batch is sent again, with the same bytes and the same
 * Idempotency-Key, so that an ingest can tell. docs/guarantees.md lists every cause of a duplicate.
 *
 *
 * Threads
 * -------
 * Any thread may call a function that takes a `const spanspool_client*`, several at once on one handle. The same
 * holds for spanspool_shutdown. spanspool_free must be the last call on a handle. Only one thread at a time may use a
 * spanspool_config.
 *
 * The library's own threads are named spanspool-*. They block all signals. On Linux they run under SCHED_BATCH, so that
 * they do not preempt the program's threads when they wake. The library installs no signal handler.
 *
 *
 * Fork
 * ----
 * After fork() both processes may go on using their handles. The child's first call on a handle opens a lane of the
 * child's own, with the same settings and keys, and starts its threads. That call can fail as spanspool_init can. Items
 * that the parent enqueued stay the parent's and are sent once. Nothing that the child inherits keeps the parent's lane
 * from being adopted after the parent's death. A child that makes no call has no lane and no threads. It may free the
 * handle or leave it.
 *
 * One limit: if the parent's items had outgrown its journal at any time before the fork, the child has only its
 * journal. It answers ERR_FULL when journal_bytes are full, takes no item larger than half of that, and adopts no
 * lane that has outgrown its own journal. A program started by exec does not have this limit.
 *
 * Do not call fork in the log function. vfork, posix_spawn and exec need no care: no descriptor stays open.
 *
 *
 * Texts
 * -----
 * Every text is UTF-8. A text without a length ends with NUL. An item has a length and needs no NUL. A pointer and its
 * length may be (NULL, 0), which is empty; (NULL, n) is an error. The library copies the texts and items that you pass.
 *
 *
 * Ownership
 * ---------
 * What spanspool_config_new and spanspool_init give you, you free once, with spanspool_config_free and
 * spanspool_free. NULL may be freed. What you pass stays yours. A parameter called `out` is written only on OK. The
 * log function and its user_data must live until every handle that was opened with them is freed.
 *
 *
 * Errors
 * ------
 * A call that can fail returns a spanspool_status. Each status says below what it means and what to do. The functions'
 * comments leave out the prefix SPANSPOOL_.
 *
 * spanspool_last_error gives the text of the calling thread's last failed call on a handle: which limit, which file,
 * which column. spanspool_config_set and spanspool_init have no handle yet and write their text to errbuf: at most
 * errbuf_len bytes, cut between two characters, always ended by NUL, and empty on OK. errbuf may be NULL. The log
 * function receives the text of each failed call on a handle at SPANSPOOL_LOG_DEBUG.
 *
 * A panic inside the library is caught. It prints nothing, and the call returns ERR_INTERNAL.
 *
 *
 * The settings stand at the end of this file. spanspool.hpp has the same calls for C++17.
 * This file is generated from src/capi and committed.
 */


#ifndef SPANSPOOL_H
#define SPANSPOOL_H

#include <stddef.h>
#include <stdint.h>

/** The version of this header; spanspool_version() gives that of the library. */
#define SPANSPOOL_VERSION "0.2.0"
/** The version of this header as 0x00MMmmpp; spanspool_version_number() gives that of the library. */
#define SPANSPOOL_VERSION_NUMBER 0x000200

/**
 * What a call returns. Numbers are never reused; newer versions may add some.
 */
enum spanspool_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Done.
   */
  SPANSPOOL_OK = 0,
  /**
   * An argument or a setting is not allowed; nothing was changed. Correct the call.
   */
  SPANSPOOL_ERR_INVALID_ARGUMENT = 1,
  /**
   * The item is not exactly one JSON object in UTF-8, or with exporter=otlp not one export request of the signal.
   * Nothing was stored. Correct the item.
   */
  SPANSPOOL_ERR_INVALID_ITEM = 2,
  /**
   * The item is longer than max_item_bytes, also as it would be sent; nothing was stored. Shorten it or raise the
   * setting. spanspool_last_error has both numbers.
   */
  SPANSPOOL_ERR_ITEM_TOO_LARGE = 3,
  /**
   * There is no setting of that name; nothing was changed. Correct the name.
   */
  SPANSPOOL_ERR_UNKNOWN_SETTING = 4,
  /**
   * The spool is at its limit and overflow is reject, or the journal had no room within enqueue_timeout_ms;
   * nothing was stored. Count the item as lost, or try again later.
   */
  SPANSPOOL_ERR_FULL = 20,
  /**
   * The deadline passed first. What was not delivered stays in the spool and is delivered later.
   */
  SPANSPOOL_ERR_TIMEOUT = 21,
  /**
   * The handle was shut down; nothing was stored. Free the handle.
   */
  SPANSPOOL_ERR_SHUT_DOWN = 22,
  /**
   * The operating system refused an operation: no room, no permission, a failing disk. Trying again may help.
   */
  SPANSPOOL_ERR_IO = 40,
  /**
   * A file of the spool is damaged, or has a format that this version does not read.
   */
  SPANSPOOL_ERR_CORRUPT = 41,
  /**
   * Another process holds a lock that this call needs. Trying again may help.
   */
  SPANSPOOL_ERR_LOCKED = 42,
  /**
   * A defect of spanspool itself. What was accepted before is still safe; please report it.
   */
  SPANSPOOL_ERR_INTERNAL = 99,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum spanspool_status spanspool_status;
#else
typedef int32_t spanspool_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How serious a log line is.
 */
enum spanspool_log
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Something was lost, or work cannot go on.
   */
  SPANSPOOL_LOG_ERROR = 1,
  /**
   * Something failed and is being handled.
   */
  SPANSPOOL_LOG_WARN = 2,
  /**
   * A change of state.
   */
  SPANSPOOL_LOG_INFO = 3,
  /**
   * One line per batch, and the text of every failed call.
   */
  SPANSPOOL_LOG_DEBUG = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum spanspool_log spanspool_log;
#else
typedef int32_t spanspool_log;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What the exporter of a lane is doing.
 */
enum spanspool_export
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint64_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Nothing: there is no batch to send.
   */
  SPANSPOOL_EXPORT_IDLE = 0,
  /**
   * A request is under way.
   */
  SPANSPOOL_EXPORT_SENDING = 1,
  /**
   * Waiting before it tries again.
   */
  SPANSPOOL_EXPORT_BACKOFF = 2,
  /**
   * Waiting for something outside to change: a key, a permission, an address, room on the disk, a file that stays
   * missing or unreadable. It probes now and then.
   */
  SPANSPOOL_EXPORT_HOLD = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum spanspool_export spanspool_export;
#else
typedef uint64_t spanspool_export;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * An open spool, with the threads that deliver from it. Any number of threads may use it at once.
 */
typedef struct spanspool_client spanspool_client;

/**
 * Settings, collected before spanspool_init. One thread at a time may use them.
 */
typedef struct spanspool_config spanspool_config;

/**
 * Receives log lines.
 *
 * level: one of SPANSPOOL_LOG_ERROR to SPANSPOOL_LOG_DEBUG.
 * message: UTF-8, ended by NUL, valid only during the call.
 * user_data: as given to spanspool_config_set_log.
 *
 * Threads: any thread calls it, several at once. It must not call spanspool functions, fork, throw or longjmp. A call
 * that does not return makes spanspool_free wait.
 */
typedef void (*spanspool_log_fn)(int32_t level, const char* message, void* user_data);

/**
 * The counters of a client. New fields are only ever appended.
 */
typedef struct spanspool_stats {
  /**
   * Items accepted: delivered + pending + rejected + dropped for any reason.
   */
  uint64_t accepted;
  /**
   * Items that the ingest answered with 2xx.
   */
  uint64_t delivered;
  /**
   * Items set aside in the rejected store.
   */
  uint64_t rejected;
  /**
   * Items dropped at a limit: overflow=drop_oldest, max_rejected_bytes.
   */
  uint64_t dropped_overflow;
  /**
   * Items dropped because they were older than max_age_s.
   */
  uint64_t dropped_expired;
  /**
   * Items that were lost to damage on the disk.
   */
  uint64_t dropped_corrupt;
  /**
   * Items that wait to be delivered.
   */
  uint64_t pending;
  /**
   * Bytes of the items that wait to be delivered.
   */
  uint64_t pending_bytes;
  /**
   * Bytes that the lane takes on disk.
   */
  uint64_t disk_bytes;
  /**
   * Age of the oldest pending item in milliseconds; 0 if there is none.
   */
  uint64_t oldest_pending_age_ms;
  /**
   * Requests that were answered with 2xx.
   */
  uint64_t batches_sent;
  /**
   * Failed attempts that were followed by a backoff.
   */
  uint64_t retries;
  /**
   * What the exporter is doing: 0 idle, 1 sending, 2 backoff, 3 hold.
   */
  uint64_t export_state;
  /**
   * The last HTTP status; 0 if none was received yet.
   */
  uint64_t last_http_status;
  /**
   * Lanes of dead processes that were adopted.
   */
  uint64_t lanes_adopted;
  /**
   * Spans, log records and data points that a receiver of OTLP refused inside an answer of success. They are not sent
   * again; their items count as delivered.
   */
  uint64_t partially_rejected;
  /**
   * Batches set aside in the rejected store until their key is set: `no_key:<name>` and `key_refused:<name>`.
   */
  uint64_t held_batches;
} spanspool_stats;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the library that is running, 0x00MMmmpp. Compare it with SPANSPOOL_VERSION_NUMBER of this header.
 *
 * Never fails.
 * Threads: any, at any time.
 */
uint32_t spanspool_version_number(void);

/**
 * The version of the library that is running, such as "0.2.0".
 *
 * Never fails, never NULL.
 * Threads: any, at any time.
 * Lifetime: the text lives as long as the program; do not free it.
 */
const char* spanspool_version(void);

/**
 * A phrase in English for a status.
 *
 * status: any number. One that is not a status has a phrase of its own.
 *
 * Never fails, never NULL.
 * Threads: any, at any time.
 * Lifetime: the text lives as long as the program; do not free it.
 */
const char* spanspool_status_str(int32_t status);

/**
 * Makes settings with all defaults. spool_dir must still be set.
 *
 * Returns them, or NULL after a defect of spanspool.
 * Threads: any, at any time.
 * Lifetime: yours, until spanspool_config_free.
 */
spanspool_config* spanspool_config_new(void);

/**
 * Frees settings. Handles that were opened with them live on.
 *
 * config: from spanspool_config_new, not freed yet. NULL is allowed and does nothing.
 *
 * Never fails.
 * Threads: no other thread may be using config.
 * Lifetime: config is invalid after the call.
 */
void spanspool_config_free(spanspool_config* config);

/**
 * Changes one setting. The end of this file lists them.
 *
 * config: yours; changed only on OK.
 * key, value: UTF-8, ended by NUL, copied. The value of spool_dir, ca_file, client_cert_file
 * and client_key_file may be any path.
 * errbuf, errbuf_len: as under "Errors" above. The text names key, value and what is allowed.
 *
 * Returns OK; ERR_UNKNOWN_SETTING: no setting has this name; ERR_INVALID_ARGUMENT: the value is not allowed, or a
 * text is NULL or not UTF-8; ERR_INTERNAL.
 * Threads: one at a time per config.
 * Lifetime: an open handle keeps the settings that it was opened with.
 */
spanspool_status spanspool_config_set(spanspool_config* config,
                                      const char* key,
                                      const char* value,
                                      char* errbuf,
                                      size_t errbuf_len);

/**
 * Sends log lines to a function. Without one the library logs nothing.
 *
 * config: yours.
 * log: see spanspool_log_fn. NULL takes back an earlier one.
 * user_data: passed to log unchanged; may be NULL.
 *
 * Returns OK; ERR_INVALID_ARGUMENT: config is NULL; ERR_INTERNAL.
 * Threads: one at a time per config.
 * Lifetime: log and user_data must live until every handle opened with config is freed. When spanspool_free or a
 * failed spanspool_init has returned, log is not called again for that handle, whatever thread was left.
 */
spanspool_status spanspool_config_set_log(spanspool_config* config, spanspool_log_fn log, void* user_data);

/**
 * Opens the spool, starts delivering, and adopts the lanes of dead processes. It reads OPENAI_API_KEY, OPENAI_ORG_ID
 * and OPENAI_PROJECT_ID from the environment, or with exporter=otlp OTEL_EXPORTER_OTLP_ENDPOINT and its kin; no later
 * call does.
 *
 * config: yours; may be freed or changed as soon as the call returns.
 * out: receives the handle on OK; otherwise it is not written.
 * errbuf, errbuf_len: as under "Errors" above.
 *
 * Returns OK; ERR_INVALID_ARGUMENT: an argument is NULL, spool_dir is not set, settings contradict each other, or a
 * variable of OpenTelemetry can't be used; ERR_IO: spool_dir cannot be created or written, has no room for
 * journal_bytes, or a thread cannot be started; ERR_CORRUPT; ERR_LOCKED; ERR_INTERNAL.
 * Threads: any, while no thread changes config. Several handles may be open on one spool_dir, in one process or in
 * many.
 * Lifetime: the handle is yours, until spanspool_free.
 */
spanspool_status spanspool_init(const spanspool_config* config,
                                spanspool_client** out,
                                char* errbuf,
                                size_t errbuf_len);

/**
 * The text of the calling thread's last failed call on a handle: which limit and how much of it is used, which file
 * and which error of the operating system, which column.
 *
 * handle: yours. NULL is allowed and has no text.
 * buf, len: receives the text, at most len bytes, cut between two characters and always ended by NUL. buf may be
 * NULL.
 *
 * Returns the length of the whole text without its NUL, even if it was cut, so a buffer of one byte more holds all of
 * it.
 * Returns 0, with an empty text, if the thread's last call on the handle returned OK or there was none. Never fails.
 * Threads: any, several at once. Each thread has its own text for each handle.
 * Lifetime: the text is a copy. It can be had until the thread's next call on the handle, or spanspool_free.
 */
size_t spanspool_last_error(const spanspool_client* handle, char* buf, size_t len);

/**
 * Takes one item. On OK it is durable as the setting durability says, and this process or a later one delivers it.
 * The call waits for no network, and for the disk at most enqueue_timeout_ms.
 *
 * handle: yours.
 * item, item_len: one JSON object in UTF-8, or with exporter=otlp one export request as protobuf bytes. It is copied, and
 * not ended by NUL. The bytes are sent as they are, but for the field limits of the OpenAI ingest where the setting
 * sanitize applies them. Where it does, an item of up to 64 MiB that is longer than max_item_bytes is stored as they
 * leave it, if that is short enough.
 *
 * Returns OK; ERR_INVALID_ARGUMENT: a pointer is NULL, or item_len is over PTRDIFF_MAX; ERR_INVALID_ITEM: also for an
 * empty item; ERR_ITEM_TOO_LARGE; ERR_FULL; ERR_IO; ERR_SHUT_DOWN; ERR_INTERNAL. Nothing was stored unless it returns
 * OK, with one exception: an item that could not be synced (ERR_IO) may still be delivered, if durability is power or
 * the item is longer than half of journal_bytes.
 * Threads: any, several at once.
 */
spanspool_status spanspool_enqueue(const spanspool_client* handle,
                                   const char* item,
                                   size_t item_len);

/**
 * Takes one item to be sent with a named key, as set by spanspool_set_named_key before or after this call. The spool
 * keeps the name, never the key. An item whose turn comes is set aside in the rejected store, with the reason
 * no_key:NAME, if no key has that name, or key_refused:NAME, if the ingest answers the key with 401 or 403. It is sent
 * as soon as any client of the same destination in this spool sets the key.
 *
 * handle: yours.
 * name: UTF-8, 1 to 255 bytes, ended by NUL, copied.
 * item, item_len: as for spanspool_enqueue.
 *
 * Returns what spanspool_enqueue does; also ERR_INVALID_ARGUMENT: name is empty, too long or not UTF-8.
 * Threads: any, several at once.
 */
spanspool_status spanspool_enqueue_as(const spanspool_client* handle,
                                      const char* name,
                                      const char* item,
                                      size_t item_len);

/**
 * Replaces the API key, and tries at once to send what was waiting for it.
 *
 * handle: yours.
 * key: visible ASCII, ended by NUL, copied.
 *
 * Returns OK; ERR_INVALID_ARGUMENT: key is NULL, empty or not visible ASCII; ERR_SHUT_DOWN; ERR_INTERNAL.
 * Threads: any, several at once.
 * Lifetime: the key is kept in memory only, until the handle is freed.
 */
spanspool_status spanspool_set_api_key(const spanspool_client* handle, const char* key);

/**
 * Sets the key for items enqueued under name. Those that were set aside as no_key:NAME or key_refused:NAME, in any
 * process's lane of the spool with the same destination, go back on their way in the background, as items of this
 * client's lane. spanspool_flush waits for that. What another process sets aside later is found within
 * adopt_interval_ms.
 *
 * handle: yours.
 * name: UTF-8, 1 to 255 bytes, ended by NUL, copied.
 * key: visible ASCII, ended by NUL, copied.
 *
 * Returns OK; ERR_INVALID_ARGUMENT: a text is NULL, name is empty, too long or not UTF-8, or key is empty or not
 * visible ASCII; ERR_SHUT_DOWN; ERR_INTERNAL.
 * Threads: any, several at once.
 * Lifetime: the key is kept in memory only, until the handle is freed. A new process must set it again.
 */
spanspool_status spanspool_set_named_key(const spanspool_client* handle, const char* name, const char* key);

/**
 * Sends nothing until spanspool_wake, on a metered network or a low battery: items are taken and durable as before, but
 * no request begins. One that is under way goes on. Meanwhile spanspool_flush waits as in an outage, for spanspool_wake
 * or its timeout. spanspool_shutdown does not wait: no call can end the pause after it. A child of fork begins paused if
 * its parent was. The pause is kept in memory only: the next process sends again.
 *
 * handle: yours.
 *
 * Returns OK, also when it is paused already; ERR_INVALID_ARGUMENT: handle is NULL; ERR_SHUT_DOWN; ERR_INTERNAL.
 * Threads: any, several at once.
 */
spanspool_status spanspool_pause(const spanspool_client* handle);

/**
 * Says that the network is back: ends a pause, a backoff or a hold and tries now. Does not wait.
 *
 * handle: yours.
 *
 * Returns OK; ERR_INVALID_ARGUMENT: handle is NULL; ERR_SHUT_DOWN; ERR_INTERNAL.
 * Threads: any, several at once.
 */
spanspool_status spanspool_wake(const spanspool_client* handle);

/**
 * Waits until every item enqueued before is on stable storage, where a power cut cannot take it.
 *
 * handle: yours.
 *
 * Returns OK; ERR_INVALID_ARGUMENT: handle is NULL; ERR_IO; ERR_SHUT_DOWN; ERR_INTERNAL.
 * Threads: any, several at once.
 */
spanspool_status spanspool_sync(const spanspool_client* handle);

/**
 * Sends at once, even during a backoff or a hold, and waits until every item enqueued before was delivered or
 * rejected.
 *
 * handle: yours.
 * timeout_ms: longest wait in milliseconds, any value; 0 does not wait.
 *
 * Returns OK; ERR_TIMEOUT: the rest stays in the spool and is delivered later; ERR_INVALID_ARGUMENT: handle is NULL;
 * ERR_IO; ERR_SHUT_DOWN; ERR_INTERNAL.
 * Threads: any, several at once.
 */
spanspool_status spanspool_flush(const spanspool_client* handle, uint64_t timeout_ms);

/**
 * Reads the counters of the handle's lane. At all times, and across restarts, accepted = delivered + pending +
 * rejected + dropped_overflow + dropped_expired + dropped_corrupt. After spanspool_shutdown they are the final
 * counters.
 *
 * handle: yours.
 * out: yours; written only on OK.
 * out_size: sizeof(spanspool_stats). Fields that do not fit are left out. Fields that this library does not know
 * become 0, so header and library may be of different versions.
 *
 * Returns OK; ERR_INVALID_ARGUMENT: a pointer is NULL, or out_size is 0 or not a multiple of 8; ERR_SHUT_DOWN: only
 * in a child of fork that made no call before the handle was shut down; ERR_INTERNAL.
 * Threads: any, several at once.
 */
spanspool_status spanspool_get_stats(const spanspool_client* handle, spanspool_stats* out, size_t out_size);

/**
 * Takes no more items, delivers until the deadline, and stops the threads. Items that are left stay in the spool for
 * the next process. From here on every call on the handle but spanspool_get_stats, spanspool_last_error and
 * spanspool_free returns ERR_SHUT_DOWN, also another spanspool_shutdown.
 *
 * handle: yours.
 * timeout_ms: longest time for delivering in milliseconds, any value; 0 delivers nothing more.
 *
 * Returns OK: everything was delivered or rejected; ERR_TIMEOUT: stopped, and the rest stays in the spool;
 * ERR_INVALID_ARGUMENT: handle is NULL; ERR_IO; ERR_SHUT_DOWN; ERR_INTERNAL.
 * Threads: any. Calls that other threads are in end soon.
 * Lifetime: the handle must still be freed.
 */
spanspool_status spanspool_shutdown(spanspool_client* handle, uint64_t timeout_ms);

/**
 * Frees a handle. If it was not shut down, spanspool_shutdown with timeout_ms 0 comes first: nothing is lost.
 *
 * handle: from spanspool_init, not freed yet. NULL is allowed and does nothing.
 *
 * Never fails.
 * Threads: no other thread may be in a call on the handle or begin one. The call waits for calls of the log function
 * that are under way on the library's threads; after it, the log function is not called again for this handle.
 * Lifetime: handle is invalid after the call.
 */
void spanspool_free(spanspool_client* handle);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SPANSPOOL_H */

/*
 * Settings
 * --------
 * For spanspool_config_set, with their defaults. A number of bytes may end with KiB, MiB or GiB. A default of `env
 * NAME` is the environment variable NAME as spanspool_init finds it.
 *
 *   spool_dir
 *       the directory that holds the items; required
 *       allowed: a directory; it is created if it does not exist
 *   exporter = backend
 *       where items go: to the HTTP ingest, to an OTLP receiver, to standard output, or nowhere: they stay in the spool
 *       allowed: backend, otlp, console, none
 *   signal = traces
 *       with exporter=otlp: what the items are
 *       allowed: traces, logs, metrics
 *   endpoint = https://api.openai.com/v1/traces/ingest
 *       the ingest that batches are posted to; otlp: /v1/SIGNAL is added, and the default is http://localhost:4318
 *       allowed: an http:// or https:// URL
 *   api_key = env OPENAI_API_KEY
 *       sent as `Authorization: Bearer`; never written to disk or to a log
 *       allowed: visible ASCII
 *   organization = env OPENAI_ORG_ID
 *       sent as `OpenAI-Organization`
 *       allowed: visible ASCII
 *   project = env OPENAI_PROJECT_ID
 *       sent as `OpenAI-Project`
 *       allowed: visible ASCII
 *   max_batch_size = 128
 *       most items in a batch
 *       allowed: 1 to 65536
 *   max_batch_bytes = 1 MiB
 *       longest request body; a single item that is longer is sent alone, or with exporter=otlp in parts
 *       allowed: 1 KiB to 64 MiB
 *   max_queue_size = 0
 *       most pending items; 0: limited by bytes only
 *       allowed: 0 or more
 *   max_spool_bytes = 1 GiB
 *       most bytes on disk for this process's lane, with its journal and its rejected store
 *       allowed: 256 KiB or more
 *   overflow = reject
 *       at a limit: refuse the new item, or drop the oldest items and count them
 *       allowed: reject, drop_oldest
 *   max_age_s = 0
 *       pending items older than this are dropped and counted as expired; 0: never
 *       allowed: 0 to 3153600000
 *   schedule_delay_ms = 5000
 *       longest wait before a batch that is not full is sent
 *       allowed: 0 to 86400000
 *   export_trigger_ratio = 0.7
 *       with max_queue_size: send at once when this share of the queue is used
 *       allowed: more than 0, at most 1
 *   max_retries = 0
 *       attempts at a batch before it goes to the rejected store; 0: no limit
 *       allowed: 0 to 4294967295
 *   base_delay_ms = 1000
 *       first backoff after a failed attempt; it doubles with each failure, up to max_delay_ms
 *       allowed: 1 to 86400000
 *   max_delay_ms = 30000
 *       longest backoff, and the time between probes while on hold
 *       allowed: 1 to 86400000
 *   jitter = 0.1
 *       share of a backoff that is added at random; unless 0, the first of max_delay_ms is any time from base_delay_ms on
 *       allowed: 0 to 1
 *   connect_timeout_ms = 5000
 *       longest wait for a connection, the lookup of the host's name included
 *       allowed: 1 to 86400000
 *   request_timeout_ms = 60000
 *       longest wait for a whole request; with exporter=otlp the default is 10000
 *       allowed: 1 to 86400000
 *   max_in_flight = 1
 *       most requests at the same time; 1 keeps the order of the items
 *       allowed: 1 to 64
 *   max_bytes_per_s = 0
 *       most bytes a second that requests upload, on average; new items go before a backlog; 0: not limited
 *       allowed: 0 or more
 *   order = oldest_first
 *       newest_first: after an outage or a restart new items are sent at once, and what waited in its order beside them
 *       allowed: oldest_first, newest_first
 *   backlog_share = 0.5
 *       with order=newest_first: the share of requests that a backlog gets while there are new items
 *       allowed: 0 to 1
 *   request_compression = none
 *       how request bodies are compressed; with exporter=otlp the default is gzip, but not to this machine
 *       allowed: none, gzip
 *   durability = process
 *       what an OK survives: the death of the process, or also a power cut
 *       allowed: process, power
 *   sync_interval_ms = 1000
 *       with durability=process: longest time until accepted items are on stable storage
 *       allowed: 1 to 86400000
 *   enqueue_timeout_ms = 100
 *       longest time that an enqueue waits for room in the journal
 *       allowed: 0 to 86400000
 *   journal_bytes = 16 MiB
 *       size of the journal; at most half of max_spool_bytes is used, and three quarters of one under 4 MiB in any case
 *       allowed: 64 KiB to 1 GiB
 *   max_item_bytes = 16 MiB
 *       longest item, as it is sent: after the field limits of sanitize
 *       allowed: 1 KiB to 1 GiB
 *   validation = full
 *       full: an item must be one JSON object in UTF-8, or one export request of OTLP; none: the caller guarantees it
 *       allowed: full, none
 *   sanitize = auto
 *       when to apply the OpenAI ingest's field limits; auto: for the OpenAI endpoint only
 *       allowed: auto, always, never
 *   adopt = same
 *       lanes of dead processes to deliver: same: of this exporter and endpoint, and of exporter=none; any: all
 *       allowed: same, any
 *   adopt_interval_ms = 30000
 *       time between searches for lanes of dead processes
 *       allowed: 1 to 86400000
 *   max_rejected_bytes = 64 MiB
 *       size of the rejected store; beyond it the oldest rejected items are dropped and counted
 *       allowed: 0 or more
 *   tls_roots = builtin
 *       the roots that the ingest's certificate is checked against: Mozilla's, or the operating system's
 *       allowed: builtin, system
 *   ca_file
 *       roots to trust in addition to those of tls_roots, or the ingest's self-signed certificate
 *       allowed: a file of PEM certificates
 *   client_cert_file
 *       the certificate to show to the ingest (mutual TLS), then those that lead to its root; with client_key_file only
 *       allowed: a file of PEM certificates
 *   client_key_file
 *       the private key of client_cert_file's first certificate, not encrypted: PKCS #8, PKCS #1 or SEC 1
 *       allowed: a PEM file
 *   allow_insecure = false
 *       allow keys to be sent to other machines over plain http
 *       allowed: true, false
 *   header.NAME
 *       a further header of every request, such as header.X-Team = agents
 *       allowed: visible ASCII; not a header that carries the request itself
 */
