/* Arguments that no function may trip over: NULL, wrong sizes, names and keys that are not allowed. */

#include "check.h"

static const char ITEM[] = "{\"object\":\"trace\"}";
#define ITEM_LEN (sizeof ITEM - 1)
#define INVALID SPANSPOOL_ERR_INVALID_ARGUMENT

static void versions_and_phrases(void) {
    CHECK(spanspool_version_number() == SPANSPOOL_VERSION_NUMBER);
    CHECK(strcmp(spanspool_version(), SPANSPOOL_VERSION) == 0);
    const spanspool_status all[] = {0, 1, 2, 3, 4, 20, 21, 22, 40, 41, 42, 99};
    const char *unknown = spanspool_status_str(12345);
    CHECK(unknown && *unknown);
    CHECK(strcmp(spanspool_status_str(INT32_MIN), unknown) == 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK(strcmp(spanspool_status_str(all[i]), unknown) != 0);
        for (size_t j = 0; j < i; j++) CHECK(strcmp(spanspool_status_str(all[i]), spanspool_status_str(all[j])) != 0);
    }
}

static void constants(void) {
    CHECK(SPANSPOOL_ERR_UNKNOWN_SETTING == 4);
    CHECK(SPANSPOOL_LOG_ERROR == 1 && SPANSPOOL_LOG_WARN == 2 && SPANSPOOL_LOG_INFO == 3 && SPANSPOOL_LOG_DEBUG == 4);
    CHECK(SPANSPOOL_EXPORT_IDLE == 0 && SPANSPOOL_EXPORT_SENDING == 1);
    CHECK(SPANSPOOL_EXPORT_BACKOFF == 2 && SPANSPOOL_EXPORT_HOLD == 3);
    CHECK_HAS(spanspool_status_str(SPANSPOOL_ERR_UNKNOWN_SETTING), "setting");
}

static void null_handles(void) {
    spanspool_stats stats;
    CHECK_STATUS(spanspool_enqueue(NULL, ITEM, ITEM_LEN), INVALID);
    CHECK_STATUS(spanspool_enqueue_as(NULL, "team", ITEM, ITEM_LEN), INVALID);
    CHECK_STATUS(spanspool_set_api_key(NULL, "key"), INVALID);
    CHECK_STATUS(spanspool_set_named_key(NULL, "team", "key"), INVALID);
    CHECK_STATUS(spanspool_pause(NULL), INVALID);
    CHECK_STATUS(spanspool_wake(NULL), INVALID);
    CHECK_STATUS(spanspool_sync(NULL), INVALID);
    CHECK_STATUS(spanspool_flush(NULL, 0), INVALID);
    CHECK_STATUS(spanspool_get_stats(NULL, &stats, sizeof stats), INVALID);
    CHECK_STATUS(spanspool_shutdown(NULL, 0), INVALID);
    spanspool_free(NULL);
    spanspool_config_free(NULL);
}

static void null_in_config_and_init(const char *dir) {
    char why[256];
    spanspool_client *handle = NULL;
    spanspool_config *config = offline_config(dir);
    CHECK_STATUS(spanspool_config_set(NULL, "spool_dir", dir, why, sizeof why), INVALID);
    CHECK_HAS(why, "config is NULL");
    CHECK_STATUS(spanspool_config_set(config, NULL, dir, why, sizeof why), INVALID);
    CHECK_HAS(why, "key is NULL");
    CHECK_STATUS(spanspool_config_set(config, "spool_dir", NULL, why, sizeof why), INVALID);
    CHECK_HAS(why, "value is NULL");
    CHECK_STATUS(spanspool_config_set_log(NULL, NULL, NULL), INVALID);
    CHECK_STATUS(spanspool_init(NULL, &handle, why, sizeof why), INVALID);
    CHECK_HAS(why, "config is NULL");
    CHECK(handle == NULL);
    CHECK_STATUS(spanspool_init(config, NULL, why, sizeof why), INVALID);
    CHECK_HAS(why, "out is NULL");
    spanspool_config_free(config);
}

static void null_and_length(const spanspool_client *handle) {
    CHECK_STATUS(spanspool_enqueue(handle, NULL, 0), SPANSPOOL_ERR_INVALID_ITEM);
    CHECK_STATUS(spanspool_enqueue(handle, NULL, 5), INVALID);
    CHECK_STATUS(spanspool_enqueue(handle, ITEM, (size_t)PTRDIFF_MAX + 1), INVALID);
    CHECK_STATUS(spanspool_enqueue(handle, ITEM, SIZE_MAX), INVALID);
    CHECK_STATUS(spanspool_enqueue_as(handle, "team", NULL, 0), SPANSPOOL_ERR_INVALID_ITEM);
    CHECK_STATUS(spanspool_enqueue_as(handle, "team", NULL, 5), INVALID);
    CHECK_STATUS(spanspool_enqueue_as(handle, NULL, ITEM, ITEM_LEN), INVALID);
    CHECK(stats_of(handle).accepted == 0);
}

static void names_and_keys(const spanspool_client *handle) {
    char name[257];
    memset(name, 'n', sizeof name);
    name[256] = 0;
    CHECK_STATUS(spanspool_enqueue_as(handle, name, ITEM, ITEM_LEN), INVALID);
    CHECK_STATUS(spanspool_set_named_key(handle, name, "key"), INVALID);
    name[255] = 0;
    CHECK_STATUS(spanspool_enqueue_as(handle, name, ITEM, ITEM_LEN), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_set_named_key(handle, name, "key"), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_enqueue_as(handle, "", ITEM, ITEM_LEN), INVALID);
    CHECK_STATUS(spanspool_set_named_key(handle, "", "key"), INVALID);
    CHECK_STATUS(spanspool_enqueue_as(handle, "\xff", ITEM, ITEM_LEN), INVALID);
    CHECK_STATUS(spanspool_set_named_key(handle, "\xff", "key"), INVALID);
    CHECK_STATUS(spanspool_set_named_key(handle, NULL, "key"), INVALID);
    CHECK(stats_of(handle).accepted == 1);

    const char *const bad[] = {NULL, "", "two\nlines", "\xff", "\xc3\xbc", " space"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_STATUS(spanspool_set_api_key(handle, bad[i]), INVALID);
        CHECK_STATUS(spanspool_set_named_key(handle, "team", bad[i]), INVALID);
    }
    CHECK_STATUS(spanspool_set_api_key(handle, "sk-good"), SPANSPOOL_OK);
}

static void sizes_of_stats(const spanspool_client *handle) {
    struct {
        spanspool_stats known;
        uint64_t newer[2], beyond;
    } out;
    memset(&out, 0xab, sizeof out);
    const uint64_t untouched = out.beyond;
    const size_t bad[] = {0, 1, 7, 9, sizeof out.known - 1, SIZE_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_STATUS(spanspool_get_stats(handle, &out.known, bad[i]), INVALID);
    CHECK_STATUS(spanspool_get_stats(handle, NULL, sizeof out.known), INVALID);
    CHECK(out.known.accepted == untouched);

    CHECK_STATUS(spanspool_get_stats(handle, &out.known, sizeof(uint64_t)), SPANSPOOL_OK);
    CHECK(out.known.accepted == 1 && out.known.delivered == untouched);

    CHECK_STATUS(spanspool_get_stats(handle, &out.known, sizeof out.known + sizeof out.newer), SPANSPOOL_OK);
    CHECK(out.known.pending == 1 && out.known.lanes_adopted == 0);
    CHECK(out.newer[0] == 0 && out.newer[1] == 0 && out.beyond == untouched);
    CHECK(sizeof(spanspool_stats) == 17 * sizeof(uint64_t));
    CHECK(sizeof(spanspool_status) == sizeof(int32_t));
}

/* usage: arguments SPOOL_DIR */
int main(int argc, char **argv) {
    if (argc != 2) return 2;
    versions_and_phrases();
    constants();
    null_handles();
    null_in_config_and_init(argv[1]);
    spanspool_client *handle = open_offline(argv[1]);
    null_and_length(handle);
    names_and_keys(handle);
    sizes_of_stats(handle);
    spanspool_free(handle);
    return verdict();
}
