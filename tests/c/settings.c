/* Settings that are not allowed: the status, and a text that names the setting, the value and what is allowed. */

#include "check.h"

#define INVALID SPANSPOOL_ERR_INVALID_ARGUMENT
#define FIVE(text) text text text text text

struct refused {
    const char *key, *value, *parts[3];
};

static const struct refused UNKNOWN[] = {
    {"no_such_setting", "1", {"no_such_setting", "unknown"}},
    {"max_batch_sise", "1", {"max_batch_sise", "max_batch_size"}},
    {"", "1", {"unknown"}},
};

static const struct refused BAD[] = {
    {"max_batch_size", "many", {"max_batch_size", "'many'", "1 to 65536"}},
    {"max_batch_size", "0", {"max_batch_size", "'0'", "1 to 65536"}},
    {"max_batch_size", "-1", {"max_batch_size", "'-1'", "1 to 65536"}},
    {"max_batch_size", "99999999999999999999999", {"max_batch_size", "1 to 65536"}},
    {"max_item_bytes", "1 KB", {"max_item_bytes", "'1 KB'", "1 KiB to 1 GiB"}},
    {"max_spool_bytes", "18446744073709551615 GiB", {"max_spool_bytes", "256 KiB or more"}},
    {"jitter", "NaN", {"jitter", "'NaN'", "0 to 1"}},
    {"overflow", "explode", {"overflow", "'explode'", "reject, drop_oldest"}},
    {"allow_insecure", "yes", {"allow_insecure", "'yes'", "true, false"}},
    {"overflow", FIVE(FIVE(FIVE(FIVE("long")))), {"overflow", "'long", "reject, drop_oldest"}},
    {"endpoint", "not a url", {"endpoint", "'not a url'", "http"}},
    {"endpoint", "ftp://host/", {"endpoint", "'ftp://host/'", "http"}},
    {"endpoint", "http://", {"endpoint", "http"}},
    {"endpoint", "http://host:99999/", {"endpoint", "99999"}},
    {"endpoint", "http://user:word@host/", {"endpoint", "api_key"}},
    {"spool_dir", "", {"spool_dir", "empty"}},
    {"header.Bad Name", "x", {"header.Bad Name"}},
    {"header.Authorization", "x", {"header.Authorization"}},
    {"header.X-Team", "two\r\nlines", {"header.X-Team"}},
    {"max_batch_size", "\xff", {"value", "UTF-8"}},
    {"\xff", "1", {"key", "UTF-8"}},
};

static void are_refused(spanspool_config *config, const struct refused *cases, size_t len, spanspool_status expected) {
    for (size_t i = 0; i < len; i++) {
        char why[1024] = "";
        CHECK_STATUS(spanspool_config_set(config, cases[i].key, cases[i].value, why, sizeof why), expected);
        for (size_t j = 0; j < 3 && cases[i].parts[j]; j++) CHECK_HAS(why, cases[i].parts[j]);
    }
}

static void bad_values(void) {
    spanspool_config *config = spanspool_config_new();
    are_refused(config, UNKNOWN, sizeof UNKNOWN / sizeof *UNKNOWN, SPANSPOOL_ERR_UNKNOWN_SETTING);
    are_refused(config, BAD, sizeof BAD / sizeof *BAD, INVALID);
    char why[1024] = "";
    CHECK_STATUS(spanspool_config_set(config, "api_key", "sk-secret\n", why, sizeof why), INVALID);
    CHECK_HAS(why, "api_key");
    CHECK(!strstr(why, "sk-secret"));
    spanspool_config_free(config);
}

/* At every length: cut between characters, ended by NUL, nothing behind it touched. */
static void short_errbufs(void) {
    spanspool_config *config = spanspool_config_new();
    const char *key = "\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87 \xe2\x82\xac \xf0\x9f\x9a\x80";
    char full[2048], cut[2048];
    CHECK_STATUS(spanspool_config_set(config, key, "1", full, sizeof full), SPANSPOOL_ERR_UNKNOWN_SETTING);
    CHECK_HAS(full, key);
    for (size_t len = 1; len <= strlen(full) + 1; len++) {
        memset(cut, '#', sizeof cut);
        CHECK_STATUS(spanspool_config_set(config, key, "1", cut, len), SPANSPOOL_ERR_UNKNOWN_SETTING);
        cut[sizeof cut - 1] = 0;
        size_t kept = strlen(cut);
        CHECK(kept < len && kept + 4 >= len && strncmp(cut, full, kept) == 0);
        CHECK(((unsigned char)full[kept] & 0xc0) != 0x80);
        CHECK(cut[len] == '#');
    }
    cut[0] = '#';
    CHECK_STATUS(spanspool_config_set(config, key, "1", cut, 0), SPANSPOOL_ERR_UNKNOWN_SETTING);
    CHECK(cut[0] == '#');
    CHECK_STATUS(spanspool_config_set(config, key, "1", NULL, 0), SPANSPOOL_ERR_UNKNOWN_SETTING);
    CHECK_STATUS(spanspool_config_set(config, key, "1", NULL, 99), SPANSPOOL_ERR_UNKNOWN_SETTING);
    CHECK_STATUS(spanspool_config_set(config, "jitter", "0.5", cut, sizeof cut), SPANSPOOL_OK);
    CHECK(cut[0] == 0);
    spanspool_config_free(config);
}

static void init_fails(spanspool_config *config, spanspool_status expected, const char *part1, const char *part2) {
    char why[1024] = "";
    spanspool_client *const before = (spanspool_client *)&why;
    spanspool_client *handle = before;
    CHECK_STATUS(spanspool_init(config, &handle, why, sizeof why), expected);
    CHECK(handle == before);
    CHECK_HAS(why, part1);
    CHECK_HAS(why, part2);
    spanspool_config_free(config);
}

static void bad_spool_dirs(const char *dir) {
    char file[4096], below[4096];
    snprintf(file, sizeof file, "%s/file", dir);
    snprintf(below, sizeof below, "%s/file/below", dir);
    fclose(fopen(file, "w"));
    init_fails(offline_config(file), SPANSPOOL_ERR_IO, file, "");
    init_fails(offline_config(below), SPANSPOOL_ERR_IO, below, "");
    /* Not even root may make a folder there. */
    init_fails(offline_config("/proc/self/spool"), SPANSPOOL_ERR_IO, "/proc/self/spool", "");
}

static void settings_that_disagree(const char *dir) {
    init_fails(spanspool_config_new(), INVALID, "spool_dir", "not set");
    spanspool_config *config = offline_config(dir);
    CHECK_STATUS(spanspool_config_set(config, "exporter", "backend", NULL, 0), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_config_set(config, "client_cert_file", "/proc/self/no.pem", NULL, 0), SPANSPOOL_OK);
    init_fails(config, INVALID, "client_cert_file", "client_key_file");
}

/* usage: settings FOLDER */
int main(int argc, char **argv) {
    if (argc != 2) return 2;
    bad_values();
    short_errbufs();
    bad_spool_dirs(argv[1]);
    settings_that_disagree(argv[1]);
    return verdict();
}
