/* What is an item and what is not. The accepted ones go to a file, NUL after each, for comparison with what arrives. */

#include "check.h"

static FILE *accepted;
static uint64_t accepted_count;

static void good(const spanspool_client *handle, const char *json, size_t len) {
    CHECK_STATUS(spanspool_enqueue(handle, json, len), SPANSPOOL_OK);
    CHECK(fwrite(json, 1, len, accepted) == len && putc(0, accepted) == 0);
    accepted_count++;
}

#define GOOD(literal) good(handle, literal, sizeof literal - 1)
#define BAD(literal) CHECK_STATUS(spanspool_enqueue(handle, literal, sizeof literal - 1), SPANSPOOL_ERR_INVALID_ITEM)

static void objects(const spanspool_client *handle) {
    GOOD("{}");
    GOOD("{\"object\":\"trace\",\"id\":\"trace_1\",\"metadata\":null}");
    GOOD(" \t\r\n{ \"a\" : [ 1 , -0.0 , 1e400 , 123456789012345678901234567890 , 1.10 ] }");
    GOOD("{\"raw\":\"\xe2\x80\xa8 \xe2\x80\xa9 \xc2\x85 \x7f \xf0\x9f\x9a\x80 \xef\xbf\xbf\"}");
    GOOD("{\"escaped\":\"\\u0000 \\ud83d\\ude80 \\/ \\\"\"}");
    GOOD("{\"lone surrogates\":\"\\ud800 \\udc00\\ud800\"}");
    GOOD("{\"twice\":1,\"twice\":{\"twice\":2,\"twice\":3}}");
    GOOD("{\"\":{\"\":[]}}");
    /* Only json_len bytes count, whatever stands after them. */
    good(handle, "{\"a\":1} not part of it", 7);
}

static void not_objects(const spanspool_client *handle) {
    CHECK_STATUS(spanspool_enqueue(handle, NULL, 0), SPANSPOOL_ERR_INVALID_ITEM);
    BAD("");
    BAD(" \n");
    BAD("nonsense");
    BAD("null");
    BAD("17");
    BAD("\"text\"");
    BAD("[]");
    BAD("[{}]");
    BAD("{");
    BAD("}");
    BAD("{\"a\":1");
    BAD("{\"a\":1,}");
    BAD("{\"a\"}");
    BAD("{a:1}");
    BAD("{'a':1}");
    BAD("{\"a\":NaN}");
    BAD("{\"a\":01}");
    BAD("{\"a\":\"line\nbreak\"}");
    BAD("{\"a\":\"\\x41\"}");
    BAD("{\"a\":\"\\u12\"}");
    BAD("{}{}");
    BAD("{}\n{}");
    BAD("{},");
    BAD("{} x");
    BAD("{}\0");
    BAD("{\"a\":\"\0\"}");
    BAD("\xef\xbb\xbf{}");
    BAD("{\"a\":\"\xff\"}");
    BAD("{\"a\":\"\xc3\"}");
    BAD("{\"a\":\"\xc0\x80\"}");
    BAD("{\"a\":\"\xed\xa0\x80\"}");
    BAD("{}\xff");
}

static void deep_and_large(const spanspool_client *handle) {
    enum { LEVELS = 10000, LARGE = 15 << 20 };
    char *deep = malloc(6 * LEVELS + 1), *end = deep;
    for (int i = 0; i < LEVELS; i++) end += sprintf(end, "{\"a\":");
    *end++ = '1';
    for (int i = 0; i < LEVELS; i++) *end++ = '}';
    good(handle, deep, (size_t)(end - deep));
    CHECK_STATUS(spanspool_enqueue(handle, deep, (size_t)(end - deep) - 1), SPANSPOOL_ERR_INVALID_ITEM);
    memset(deep, '[', 6 * LEVELS);
    memcpy(deep, "{\"a\":", 5);
    CHECK_STATUS(spanspool_enqueue(handle, deep, 6 * LEVELS), SPANSPOOL_ERR_INVALID_ITEM);
    free(deep);

    char *large = malloc(LARGE);
    memset(large, 'x', LARGE);
    memcpy(large, "{\"a\":\"", 6);
    memcpy(large + LARGE - 2, "\"}", 2);
    good(handle, large, LARGE);
    free(large);
}

static void over_the_limit(const char *dir) {
    spanspool_config *config = offline_config(dir);
    CHECK_STATUS(spanspool_config_set(config, "max_item_bytes", "1 KiB", NULL, 0), SPANSPOOL_OK);
    spanspool_client *handle = open_with(config);
    char item[1025];
    memset(item, ' ', sizeof item);
    item[0] = '{';
    item[1023] = '}';
    CHECK_STATUS(spanspool_enqueue(handle, item, 1024), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_enqueue(handle, item, 1025), SPANSPOOL_ERR_ITEM_TOO_LARGE);
    CHECK_STATUS(spanspool_enqueue_as(handle, "team", item, 1025), SPANSPOOL_ERR_ITEM_TOO_LARGE);
    CHECK(stats_of(handle).accepted == 1);
    spanspool_free(handle);
}

/* usage: items SPOOL_DIR OTHER_SPOOL_DIR ENDPOINT ACCEPTED_FILE */
int main(int argc, char **argv) {
    if (argc != 5 || !(accepted = fopen(argv[4], "wb"))) return 2;
    over_the_limit(argv[2]);
    spanspool_config *config = offline_config(argv[1]);
    CHECK_STATUS(spanspool_config_set(config, "exporter", "backend", NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "endpoint", argv[3], NULL, 0), SPANSPOOL_OK);
    spanspool_client *handle = open_with(config);
    objects(handle);
    not_objects(handle);
    deep_and_large(handle);
    CHECK(stats_of(handle).accepted == accepted_count);
    CHECK_STATUS(spanspool_flush(handle, 60000), SPANSPOOL_OK);
    CHECK(stats_of(handle).delivered == accepted_count);
    CHECK_STATUS(spanspool_shutdown(handle, 60000), SPANSPOOL_OK);
    spanspool_free(handle);
    CHECK(fclose(accepted) == 0);
    return verdict();
}
