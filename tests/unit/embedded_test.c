/*
 * embedded_test - src/kafka/embedded.h and seed.h: what a line becomes, and that a consumer in this process gets it over TCP.
 */
#include "base/clock.h"
#include "kafka/consumer.h"
#include "kafka/embedded.h"
#include "kafka/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h> /* after plugin.h: its fail() is a macro */

enum { DEADLINE_MS = 15000, BATCH = 64 };

/* ---- Lines ---- */

static void check_text(const char *what, const char *text, size_t size, const char *expected)
{
    if (!expected) {
        if (text)
            fail_msg("%s should be absent, is %.*s", what, (int)size, text);
        return;
    }
    if (!text || size != strlen(expected) || memcmp(text, expected, size) != 0)
        fail_msg("%s should be %s, is %.*s", what, expected, (int)size, text ? text : "");
}

static void check_line(const char *line, const char *key, const char *value)
{
    char *scratch = malloc(strlen(line) + 1);
    struct seed_record record;

    assert_non_null(scratch);
    assert_true(seed_read_line(line, strlen(line), "account", scratch, &record));
    check_text("key", record.key, record.key_size, key);
    check_text("value", record.value, record.value_size, value);
    free(scratch);
}

static void the_key_is_the_value_of_a_field(void **state)
{
    (void)state;
    check_line(" {\"type\":\"Deposited\",\"account\":\"alice\"}\r\n", "alice", "{\"type\":\"Deposited\",\"account\":\"alice\"}");
    check_line("{\"account\" : 42 , \"x\":1}", "42", "{\"account\" : 42 , \"x\":1}");
    check_line("{\"account\":null}", NULL, "{\"account\":null}");
    check_line("{\"account\":\"\"}", "", "{\"account\":\"\"}");
    check_line("{\"other\":1}", NULL, "{\"other\":1}");
    check_line("{}", NULL, "{}");
}

static void nested_values_and_texts_are_skipped(void **state)
{
    (void)state;
    check_line("{\"a\":{\"account\":\"no\"},\"b\":[1,{\"account\":\"no\"}],\"c\":\"\\\"account\\\":\\\"no\\\"}\",\"account\":\"yes\"}", "yes",
               "{\"a\":{\"account\":\"no\"},\"b\":[1,{\"account\":\"no\"}],\"c\":\"\\\"account\\\":\\\"no\\\"}\",\"account\":\"yes\"}");
    check_line("{\"a\":-1.5e3,\"b\":true,\"account\":\"k\"}", "k", "{\"a\":-1.5e3,\"b\":true,\"account\":\"k\"}");
}

static void escapes_are_decoded(void **state)
{
    (void)state;
    check_line("{\"$key\":\"a\\\"\\\\\\/\\n\\u00e4\\u20ac\\ud83d\\ude00\",\"$value\":1}", "a\"\\/\n\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "1");
}

static void key_and_value_can_be_stated(void **state)
{
    (void)state;
    check_line("{\"$key\":\"k\",\"$value\":{\"account\":\"x\"}}", "k", "{\"account\":\"x\"}");
    check_line("{\"$key\":\"k\",\"$value\":null}", "k", NULL);
    check_line("{\"$value\":\"not json\",\"$key\":null}", NULL, "not json");
    check_line("{\"$value\":[1,2]}", NULL, "[1,2]");
}

static void broken_lines_are_values_without_key(void **state)
{
    char scratch[8];
    struct seed_record record;

    (void)state;
    check_line("not json", NULL, "not json");
    check_line("{\"account\":\"alice", NULL, "{\"account\":\"alice");
    check_line("{\"account\"", NULL, "{\"account\"");
    check_line("{\"account\":", NULL, "{\"account\":");
    check_line("{\"a\":[1", NULL, "{\"a\":[1");
    check_line("{", NULL, "{");
    check_line("{\"account\":\"\\u12\"}", "u12", "{\"account\":\"\\u12\"}");
    assert_false(seed_read_line(" \t\r\n", 4, "account", scratch, &record));
    assert_false(seed_read_line("", 0, "account", scratch, &record));
}

/* Every line that can be cut out of a long one is read within its bounds: the sanitizer watches. */
static void no_line_is_read_past_its_end(void **state)
{
    static const char line[] = "{\"a\":{\"b\":[1,\"\\u00e4\\\"\"]},\"$key\":\"\\ud83d\\ude00\",\"$value\":\"\\\\x\"} ";

    (void)state;
    for (size_t begin = 0; begin < sizeof(line); begin++)
        for (size_t end = begin; end < sizeof(line); end++) {
            size_t size = end - begin;
            char *copy = malloc(size ? size : 1);
            char *scratch = malloc(size ? size : 1);
            struct seed_record record = { NULL, 0, NULL, 0 };

            assert_non_null(copy);
            assert_non_null(scratch);
            memcpy(copy, line + begin, size);
            if (seed_read_line(copy, size, "account", scratch, &record))
                assert_true(record.value_size <= size && record.key_size <= size);
            free(copy);
            free(scratch);
        }
}

/* ---- The broker ---- */

struct seed_file {
    char path[64];
};

static void write_file(struct seed_file *file, const char *text, size_t n_times)
{
    int descriptor;
    FILE *stream;

    snprintf(file->path, sizeof(file->path), "%s/readside-seed-XXXXXX", "/tmp");
    descriptor = mkstemp(file->path);
    assert_true(descriptor >= 0);
    stream = fdopen(descriptor, "w");
    assert_non_null(stream);
    for (size_t i = 0; i < n_times; i++)
        fputs(text, stream);
    assert_int_equal(fclose(stream), 0);
}

/* Takes the whole topic; returns the number of records and the last one's value. */
static int read_topic(const struct embedded *embedded, const char *topic, char *ret_value, size_t value_size)
{
    const char *topics[] = { topic };
    const struct consumer_settings settings = {
        .bootstrap_servers = embedded_bootstrap_servers(embedded), .group_id = "reader", .client_id = "test", .topics = topics,
        .n_topics = 1, .assignor = ASSIGNOR_RANGE, .session_timeout_ms = 6000, .fetch_queue_bytes = 1 << 20,
    };
    int64_t until_us = clock_system.monotonic_us(clock_system.self) + DEADLINE_MS * 1000;
    size_t n_ends = 0, n_partitions = 1;
    struct record records[BATCH];
    struct consumer consumer;
    struct error error = { 0 };
    int n_records = 0;

    if (consumer_open(&settings, &consumer, &error) != 0)
        fail_msg("%s", error.text);
    while (n_ends < n_partitions) {
        struct rebalance rebalance = consumer.operations->rebalance(consumer.self);
        size_t n = 0;

        assert_true(clock_system.monotonic_us(clock_system.self) < until_us);
        if (rebalance.kind == REBALANCE_ASSIGN) {
            struct partition_offset partitions[8];

            n_partitions = rebalance.n_partitions;
            for (size_t i = 0; i < n_partitions; i++)
                partitions[i] = (struct partition_offset){ topic, rebalance.partitions[i].partition, -1, 0 };
            assert_int_equal(consumer.operations->answer(consumer.self, &error), 0);
            assert_int_equal(consumer.operations->start(consumer.self, partitions, n_partitions, &error), 0);
        }
        if (consumer.operations->take(consumer.self, 100, records, BATCH, &n, &error) != 0)
            fail_msg("%s", error.text);
        for (size_t i = 0; i < n; i++) {
            n_ends += records[i].kind == RECORD_END;
            if (records[i].kind != RECORD_DATA)
                continue;
            snprintf(ret_value, value_size, "%.*s", (int)records[i].value_size, (const char *)records[i].value);
            n_records++;
        }
    }
    assert_true(consumer_close(&consumer, DEADLINE_MS));
    return n_records;
}

static void a_seeded_topic_is_consumed_over_tcp(void **state)
{
    struct embedded *embedded;
    struct seed_file file;
    struct error error = { 0 };
    int64_t n_records = 0;
    char value[64] = "";

    (void)state;
    write_file(&file, "{\"account\":\"alice\",\"n\":1}\n\n{\"account\":\"alice\",\"n\":2}", 1);
    assert_int_equal(embedded_start(&embedded, &error), 0);
    assert_int_equal(embedded_create_topic(embedded, "bank", 3, &error), 0);
    if (embedded_seed(embedded, "bank", file.path, NULL, &n_records, &error) != 0)
        fail_msg("%s", error.text);
    assert_int_equal(n_records, 2);
    assert_int_equal(read_topic(embedded, "bank", value, sizeof(value)), 2);
    assert_string_equal(value, "{\"account\":\"alice\",\"n\":2}");
    unlink(file.path);
    assert_null(embedded_stop(embedded));
}

static void what_cannot_be_kept_is_refused(void **state)
{
    static const char line[] = "{\"account\":\"alice\",\"filler\":\"0123456789012345678901234567890123456789012345678901234567890\"}\n";
    struct embedded *embedded;
    struct seed_file file;
    struct error error = { 0 };

    (void)state;
    write_file(&file, line, 60000);
    assert_int_equal(embedded_start(&embedded, &error), 0);
    assert_int_equal(embedded_create_topic(embedded, "small", 2, &error), 0);
    assert_int_equal(embedded_seed(embedded, "small", file.path, NULL, NULL, &error), ERROR_CONFIG);
    assert_non_null(strstr(error.text, "small"));
    unlink(file.path);
    assert_int_equal(embedded_seed(embedded, "small", file.path, NULL, NULL, &error), ERROR_CONFIG);
    assert_non_null(strstr(error.text, file.path));
    assert_int_equal(embedded_create_topic(embedded, "wide", EMBEDDED_MAX_PARTITIONS + 1, &error), ERROR_CONFIG);
    assert_int_equal(embedded_create_topic(embedded, "small", 2, &error), ERROR_CONFIG);
    assert_null(embedded_stop(embedded));
    assert_null(embedded_stop(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_is_the_value_of_a_field),
        cmocka_unit_test(nested_values_and_texts_are_skipped),
        cmocka_unit_test(escapes_are_decoded),
        cmocka_unit_test(key_and_value_can_be_stated),
        cmocka_unit_test(broken_lines_are_values_without_key),
        cmocka_unit_test(no_line_is_read_past_its_end),
        cmocka_unit_test(a_seeded_topic_is_consumed_over_tcp),
        cmocka_unit_test(what_cannot_be_kept_is_refused),
    };

    return cmocka_run_group_tests_name("embedded", tests, NULL, NULL);
}
