#include <spanspool.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: quickstart SPOOL_DIR ENDPOINT\n"), 2;
    char why[256] = "";
    spanspool_client *client = NULL;
    spanspool_config *config = spanspool_config_new();
    spanspool_status status = spanspool_config_set(config, "spool_dir", argv[1], why, sizeof why);
    if (!status) status = spanspool_config_set(config, "endpoint", argv[2], why, sizeof why);
    if (!status) status = spanspool_init(config, &client, why, sizeof why);
    spanspool_config_free(config);
    if (status) return fprintf(stderr, "cannot open the spool: %s\n", why), 1;

    const char *item = "{\"object\":\"trace\",\"id\":\"trace_0123456789abcdef0123456789abcdef\","
                       "\"workflow_name\":\"quickstart\",\"group_id\":null,\"metadata\":null}";
    status = spanspool_enqueue(client, item, strlen(item));
    // What is not delivered by then stays in the spool.
    if (!status) status = spanspool_shutdown(client, 5000);
    if (status) {
        spanspool_last_error(client, why, sizeof why);
        fprintf(stderr, "%s\n", why);
    }
    spanspool_free(client);
    return status;
}
