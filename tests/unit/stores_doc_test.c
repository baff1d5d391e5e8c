/*
 * stores_doc_test - the table of types in docs/stores.md says what the drivers make. No server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "store/mysql.h"
#include "store/postgres.h"
#include "store/sqlite.h"

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_document(void)
{
    const char *source = getenv("READSIDE_SOURCE");
    static char document[65536];
    char path[512];
    FILE *file;
    size_t n;

    snprintf(path, sizeof path, "%s/docs/stores.md", source == NULL ? "." : source);
    file = fopen(path, "r");
    if (file == NULL)
        fail_msg("%s cannot be read", path);
    n = fread(document, 1, sizeof document - 1, file);
    fclose(file);
    document[n] = '\0';
    return document;
}

static void expect_row(const char *document, const struct column *column)
{
    const struct table table = {.name = "t", .columns = column, .n_columns = 1, .keys = {0}, .n_keys = column->is_key ? 1 : 0};
    char declared[SQLITE_TYPE_SIZE], postgres[64], mysql[MY_TYPE_SIZE], line[300];

    pg_type_name(column, postgres);
    my_type_name(&table, 0, mysql);
    snprintf(line, sizeof line, "| %s%s | %s | %s | %s |\n", sqlite_type_name(column, declared), column->is_key ? ", key" : "", postgres,
             mysql, sqlite_storage_name(column->type));
    if (strstr(document, line) == NULL)
        fail_msg("docs/stores.md lacks the line: %s", line);
}

static void test_every_type_is_told(void **state)
{
    const char *document = read_document();

    (void)state;
    for (int type = RS_INT; type <= RS_UUID; type++)
        expect_row(document, &(struct column){.name = "c", .type = (enum rs_type)type, .precision = 20, .scale = 2});
    expect_row(document, &(struct column){.name = "c", .type = RS_TEXT, .is_key = true});
    expect_row(document, &(struct column){.name = "c", .type = RS_BYTES, .is_key = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_type_is_told)};

    return cmocka_run_group_tests_name("stores_doc", tests, NULL, NULL);
}
