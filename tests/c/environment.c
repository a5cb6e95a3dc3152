/* Counts who asks for the environment: at init it is read, and never again, whatever changes in it. */

#include "host.h"

static int reads;

extern char **environ;

/* This definition takes the place of libc's for the library too. */
char *getenv(const char *name) {
    __atomic_add_fetch(&reads, 1, __ATOMIC_RELAXED);
    size_t length = strlen(name);
    for (char **entry = environ; *entry; entry++)
        if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') return *entry + length + 1;
    return NULL;
}

static void change(const char *value) {
    static const char *const names[] = {"OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "HTTP_PROXY",
                                        "HTTPS_PROXY",    "ALL_PROXY",     "SSL_CERT_FILE",     "TMPDIR"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) setenv(names[i], value, 1);
}

static void use(const spanspool_client *handle, const char *name, uint64_t items) {
    for (uint64_t i = 0; i < items; i++) CHECK_STATUS(enqueue_item(handle, name, i, 500), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_flush(handle, 60000), SPANSPOOL_OK);
    CHECK_STATUS(spanspool_set_named_key(handle, "team", "sk-team"), SPANSPOOL_OK);
}

/* usage: environment KEY=VALUE… */
int main(int argc, char **argv) {
    (void)argc;
    spanspool_client *handle = open_spool(argv + 1);
    /* Else the definition above is not the one that the library calls, and the test is blind. */
    CHECK(reads > 0);
    change("http://changed.invalid:1");
    reads = 0;
    use(handle, "parent", 400);
    pid_t child = fork();
    if (child == 0) {
        use(handle, "child", 100);
        CHECK(reads == 0);
        fflush(stdout);
        _exit(failures != 0);
    }
    CHECK(wait_for(child) == 0);
    spanspool_free(handle);
    CHECK(reads == 0);
    return verdict();
}
