/* What the C programs of several tests share: settings from the command line, numbers, giving up with a reason. */

#ifndef SETTINGS_H
#define SETTINGS_H

#include "form.h"

#include <spanspool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void must(int32_t status, const char *what) {
    if (status == SPANSPOOL_OK) return;
    fprintf(stderr, "%s: %s\n", what, spanspool_status_str(status));
    exit(1);
}

/* Settings from arguments KEY=VALUE up to the NULL at the end of argv. */
static inline spanspool_config *config_of(char **arguments) {
    note_form(arguments);
    spanspool_config *config = spanspool_config_new();
    for (; *arguments; arguments++) {
        char why[512] = "";
        char *value = strchr(*arguments, '=');
        if (!value) exit(2);
        *value++ = '\0';
        if (spanspool_config_set(config, *arguments, value, why, sizeof why)) {
            fprintf(stderr, "%s\n", why);
            exit(2);
        }
    }
    return config;
}

/* Opens a client with the settings in arguments. */
static inline spanspool_client *open_of(char **arguments) {
    char why[512] = "";
    spanspool_client *handle = NULL;
    spanspool_config *config = config_of(arguments);
    if (spanspool_init(config, &handle, why, sizeof why)) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
    spanspool_config_free(config);
    return handle;
}

#endif
