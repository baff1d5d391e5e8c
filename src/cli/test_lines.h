/*
 * test_lines - a file of events as records, for `readside test-plugin'.
 */
#ifndef CLI_TEST_LINES_H
#define CLI_TEST_LINES_H

#include "base/arena.h"
#include "base/error.h"
#include "kafka/record.h"

struct test_lines {
    struct arena *arena;
    struct record *records;
    size_t n;
};

/*
 * Each line is a payload, whose record key is the field at the path `key` (none where it lacks it), or a
 * whole record {"$key":...,"$value":...,"$headers":{...},"$partition":0}. key may be NULL: no keys. The offset is the line, from
 * 0; the topic is "test". CONFIG with file and line.
 */
int test_lines_read(const char *path, const char *key, struct test_lines *ret_lines, struct error *ret_error) MUST_CHECK;
void test_lines_free(struct test_lines *lines);

#endif
