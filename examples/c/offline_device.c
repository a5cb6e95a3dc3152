/*
 * Offline device: a machine that is seldom on the network, has little disk, and may lose power at any time.
 *
 * Reads lines from standard input. "online" says that the network is there: what has gathered is sent. Any other line is
 * a reading: it becomes a span, and is on the disk when the device answers "kept".
 */
#include <spanspool.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Settings of a device, after the two that the command line gives. */
static const char *const SETTINGS[][2] = {
    {"durability", "power"},          /* OK means stable storage */
    {"journal_bytes", "256KiB"},      /* taken from the disk at once */
    {"max_spool_bytes", "8MiB"},      /* and never more than this */
    {"overflow", "drop_oldest"},      /* at the limit the newest readings count most; what is dropped is counted */
    {"max_delay_ms", "3600000"},      /* try at most once an hour: "online" says when it is worth it */
    {"request_compression", "gzip"},  /* bytes on the air cost */
};

static spanspool_client *open_spool(const char *spool_dir, const char *endpoint) {
    char why[256] = "";
    spanspool_client *spool = NULL;
    spanspool_config *config = spanspool_config_new();
    spanspool_status status = spanspool_config_set(config, "spool_dir", spool_dir, why, sizeof why);
    if (!status) status = spanspool_config_set(config, "endpoint", endpoint, why, sizeof why);
    for (size_t n = 0; !status && n < sizeof SETTINGS / sizeof *SETTINGS; n++)
        status = spanspool_config_set(config, SETTINGS[n][0], SETTINGS[n][1], why, sizeof why);
    if (!status) status = spanspool_init(config, &spool, why, sizeof why);
    spanspool_config_free(config);
    if (status) fprintf(stderr, "cannot open the spool: %s\n", why);
    return spool;
}

/* Puts `text` between quotes as JSON does. Returns 0 when there is no room for it. */
static int quote(char *out, size_t room, const char *text) {
    size_t used = 0;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        int more = c == '"' || c == '\\' ? snprintf(out + used, room - used, "\\%c", c)
                   : c < 0x20            ? snprintf(out + used, room - used, "\\u%04x", c)
                                         : snprintf(out + used, room - used, "%c", c);
        used += (size_t)more;
        if (used >= room) return 0;
    }
    return 1;
}

static spanspool_status keep(const spanspool_client *spool, const char *reading) {
    static unsigned count;
    char text[1024], when[32], item[2048];
    time_t now = time(NULL);
    if (!quote(text, sizeof text, reading)) return SPANSPOOL_ERR_ITEM_TOO_LARGE;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", gmtime(&now));
    int length = snprintf(item, sizeof item,
                          "{\"object\":\"trace.span\",\"id\":\"span_%016llx%08x\",\"trace_id\":\"trace_%032d\","
                          "\"parent_id\":null,\"started_at\":\"%s.000000+00:00\",\"ended_at\":\"%s.000000+00:00\","
                          "\"error\":null,\"span_data\":{\"type\":\"custom\",\"name\":\"reading\",\"data\":{\"text\":\"%s\"}}}",
                          (unsigned long long)now, count++, 0, when, when, text);
    return spanspool_enqueue(spool, item, (size_t)length);
}

static void tell(const spanspool_client *spool, const char *what) {
    spanspool_stats stats;
    if (!spanspool_get_stats(spool, &stats, sizeof stats))
        printf("%s: %llu pending, %llu delivered, %llu dropped\n", what, (unsigned long long)stats.pending,
               (unsigned long long)stats.delivered, (unsigned long long)stats.dropped_overflow);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: offline_device SPOOL_DIR ENDPOINT\n"), 2;
    spanspool_client *spool = open_spool(argv[1], argv[2]);
    if (!spool) return 1;

    char line[512];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (!strcmp(line, "online")) {
            /* flush tries at once, whatever the last failure was, and waits; spanspool_wake would try and not wait. */
            spanspool_status status = spanspool_flush(spool, 10000);
            tell(spool, status ? spanspool_status_str(status) : "sent");
            continue;
        }
        spanspool_status status = keep(spool, line);
        if (status) fprintf(stderr, "not kept: %s\n", spanspool_status_str(status));
        else tell(spool, "kept");
    }
    /* Nothing is lost by going without a word: the next run, or any other process on this spool, sends the rest. */
    spanspool_free(spool);
    return 0;
}
