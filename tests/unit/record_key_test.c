/*
 * record_key: keys of every type against the record key's text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/record_key.h" /* before cmocka.h, whose macro fail() would hide a member */

#include <cmocka.h>

#include <string.h>

static void check_printed_key(uint32_t type, struct rs_value value, const char *key)
{
    struct column column = {.name = "k", .type = (enum rs_type)type, .is_key = true, .precision = 10, .scale = 2};
    struct table table = {.name = "t", .columns = &column, .n_columns = 1, .keys = {0}, .n_keys = 1};
    struct rs_bytes record_key = {.data = key, .size = strlen(key)}, longer = {.data = key, .size = strlen(key) - 1};
    struct arena *arena = arena_new(256, 0);
    struct rs_value read;
    struct error error = {0};

    if (record_key_check(&table, &record_key, &value, &error) != 0)
        fail_msg("%s", error.text);
    assert_int_equal(record_key_check(&table, &longer, &value, &error), ERROR_POISON);
    if (type != RS_BYTES || strcmp(key, "AP") == 0) {
        assert_true(record_key_read(&record_key, column.type, arena, &read));
        assert_int_equal(read.type, type);
        assert_int_equal(record_key_check(&table, &record_key, &read, &error), 0);
    }
    arena_free(arena);
}

static void test_keys_of_other_types_are_compared_as_text(void **state)
{
    const struct rs_uuid uuid = {{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 1, 2, 3, 4, 5, 6, 7, 8}};
    const struct rs_bytes bytes = {"AP", 2};

    (void)state;
    check_printed_key(RS_TEXT, rs_value_string("abc"), "abc");
    check_printed_key(RS_INT, rs_value_int(-1205), "-1205");
    check_printed_key(RS_BOOL, rs_value_bool(true), "true");
    check_printed_key(RS_DECIMAL, rs_value_decimal(rs_decimal_of(15, 1)), "1.50");
    check_printed_key(RS_BYTES, rs_value_bytes(bytes), "AP");
    check_printed_key(RS_TIMESTAMP, rs_value_timestamp((struct rs_timestamp){1}), "1970-01-01T00:00:00.000001Z");
    check_printed_key(RS_DATE, rs_value_date((struct rs_date){59}), "1970-03-01");
    check_printed_key(RS_UUID, rs_value_uuid(uuid), "01234567-89ab-cdef-0102-030405060708");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_of_other_types_are_compared_as_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
