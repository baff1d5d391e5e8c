/*
 * log: what arrives at stderr.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_end;
static int real_stderr;
static char output[65536];

/* A pipe in the place of stderr: one read() returns what one write() wrote, as a line is below PIPE_BUF or the only one. */
static int redirect(void **state)
{
    int ends[2];

    (void)state;
    if (pipe2(ends, O_NONBLOCK) < 0) {
        return -1;
    }
    real_stderr = dup(STDERR_FILENO);
    read_end = ends[0];
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    return 0;
}

static int restore(void **state)
{
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(read_end);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    return 0;
}

static const char *take(void)
{
    ssize_t size = read(read_end, output, sizeof output - 1);

    output[size > 0 ? size : 0] = '\0';
    return output;
}

/* The line behind its time stamp, which is checked for its form. */
static const char *take_after_time(const char *before)
{
    const char *line = take();
    size_t size = strlen(before);
    int64_t time;

    assert_true(strlen(line) > size + 24);
    assert_memory_equal(line, before, size);
    assert_true(text_read_timestamp(line + size, 24, &time));
    return line + size + 24;
}

static void test_logfmt(void **state)
{
    (void)state;
    log_info("task started", "pipeline", "accounts", "empty", "", "null", NULL, "count", log_number(-7), NULL);
    assert_string_equal(take_after_time("ts="),
                        " level=info msg=\"task started\" pipeline=accounts empty=\"\" null=\"\" count=-7\n");
    log_error("x", "q", "say \"a=b\"\\\n\x01", "utf", "caf\xc3\xa9", "bad", "a\xff", NULL);
    assert_string_equal(take_after_time("ts="),
                        " level=error msg=x q=\"say \\\"a=b\\\"\\\\\\n\\u0001\" utf=\"caf\xc3\xa9\" bad=\"a\xef\xbf\xbd\"\n");
}

static void test_json(void **state)
{
    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_warn("two\nlines", "k\"", "\xf0\x9f\x98\x80\xf0\x9f", NULL);
    assert_string_equal(
        take_after_time("{\"ts\":\""),
        "\",\"level\":\"warn\",\"msg\":\"two\\nlines\",\"k\\\"\":\"\xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd\"}\n");
}

static void test_level_holds_lines_back(void **state)
{
    (void)state;
    log_debug("not now", NULL);
    assert_string_equal(take(), "");
    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
    log_debug("now", NULL);
    assert_non_null(strstr(take(), "level=debug msg=now"));
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
    log_warn("not now", NULL);
    assert_string_equal(take(), "");
}

static void test_errno_is_kept(void **state)
{
    (void)state;
    errno = ENOENT;
    log_info("x", NULL);
    assert_int_equal(errno, ENOENT);
}

static void check_long_line(enum log_format format, const char *end)
{
    static char value[20000];
    const char *line;
    size_t size;

    for (size_t i = 0; i + 1 < sizeof value; i += 2) {
        memcpy(value + i, "\xc3\xa9", 2);
    }
    log_setup(LOG_LEVEL_INFO, format);
    log_info("long", "value", value, "never", "seen", NULL);
    line = take();
    size = strlen(line);
    assert_in_range(size, 8100, 8192);
    assert_string_equal(line + size - strlen(end), end);
    assert_null(strstr(line, "never"));
    assert_true(text_is_utf8(line, size, NULL));
    for (int i = 0; i < 40; i++) { /* full at every place of a pair */
        memset(value, 'x', sizeof value);
        value[8060 + i] = '\0';
        log_info("m", "v", value, "another", "a b", "more", value, NULL);
        line = take();
        size = strlen(line);
        assert_in_range(size, 8060, 8192);
        assert_int_equal(line[size - 1], '\n');
        assert_true(strcspn(line, "\n") == size - 1);
    }
}

static void test_long_lines_are_closed(void **state)
{
    (void)state;
    check_long_line(LOG_FORMAT_JSON, "...\"}\n");
    check_long_line(LOG_FORMAT_LOGFMT, "...\"\n");
}

static void test_numbers_stay_for_fifteen_calls(void **state)
{
    const char *first = log_number(INT64_MIN);

    (void)state;
    for (int i = 0; i < 15; i++) {
        log_number(i);
    }
    assert_string_equal(first, "-9223372036854775808");
}

/* Last: what is set stays. */
static void test_context_is_on_every_line(void **state)
{
    char key[] = "k0";

    (void)state;
    log_context("pipeline", "accounts");
    log_context("task", "0");
    log_context("task", "1");
    log_info("x", "a", "b", NULL);
    assert_string_equal(take_after_time("ts="), " level=info msg=x pipeline=accounts task=1 a=b\n");
    for (; key[1] < '9'; key[1]++) {
        log_context(key, NULL);
    }
    log_info("x", NULL);
    take();
    assert_non_null(strstr(output, "k5=\"\""));
    assert_null(strstr(output, "k6"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_logfmt, redirect, restore),
        cmocka_unit_test_setup_teardown(test_json, redirect, restore),
        cmocka_unit_test_setup_teardown(test_level_holds_lines_back, redirect, restore),
        cmocka_unit_test_setup_teardown(test_errno_is_kept, redirect, restore),
        cmocka_unit_test_setup_teardown(test_long_lines_are_closed, redirect, restore),
        cmocka_unit_test_setup_teardown(test_numbers_stay_for_fifteen_calls, redirect, restore),
        cmocka_unit_test_setup_teardown(test_context_is_on_every_line, redirect, restore),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
