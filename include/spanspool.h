/*
 * spanspool: makes a program's traces and spans durable before the call returns, and delivers them to an HTTP ingest.
 *
 * The promise: when spanspool_enqueue returns SPANSPOOL_OK, the item will reach the ingest, or sit in the spool, or be
 * found in the rejected store with the ingest's answer beside it; nothing else can become of it, and a counter says
 * which. That holds through kill -9, a full disk, a damaged file, and an ingest that is absent, slow or hostile.
 *
 * This file is generated from src/capi and committed. All that a C or C++ program needs to know stands in it;
 * spanspool.hpp beside it has the same calls with the manners of C++17.
 *
 *
 * Example
 * -------
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
 * Words
 * -----
 *   item      one JSON object, a trace or a span as the OpenAI Agents SDK exports it
 *   batch     items that travel together, under one id that is sent as the header Idempotency-Key
 *   spool     the directory that keeps the items, shared by any number of processes
 *   lane      the directory in the spool that one live handle owns; those of dead processes are taken over
 *   rejected  the store of items that the ingest refused for good; `spanspool rejected` lists and requeues them
 *
 *
 * Durability
 * ----------
 * durability=process (the default): OK means that the bytes are the kernel's. The death of the process by any means
 * loses nothing; a power cut takes at most the last sync_interval_ms. spanspool_sync closes that gap on demand.
 * durability=power: OK means that the bytes are on stable storage.
 * A process that dies between the ingest's answer and the note of it sends at most max_in_flight batches once more,
 * with the same bytes and the same Idempotency-Key, so that an ingest can tell.
 *
 *
 * Threads
 * -------
 * A function that takes a `const spanspool_client*` may be called from any thread, several at once, on one handle; so may
 * spanspool_shutdown. spanspool_free must be the last call on a handle. A spanspool_config is for one thread at a time.
 * The library's own threads are named spanspool-something, block all signals and, on Linux, do not push the program's threads
 * off a processor when they wake (SCHED_BATCH); no signal handler is installed. There is no
 * last-error variable, neither global nor per thread.
 *
 *
 * Fork
 * ----
 * After fork() both sides go on using their handles. The child's first call on a handle opens a lane of the child's own,
 * with the same settings and keys, and starts the threads for it; it may fail as spanspool_init may. What the parent had
 * enqueued stays the parent's and is sent once; nothing that the child inherits keeps the parent's lane from being
 * adopted after the parent's death. A child that calls nothing has no lane and no threads; it may free the handle or not.
 * One limit: when the parent's items had ever outgrown its journal before the fork, the child keeps to its journal alone:
 * it answers ERR_FULL when journal_bytes are full, takes no item over half of that, and leaves alone orphans
 * that have outgrown theirs. spanspool_init in a program started by exec has no such limit.
 * fork must not be called inside the log function. vfork, posix_spawn and exec need no care: no descriptor stays open.
 *
 *
 * Texts
 * -----
 * Every text is UTF-8. Those without a length end with NUL. Items have a length and need no NUL. A pointer and its
 * length may be (NULL, 0), which is empty; (NULL, n) is an error. Texts and items that you pass are copied.
 *
 *
 * Ownership
 * ---------
 * What a _new or spanspool_init gives you, you free with the _free of its name, once; NULL may be freed. What you pass
 * stays yours. What is called `out` is written only on OK. The log function and its user_data must live until the last
 * handle made with them was freed.
 *
 *
 * Errors
 * ------
 * Every call that can fail answers a spanspool_status; each status says below what it means and what to do. The
 * functions' comments leave out the prefix SPANSPOOL_. Calls with an errbuf write a sentence into it that says what was
 * wrong, where, and what is allowed: at most errbuf_len bytes, cut between two characters if need be, always ended by
 * NUL, and empty on OK. errbuf may be NULL. The other calls send that sentence to the log, at level 4.
 * A defect of the library that ends in a panic is caught, prints nothing, and answers SPANSPOOL_ERR_INTERNAL.
 *
 *
 * Settings
 * --------
 * For spanspool_config_set, with their defaults. A number of bytes may have KiB, MiB or GiB behind it. A default of
 * `env NAME` is the environment variable NAME as spanspool_init finds it.
 *
 *   spool_dir
 *       the folder that keeps the items; required
 *       allowed: a folder; it is made when absent
 *   exporter = backend
 *       where items go: the HTTP ingest, standard output, or nowhere (they stay in the spool)
 *       allowed: backend, console, none
 *   endpoint = https://api.openai.com/v1/traces/ingest
 *       the ingest that batches are posted to
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
 *       items in a batch at most
 *       allowed: 1 to 65536
 *   max_batch_bytes = 1 MiB
 *       bytes of a request's body at most; a longer single item travels alone
 *       allowed: 1 KiB to 64 MiB
 *   max_queue_size = 0
 *       pending items at most; 0: bounded by bytes only
 *       allowed: 0 or more
 *   max_spool_bytes = 1 GiB
 *       bytes on disk at most, of this process's lane, journal and rejected store included
 *       allowed: 256 KiB or more
 *   overflow = reject
 *       at a limit: refuse the newest item, or drop the oldest and count them
 *       allowed: reject, drop_oldest
 *   max_age_s = 0
 *       older pending items are dropped and counted as expired; 0: kept for ever
 *       allowed: 0 to 3153600000
 *   schedule_delay_ms = 5000
 *       longest wait before a batch that is not full is sent
 *       allowed: 0 to 86400000
 *   export_trigger_ratio = 0.7
 *       with max_queue_size: send at once when the queue is this full
 *       allowed: over 0, at most 1
 *   max_retries = 0
 *       attempts at a batch before it goes to the rejected store; 0: never given up
 *       allowed: 0 to 4294967295
 *   base_delay_ms = 1000
 *       first backoff after a failed attempt, at most max_delay_ms; it doubles from there
 *       allowed: 1 to 86400000
 *   max_delay_ms = 30000
 *       longest backoff, and the time between probes while on hold
 *       allowed: 1 to 86400000
 *   jitter = 0.1
 *       share of a backoff that is added at random
 *       allowed: 0 to 1
 *   connect_timeout_ms = 5000
 *       longest wait for a connection
 *       allowed: 1 to 86400000
 *   request_timeout_ms = 60000
 *       longest wait for a whole request
 *       allowed: 1 to 86400000
 *   max_in_flight = 1
 *       requests under way at once; 1 keeps the order
 *       allowed: 1 to 64
 *   request_compression = none
 *       compression of a request's body
 *       allowed: none, gzip
 *   durability = process
 *       what OK survives: the death of the process, or a power cut
 *       allowed: process, power
 *   sync_interval_ms = 1000
 *       with durability=process: longest time that accepted items wait for stable storage
 *       allowed: 1 to 86400000
 *   enqueue_timeout_ms = 100
 *       longest wait of an enqueue for room in the journal
 *       allowed: 0 to 86400000
 *   journal_bytes = 16 MiB
 *       size of the journal, at most half of max_spool_bytes
 *       allowed: 64 KiB to 1 GiB
 *   max_item_bytes = 16 MiB
 *       longest item
 *       allowed: 1 KiB to 1 GiB
 *   validation = full
 *       full: an item must be one JSON object in UTF-8; none: the caller vouches for it
 *       allowed: full, none
 *   sanitize = auto
 *       the OpenAI ingest's field limits; auto: applied for the OpenAI endpoint only
 *       allowed: auto, always, never
 *   adopt_interval_ms = 30000
 *       how often the lanes of dead processes are looked for
 *       allowed: 1 to 86400000
 *   max_rejected_bytes = 64 MiB
 *       size of the rejected store; the oldest rejected items make room and count as dropped
 *       allowed: 0 or more
 *   ca_file
 *       roots to trust besides the built-in ones
 *       allowed: a file of PEM certificates
 *   allow_insecure = false
 *       let keys travel over plain http to other machines
 *       allowed: true, false
 *   header.NAME
 *       a further header of every request, such as header.X-Team = agents
 *       allowed: visible ASCII; not a header that carries the request itself
 */


#ifndef SPANSPOOL_H
#define SPANSPOOL_H

#include <stddef.h>
#include <stdint.h>

/** The version of this header; spanspool_version() tells that of the library. */
#define SPANSPOOL_VERSION "0.2.0"
/** The version of this header as 0x00MMmmpp; spanspool_version_number() tells that of the library. */
#define SPANSPOOL_VERSION_NUMBER 0x000200

/**
 * What a call answers. Numbers are never reused; newer versions may add some.
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
   * An argument or a setting is not allowed; nothing was changed. Mend the call.
   */
  SPANSPOOL_ERR_INVALID_ARGUMENT = 1,
  /**
   * The item is not exactly one JSON object in UTF-8; nothing was stored. Mend the item.
   */
  SPANSPOOL_ERR_INVALID_ITEM = 2,
  /**
   * The item is longer than max_item_bytes; nothing was stored. Shorten it or raise the setting.
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
   * The handle was shut down; nothing was stored. Only spanspool_free is left to call.
   */
  SPANSPOOL_ERR_SHUT_DOWN = 22,
  /**
   * The operating system refused a file operation (no room, no permission, a failing disk). Trying again may help.
   */
  SPANSPOOL_ERR_IO = 40,
  /**
   * A file of the spool is damaged, or of a format that this version does not read.
   */
  SPANSPOOL_ERR_CORRUPT = 41,
  /**
   * Another process holds what this call needs. Trying again may help.
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
   * Waiting for something outside to change: a key, a permission, an address. It probes now and then.
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
 * An open spool with the threads that deliver from it. For any number of threads at once.
 */
typedef struct spanspool_client spanspool_client;

/**
 * Settings, gathered before spanspool_init. Not for two threads at once.
 */
typedef struct spanspool_config spanspool_config;

/**
 * Receives log lines. level: 1 error, 2 warning, 3 change of state, 4 debug. message: UTF-8, ended by NUL, valid only
 * during the call. user_data: as given to spanspool_config_set_log.
 *
 * It is called from any thread, several at once. It must not call spanspool functions, throw or longjmp.
 */
typedef void (*spanspool_log_fn)(int32_t level, const char* message, void* user_data);

/**
 * The counters of a client, in the order of `spanspool_stats` in the C header: fields are only ever appended.
 */
typedef struct spanspool_stats {
  /**
   * Items taken with OK: delivered + pending + rejected + dropped for any reason.
   */
  uint64_t accepted;
  /**
   * Items the ingest answered 2xx for.
   */
  uint64_t delivered;
  /**
   * Items set aside in the rejected store.
   */
  uint64_t rejected;
  /**
   * Items dropped because a limit was reached (`overflow=drop_oldest`, `max_rejected_bytes`).
   */
  uint64_t dropped_overflow;
  /**
   * Items dropped because they were older than `max_age_s`.
   */
  uint64_t dropped_expired;
  /**
   * Items that could not be read back from a damaged disk.
   */
  uint64_t dropped_corrupt;
  /**
   * Items on their way.
   */
  uint64_t pending;
  /**
   * Bytes of JSON on their way.
   */
  uint64_t pending_bytes;
  /**
   * Bytes that the lane takes on disk.
   */
  uint64_t disk_bytes;
  /**
   * Age of the oldest pending item in milliseconds; 0 when there is none.
   */
  uint64_t oldest_pending_age_ms;
  /**
   * Requests that were answered 2xx.
   */
  uint64_t batches_sent;
  /**
   * Attempts that were put off for later.
   */
  uint64_t retries;
  /**
   * What the exporter does: a number of [`ExportState`].
   */
  uint64_t export_state;
  /**
   * The last HTTP status; 0 when none was received yet.
   */
  uint64_t last_http_status;
  /**
   * Lanes of dead processes that were taken over.
   */
  uint64_t lanes_adopted;
  /**
   * Items that the ingest refused inside an answer of success; 0 with exporters whose protocol has no such answer.
   */
  uint64_t partially_rejected;
  /**
   * Batches in the rejected store that wait for their key to be set.
   */
  uint64_t held_batches;
} spanspool_stats;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the library that is running, 0x00MMmmpp; compare with SPANSPOOL_VERSION_NUMBER of the header.
 *
 * Never fails. Thread-safe.
 */
uint32_t spanspool_version_number(void);

/**
 * The version of the library that is running, such as "0.2.0".
 *
 * Never fails. Thread-safe. The text lives as long as the program; do not free it.
 */
const char* spanspool_version(void);

/**
 * A phrase in English for a status.
 *
 * status: any number; one that is no status has a phrase of its own.
 *
 * Never NULL. Thread-safe. The text lives as long as the program; do not free it.
 */
const char* spanspool_status_str(int32_t status);

/**
 * New settings with all defaults; spool_dir is still to be set.
 *
 * Returns them, or NULL after a defect of spanspool. Thread-safe. They are yours: spanspool_config_free.
 */
spanspool_config* spanspool_config_new(void);

/**
 * Frees settings, at any time: handles made from them live on.
 *
 * config: from spanspool_config_new, not freed yet; NULL is allowed and does nothing.
 *
 * Never fails. No other thread may be using config.
 */
void spanspool_config_free(spanspool_config* config);

/**
 * Changes one setting; all of them stand under "Settings" at the top of this file.
 *
 * config: yours; changed only on OK.
 * key, value: UTF-8, ended by NUL, copied.
 * errbuf, errbuf_len: as under "Errors" at the top of this file; the text names key, value and what is allowed.
 *
 * OK; ERR_UNKNOWN_KEY: no setting has that name; ERR_INVALID_ARGUMENT: bad value, NULL or not UTF-8; ERR_INTERNAL.
 * One thread at a time for one config. A handle that is already open keeps what it was opened with.
 */
spanspool_status spanspool_config_set(spanspool_config* config,
                                      const char* key,
                                      const char* value,
                                      char* errbuf,
                                      size_t errbuf_len);

/**
 * Sends log lines to a function of yours; without one nothing is said anywhere.
 *
 * config: yours.
 * log: see spanspool_log_fn; NULL takes back an earlier one.
 * user_data: handed to log unchanged; may be NULL. It stays yours.
 *
 * OK; ERR_INVALID_ARGUMENT: config is NULL; ERR_INTERNAL.
 * One thread at a time for one config. log and user_data must live until every handle made from config is freed.
 */
spanspool_status spanspool_config_set_log(spanspool_config* config, spanspool_log_fn log, void* user_data);

/**
 * Opens the spool, takes over what dead processes left in it, and starts delivering. Reads the environment for
 * OPENAI_API_KEY, OPENAI_ORG_ID and OPENAI_PROJECT_ID; no later call reads it.
 *
 * config: stays yours; may be freed or used again at once.
 * out: receives the handle on OK, else is left as it is. The handle is yours: spanspool_free.
 * errbuf, errbuf_len: as under "Errors" at the top of this file.
 *
 * OK; ERR_INVALID_ARGUMENT: NULL, spool_dir not set, settings that contradict each other; ERR_IO: spool_dir cannot be
 * made, written or filled up to journal_bytes; ERR_CORRUPT; ERR_LOCKED; ERR_INTERNAL.
 * Thread-safe while nobody changes config. Several handles may be open on one spool_dir, in one process or in many.
 */
spanspool_status spanspool_init(const spanspool_config* config,
                                spanspool_client** out,
                                char* errbuf,
                                size_t errbuf_len);

/**
 * The text of the calling thread's last failed call on the handle.
 *
 * handle: stays yours; NULL is allowed and has no text.
 * buf, len: receives as much of the text as fits, cut between two characters, always ended by NUL. buf may be NULL.
 *
 * Returns the length of the whole text without the NUL, also when it was cut; 0, with an empty text, when the thread's last
 * call on the handle answered OK or there was none.
 * Never fails. Thread-safe: each thread has its own text for each handle.
 */
size_t spanspool_last_error(const spanspool_client* handle,
                            char* buf,
                            size_t len);

/**
 * Takes one item. On OK it is durable as the setting durability says and will be delivered, by this process or by the
 * next one on the same spool_dir. No network is waited for; the disk for at most enqueue_timeout_ms.
 *
 * handle: stays yours.
 * json, json_len: one JSON object in UTF-8, copied; not NUL-terminated. The bytes travel as they are.
 *
 * OK; ERR_INVALID_ARGUMENT: NULL, or json_len over PTRDIFF_MAX; ERR_INVALID_ITEM: also for an empty item;
 * ERR_ITEM_TOO_LARGE; ERR_FULL; ERR_IO; ERR_SHUT_DOWN; ERR_INTERNAL. On all but OK nothing was stored; but with
 * durability=power an item that could not be synced (ERR_IO) may still be delivered.
 * Thread-safe.
 */
spanspool_status spanspool_enqueue(const spanspool_client* handle, const char* json, size_t json_len);

/**
 * As spanspool_enqueue, for an item to be sent with the key that spanspool_set_named_key gives under name, before or
 * after this call. The spool keeps the name, never the key. Items whose name has no key when their turn comes are set
 * aside in the rejected store and go on their way as soon as it has one.
 *
 * handle: stays yours.
 * name: UTF-8, 1 to 255 bytes, ended by NUL, copied.
 * json, json_len: as for spanspool_enqueue.
 *
 * As spanspool_enqueue; also ERR_INVALID_ARGUMENT: name is empty, too long or not UTF-8.
 * Thread-safe.
 */
spanspool_status spanspool_enqueue_as(const spanspool_client* handle,
                                      const char* name,
                                      const char* json,
                                      size_t json_len);

/**
 * Replaces the API key, and tries at once what was waiting for one. It is kept in memory only.
 *
 * handle: stays yours.
 * key: visible ASCII, ended by NUL, copied.
 *
 * OK; ERR_INVALID_ARGUMENT: NULL, empty or not visible ASCII; ERR_SHUT_DOWN; ERR_INTERNAL.
 * Thread-safe.
 */
spanspool_status spanspool_set_api_key(const spanspool_client* handle, const char* key);

/**
 * Sets the key for the items that were enqueued under name, those set aside for want of it included. It is kept in
 * memory only: a new process has to set it again.
 *
 * handle: stays yours.
 * name: UTF-8, 1 to 255 bytes, ended by NUL, copied.
 * key: visible ASCII, ended by NUL, copied.
 *
 * OK; ERR_INVALID_ARGUMENT: NULL, name empty, too long or not UTF-8, key empty or not visible ASCII; ERR_SHUT_DOWN;
 * ERR_FULL, ERR_IO: what was set aside could not all go on its way; ERR_INTERNAL.
 * Thread-safe.
 */
spanspool_status spanspool_set_named_key(const spanspool_client* handle, const char* name, const char* key);

/**
 * Says that the network is back: ends a backoff or a hold and tries now. Does not wait.
 *
 * handle: stays yours.
 *
 * OK; ERR_INVALID_ARGUMENT: NULL; ERR_SHUT_DOWN; ERR_INTERNAL.
 * Thread-safe.
 */
spanspool_status spanspool_wake(const spanspool_client* handle);

/**
 * Waits until every item enqueued before is on stable storage, so that a power cut can't take it.
 *
 * handle: stays yours.
 *
 * OK; ERR_INVALID_ARGUMENT: NULL; ERR_IO; ERR_SHUT_DOWN; ERR_INTERNAL.
 * Thread-safe.
 */
spanspool_status spanspool_sync(const spanspool_client* handle);

/**
 * Sends at once, whatever a backoff or a hold says, and waits until every item enqueued before was delivered or
 * rejected.
 *
 * handle: stays yours.
 * timeout_ms: longest wait in milliseconds, any value; 0 does not wait.
 *
 * OK; ERR_TIMEOUT: the rest stays in the spool and is delivered later; ERR_INVALID_ARGUMENT: NULL; ERR_IO;
 * ERR_SHUT_DOWN; ERR_INTERNAL.
 * Thread-safe.
 */
spanspool_status spanspool_flush(const spanspool_client* handle, uint64_t timeout_ms);

/**
 * Reads the counters. At all times accepted = delivered + pending + rejected + dropped_overflow + dropped_expired +
 * dropped_corrupt, across restarts.
 *
 * handle: stays yours.
 * out: yours; written only on OK.
 * out_size: sizeof(spanspool_stats). Fields that out has no room for are left out; those that this library does not
 * know yet become 0. So header and library may differ in age.
 *
 * OK; ERR_INVALID_ARGUMENT: NULL, or out_size is 0 or not a multiple of 8; ERR_SHUT_DOWN; ERR_INTERNAL.
 * Thread-safe.
 */
spanspool_status spanspool_get_stats(const spanspool_client* handle, spanspool_stats* out, size_t out_size);

/**
 * Takes no more items, delivers until the deadline, and stops the threads. Items that are left stay in the spool for
 * the next process. From here on every call on the handle answers ERR_SHUT_DOWN, this one included.
 *
 * handle: stays yours, to be freed.
 * timeout_ms: longest time for delivering in milliseconds, any value; 0 delivers nothing more.
 *
 * OK: all was delivered or rejected; ERR_TIMEOUT: stopped, and the rest stays in the spool; ERR_INVALID_ARGUMENT: NULL;
 * ERR_IO; ERR_SHUT_DOWN; ERR_INTERNAL.
 * Thread-safe: calls that other threads are in end soon.
 */
spanspool_status spanspool_shutdown(spanspool_client* handle,
                                    uint64_t timeout_ms);

/**
 * Frees a handle. Implies spanspool_shutdown with timeout_ms 0 if that was not called: nothing is lost.
 *
 * handle: from spanspool_init, not freed yet; NULL is allowed and does nothing. It is no longer valid after the call.
 *
 * Never fails. No other thread may be in a call on the handle or begin one. When it returns, the log function of the
 * handle is not called again.
 */
void spanspool_free(spanspool_client* handle);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SPANSPOOL_H */
