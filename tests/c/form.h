/* Form: an item as it is enqueued: its JSON text, or with exporter=otlp an export request with one span that has the text
 * for a name. testkit/src/form.rs knows both. */

#ifndef FORM_H
#define FORM_H

#include <stddef.h>
#include <string.h>

/* Bytes that a text must have room for after its end. */
enum { FORM_ROOM = 4 * 6 };

static int items_are_requests;

/* To be called with all settings, each KEY=VALUE. */
static inline void note_form(char **settings) {
    for (; *settings; settings++) items_are_requests |= strcmp(*settings, "exporter=otlp") == 0;
}

/* Writes the head of a field before `begin`, and returns where that begins. */
static inline char *put_head(char *begin, char tag, size_t length) {
    char head[8];
    size_t bytes = 0;
    for (head[bytes++] = tag; length >= 0x80; length >>= 7) head[bytes++] = (char)(length | 0x80);
    head[bytes++] = (char)length;
    memcpy(begin - bytes, head, bytes);
    return begin - bytes;
}

/* Makes the item of a text in its place, and returns its length. */
static inline size_t in_form(char *text, size_t length) {
    if (!items_are_requests) return length;
    /* Request.resource_spans.scope_spans.spans.name */
    static const char tags[] = {0x2a, 0x12, 0x12, 0x0a};
    memmove(text + FORM_ROOM, text, length);
    char *begin = text + FORM_ROOM, *end = begin + length;
    for (size_t i = 0; i < sizeof tags; i++) begin = put_head(begin, tags[i], (size_t)(end - begin));
    memmove(text, begin, (size_t)(end - begin));
    return (size_t)(end - begin);
}

#endif
