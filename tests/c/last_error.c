/* spanspool_last_error: what it says of each kind of failure, to whom, for how long, and into which buffer. */

#include "host.h"

#include <pthread.h>

static const char ITEM[] = "{\"object\":\"trace\"}";
#define ITEM_LEN (sizeof ITEM - 1)
/* In UTF-8, with characters of two and of three bytes. */
#define FOLDER "f\xc3\xbcr \xe2\x82\xac"

static char text[4096];

/* The whole text of the calling thread for `handle`; what the function says of its length is true. */
static const char *text_of(const spanspool_client *handle) {
    memset(text, 'x', sizeof text);
    size_t len = spanspool_last_error(handle, text, sizeof text);
    CHECK(len < sizeof text && text[len] == 0 && strlen(text) == len);
    return text;
}

static void is_silent(const spanspool_client *handle) {
    CHECK(spanspool_last_error(handle, NULL, 0) == 0);
    CHECK(*text_of(handle) == 0);
}

/* A spool whose limits are reached soon. */
static spanspool_client *open_small(const char *dir) {
    spanspool_config *config = offline_config(dir);
    CHECK_STATUS(spanspool_config_set(config, "max_item_bytes", "1024", NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "max_queue_size", "2", NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "enqueue_timeout_ms", "1", NULL, 0), SPANSPOOL_OK);
    return open_with(config);
}

static void names_what_was_wrong(const char *dir) {
    char large[2000];
    memset(large, ' ', sizeof large);
    spanspool_client *handle = open_small(dir);
    is_silent(handle);
    CHECK_STATUS(spanspool_enqueue(handle, large, sizeof large), SPANSPOOL_ERR_ITEM_TOO_LARGE);
    CHECK_HAS(text_of(handle), "2000");
    CHECK_HAS(text, "max_item_bytes=1024");
    CHECK_STATUS(spanspool_enqueue(handle, "{\"a\": tru}", 10), SPANSPOOL_ERR_INVALID_ITEM);
    CHECK_HAS(text_of(handle), "line 1 column 10");
    CHECK_STATUS(spanspool_enqueue(handle, "[]", 2), SPANSPOOL_ERR_INVALID_ITEM);
    CHECK_HAS(text_of(handle), "must begin with '{'");
    CHECK_STATUS(spanspool_enqueue(handle, NULL, 5), SPANSPOOL_ERR_INVALID_ARGUMENT);
    CHECK_HAS(text_of(handle), "item is NULL");
    CHECK_STATUS(spanspool_enqueue_as(handle, "", ITEM, ITEM_LEN), SPANSPOOL_ERR_INVALID_ARGUMENT);
    CHECK_HAS(text_of(handle), "1 to 255");
    CHECK_STATUS(spanspool_set_api_key(handle, "two\nlines"), SPANSPOOL_ERR_INVALID_ARGUMENT);
    CHECK_HAS(text_of(handle), "visible ASCII");
    CHECK_STATUS(spanspool_set_named_key(handle, "team", NULL), SPANSPOOL_ERR_INVALID_ARGUMENT);
    CHECK_HAS(text_of(handle), "key is NULL");
    spanspool_stats stats;
    CHECK_STATUS(spanspool_get_stats(handle, &stats, 7), SPANSPOOL_ERR_INVALID_ARGUMENT);
    CHECK_HAS(text_of(handle), "out_size is 7");

    CHECK_STATUS(spanspool_enqueue(handle, ITEM, ITEM_LEN), SPANSPOOL_OK);
    is_silent(handle);
    CHECK_STATUS(spanspool_enqueue(handle, ITEM, ITEM_LEN), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_enqueue(handle, ITEM, ITEM_LEN), SPANSPOOL_ERR_FULL);
    CHECK_HAS(text_of(handle), "2 pending items");
    CHECK_HAS(text, "max_queue_size is 2");
    /* Asking does not change it. */
    CHECK_HAS(text_of(handle), "2 pending items");
    CHECK_STATUS(spanspool_flush(handle, 1), SPANSPOOL_ERR_TIMEOUT);
    CHECK_HAS(text_of(handle), "2 items stay in the spool");
    CHECK_STATUS(spanspool_shutdown(handle, 0), SPANSPOOL_ERR_TIMEOUT);
    CHECK_HAS(text_of(handle), "2 items stay in the spool");
    CHECK_STATUS(spanspool_wake(handle), SPANSPOOL_ERR_SHUT_DOWN);
    CHECK_HAS(text_of(handle), "shut down");
    CHECK_STATUS(spanspool_get_stats(handle, &stats, sizeof stats), SPANSPOOL_OK);
    is_silent(handle);
    spanspool_free(handle);
    is_silent(NULL);
}

static void full_spool_has_both_numbers(const char *dir) {
    static char item[100000];
    memset(item, ' ', sizeof item);
    item[0] = '{', item[sizeof item - 1] = '}';
    spanspool_config *config = offline_config(dir);
    CHECK_STATUS(spanspool_config_set(config, "max_spool_bytes", "256KiB", NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "enqueue_timeout_ms", "10000", NULL, 0), SPANSPOOL_OK);
    spanspool_client *handle = open_with(config);
    spanspool_status status = SPANSPOOL_OK;
    for (int n = 0; n < 100 && !status; n++) status = spanspool_enqueue(handle, item, sizeof item);
    CHECK_STATUS(status, SPANSPOOL_ERR_FULL);
    CHECK_HAS(text_of(handle), "bytes on disk; max_spool_bytes is 262144");
    spanspool_free(handle);
}

/* Every buffer gets as many whole characters as it has room for, a NUL, and no byte more. */
static void is_cut_between_characters(const spanspool_client *handle) {
    char whole[4096], cut[4096];
    size_t len = spanspool_last_error(handle, whole, sizeof whole), shorter = 0;
    for (size_t room = 1; room <= len + 2; room++) {
        memset(cut, 'x', sizeof cut);
        CHECK(spanspool_last_error(handle, cut, room) == len);
        size_t got = strlen(cut), most = room - 1 < len ? room - 1 : len;
        CHECK(got <= most && memcmp(cut, whole, got) == 0);
        /* No more is missing than the rest of one character, and the next byte begins one. */
        CHECK(most - got < 3 && ((unsigned char)whole[got] & 0xc0) != 0x80);
        CHECK(cut[got + 1] == 'x' && cut[room] == 'x');
        shorter += got < most;
    }
    CHECK(shorter > 0);
    CHECK(spanspool_last_error(handle, NULL, 0) == len && spanspool_last_error(handle, NULL, 9) == len);
    cut[0] = 'x';
    CHECK(spanspool_last_error(handle, cut, 0) == len && cut[0] == 'x');
}

/* A child cannot make its lane in a spool that was deleted: the text says which, and why. */
static void names_file_and_error(const char *folder) {
    char dir[4096], command[8192];
    snprintf(dir, sizeof dir, "%s/" FOLDER, folder);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    spanspool_client *handle = open_offline(dir);
    CHECK_STATUS(spanspool_enqueue(handle, "[]", 2), SPANSPOOL_ERR_INVALID_ITEM);
    CHECK(system(command) == 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        CHECK_STATUS(spanspool_enqueue(handle, ITEM, ITEM_LEN), SPANSPOOL_ERR_IO);
        CHECK_HAS(text_of(handle), dir);
        CHECK_HAS(text, "(os error ");
        is_cut_between_characters(handle);
        fflush(stdout);
        _exit(failures != 0);
    }
    CHECK(wait_for(child) == 0);
    /* What failed in the child is the child's. */
    CHECK_HAS(text_of(handle), "must begin with '{'");
    spanspool_free(handle);
}

static const spanspool_client *shared;

static void *fail_otherwise(void *unused) {
    is_silent(shared);
    CHECK_STATUS(spanspool_set_api_key(shared, ""), SPANSPOOL_ERR_INVALID_ARGUMENT);
    CHECK_HAS(text_of(shared), "it is empty");
    return unused;
}

static void belongs_to_a_thread_and_a_handle(const char *dir) {
    spanspool_client *first = open_offline(dir), *second = open_offline(dir);
    CHECK_STATUS(spanspool_enqueue(first, "[]", 2), SPANSPOOL_ERR_INVALID_ITEM);
    is_silent(second);
    CHECK_STATUS(spanspool_enqueue(second, "{", 1), SPANSPOOL_ERR_INVALID_ITEM);
    CHECK_HAS(text_of(first), "must begin with '{'");
    CHECK_HAS(text_of(second), "column 1");
    CHECK_STATUS(spanspool_enqueue(second, ITEM, ITEM_LEN), SPANSPOOL_OK);
    is_silent(second);
    CHECK_HAS(text_of(first), "must begin with '{'");
    for (int n = 0; n < 100; n++) {
        pthread_t thread;
        shared = first;
        CHECK(pthread_create(&thread, NULL, fail_otherwise, NULL) == 0);
        pthread_join(thread, NULL);
    }
    CHECK_HAS(text_of(first), "must begin with '{'");
    spanspool_free(second);
    CHECK_HAS(text_of(first), "must begin with '{'");
    spanspool_free(first);
}

/* A new handle at the address of one that was freed has nothing of its text. */
static void is_not_inherited_with_an_address(const char *dir, int reused) {
    enum { HANDLES = 8, ROUNDS = 500 };
    spanspool_client *handles[HANDLES], *before[HANDLES] = {NULL};
    int same = 0;
    for (int round = 0; round < ROUNDS && !same; round++) {
        for (int n = 0; n < HANDLES; n++) {
            handles[n] = open_offline(dir);
            is_silent(handles[n]);
            for (int old = 0; old < HANDLES; old++) same += handles[n] == before[old];
        }
        for (int n = 0; n < HANDLES; n++) {
            CHECK_STATUS(spanspool_enqueue(handles[n], "[]", 2), SPANSPOOL_ERR_INVALID_ITEM);
            CHECK(*text_of(handles[n]));
        }
        for (int n = 0; n < HANDLES; n++) spanspool_free(before[n] = handles[n]);
    }
    CHECK(same > 0 || !reused);
}

/* usage: last_error FOLDER [TOOL]; TOOL: the memory checker that keeps freed memory from being used again */
int main(int argc, char **argv) {
    if (argc != 2 && argc != 3) return 2;
    names_what_was_wrong(in(argv[1], "wrong"));
    full_spool_has_both_numbers(in(argv[1], "full"));
    names_file_and_error(argv[1]);
    belongs_to_a_thread_and_a_handle(in(argv[1], "threads"));
    is_not_inherited_with_an_address(in(argv[1], "address"), argc == 2);
    return verdict();
}
