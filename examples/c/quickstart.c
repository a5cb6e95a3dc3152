#include <spanspool.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: quickstart SPOOL_DIR ENDPOINT\n"), 2;
    char why[256] = "";
    spanspool *spool = NULL;
    spanspool_config *config = spanspool_config_new();
    spanspool_status status = spanspool_config_set(config, "spool_dir", argv[1], why, sizeof why);
    if (!status) status = spanspool_config_set(config, "endpoint", argv[2], why, sizeof why);
    if (!status) status = spanspool_init(config, &spool, why, sizeof why);
    spanspool_config_free(config);
    if (status) return fprintf(stderr, "cannot open the spool: %s\n", why), 1;

    const char *item = "{\"object\":\"trace\",\"id\":\"trace_0123456789abcdef0123456789abcdef\","
                       "\"workflow_name\":\"quickstart\",\"group_id\":null,\"metadata\":null}";
    status = spanspool_enqueue(spool, item, strlen(item));
    if (!status) status = spanspool_flush(spool, 5000);
    if (status) fprintf(stderr, "%s\n", spanspool_status_str(status));

    spanspool_status stopped = spanspool_shutdown(spool, 5000);
    if (stopped) fprintf(stderr, "%s\n", spanspool_status_str(stopped));
    spanspool_free(spool);
    return status || stopped;
}
