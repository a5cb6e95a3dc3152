/* Loaded before the C library, it answers look-ups of host names as the first byte of the file $LOOKUP says:
 * '+' gives 127.0.0.1, '-' is a failure that may pass, '?' does not come back until the byte is another. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int said(void) {
    FILE *file = fopen(getenv("LOOKUP"), "re");
    int byte = file ? fgetc(file) : '-';
    if (file) fclose(file);
    return byte;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    (void)node;
    while (said() == '?') usleep(5000);
    return said() == '+' ? real("127.0.0.1", service, hints, found) : EAI_AGAIN;
}
