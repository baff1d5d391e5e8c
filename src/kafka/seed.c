/*
 * seed - finds two members of a JSON object's top level and decodes texts; no more of JSON than that (RFC 8259).
 *
 * Called by embedded.c in the process that runs the embedded broker. Pure; never judges whether the document is valid.
 */
#include "kafka/seed.h"

#include <stdint.h>
#include <string.h>

struct span {
    const char *data;
    size_t size;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span trim(struct span span)
{
    while (span.size > 0 && is_blank(span.data[0])) {
        span.data++;
        span.size--;
    }
    while (span.size > 0 && is_blank(span.data[span.size - 1]))
        span.size--;
    return span;
}

/* The text's length with both quotes; 0: it does not end. */
static size_t text_length(const char *at, const char *end)
{
    for (const char *p = at + 1; p < end; p++) {
        if (*p == '\\')
            p++;
        else if (*p == '"')
            return (size_t)(p + 1 - at);
    }
    return 0;
}

/* The value's length, nested ones and all; 0: it does not end. */
static size_t value_length(const char *at, const char *end)
{
    const char *p = at;
    int depth = 0;

    while (p < end) {
        size_t skip = *p == '"' ? text_length(p, end) : 1;

        if (skip == 0)
            return 0;
        if (*p == '{' || *p == '[')
            depth++;
        if (depth == 0 && (*p == ',' || *p == '}' || *p == ']'))
            break;
        if (*p == '}' || *p == ']')
            depth--;
        p += skip;
        if (depth == 0 && (p[-1] == '}' || p[-1] == ']' || p[-1] == '"'))
            break;
    }
    return depth == 0 ? (size_t)(p - at) : 0;
}

/* The raw value of a member of the object's top level. Names are compared as they are written. */
static bool find_member(struct span object, const char *name, struct span *ret_value)
{
    const char *end = object.data + object.size;
    const char *p = object.data + 1;

    while (p < end) {
        size_t name_length;
        size_t length;
        const char *member;

        while (p < end && (is_blank(*p) || *p == ','))
            p++;
        if (p == end || *p != '"')
            return false;
        member = p + 1;
        name_length = text_length(p, end);
        p += name_length;
        while (p < end && (is_blank(*p) || *p == ':'))
            p++;
        length = p < end ? value_length(p, end) : 0;
        if (name_length == 0 || length == 0)
            return false;
        if (name_length - 2 == strlen(name) && memcmp(member, name, name_length - 2) == 0) {
            *ret_value = trim((struct span){ p, length });
            return true;
        }
        p += length;
    }
    return false;
}

static bool read_hex(const char *at, const char *end, uint32_t *ret_value)
{
    uint32_t value = 0;

    if (end - at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdef";
        char c = at[i] >= 'A' && at[i] <= 'F' ? (char)(at[i] - 'A' + 'a') : at[i];
        const char *digit = c ? strchr(digits, c) : NULL;

        if (!digit)
            return false;
        value = value << 4 | (uint32_t)(digit - digits);
    }
    *ret_value = value;
    return true;
}

static char *put_utf8(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *to++ = (char)(0xe0 | code >> 12);
        } else {
            *to++ = (char)(0xf0 | code >> 18);
            *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        }
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
    }
    *to++ = (char)(0x80 | (code & 0x3f));
    return to;
}

/* One escape behind its backslash; returns what follows it. */
static const char *decode_escape(const char *at, const char *end, char **to)
{
    static const char names[] = "bfnrt";
    static const char bytes[] = "\b\f\n\r\t";
    const char *found = *at ? strchr(names, *at) : NULL;
    uint32_t code = 0;
    uint32_t low = 0;

    if (*at != 'u' || !read_hex(at + 1, end, &code)) {
        *(*to)++ = found ? bytes[found - names] : *at;
        return at + 1;
    }
    at += 5;
    if (code >= 0xd800 && code < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u' && read_hex(at + 2, end, &low) &&
        low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        at += 6;
    }
    *to = put_utf8(*to, code);
    return at;
}

/* A text without quotes and escapes, never longer than written; anything else as it stands; null is NULL. Moves *scratch on. */
static struct span decode(struct span raw, char **scratch)
{
    const char *end = raw.data + raw.size - 1;
    char *begin = *scratch;

    if (raw.size == 4 && memcmp(raw.data, "null", 4) == 0)
        return (struct span){ NULL, 0 };
    if (raw.size < 2 || raw.data[0] != '"')
        return raw;
    for (const char *p = raw.data + 1; p < end;) {
        if (*p == '\\' && p + 1 < end)
            p = decode_escape(p + 1, end, scratch);
        else
            *(*scratch)++ = *p++;
    }
    return (struct span){ begin, (size_t)(*scratch - begin) };
}

bool seed_read_line(const char *line, size_t size, const char *key_field, char *scratch, struct seed_record *ret_record)
{
    struct span object = trim((struct span){ line, size });
    struct span value = object;
    struct span key = { NULL, 0 };
    struct span raw;

    if (object.size == 0)
        return false;
    if (object.data[0] == '{') {
        if (find_member(object, "$value", &raw)) {
            value = decode(raw, &scratch);
            if (find_member(object, "$key", &raw))
                key = decode(raw, &scratch);
        } else if (find_member(object, key_field, &raw)) {
            key = decode(raw, &scratch);
        }
    }
    *ret_record = (struct seed_record){ key.data, key.size, value.data, value.size };
    return true;
}
