/*
 * record_key - see record_key.h. Called per row that a handler touches, in a task's one thread.
 */
#include "plugin/record_key.h"

#include "base/decimal.h"
#include "base/text.h"
#include "event/field.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PRINTED_MAX = 64 };

/* The one text that stands for the value; numbers have many, of which a record key must be this one. */
static size_t print(const struct column *column, const struct rs_value *value, char ret_text[PRINTED_MAX])
{
    struct rs_uuid uuid = value->as.uuid; /* copied, since gcc 12 mixes up the sizes of the union's members */
    int128 coefficient;

    switch (column->type) {
    case RS_INT:
        return (size_t)snprintf(ret_text, PRINTED_MAX, "%" PRId64, value->as.integer);
    case RS_BOOL:
        return (size_t)snprintf(ret_text, PRINTED_MAX, "%s", value->boolean != 0 ? "true" : "false");
    case RS_DECIMAL:
        if (!decimal_rescale(value->as.decimal, column->precision, column->scale, &coefficient))
            return 0;
        return decimal_print(decimal_make(coefficient, (int32_t)column->scale), ret_text);
    case RS_TIMESTAMP:
        text_print_timestamp(value->as.timestamp.microseconds, ret_text);
        return TEXT_TIMESTAMP_SIZE - 1;
    case RS_DATE:
        text_print_date(value->as.date.days, ret_text);
        return TEXT_DATE_SIZE - 1;
    default:
        text_print_uuid(uuid.bytes, ret_text);
        return TEXT_UUID_SIZE - 1;
    }
}

static int refuse(const struct table *table, const struct rs_bytes *record_key, const char *text, size_t size,
                  struct error *ret_error)
{
    bool is_text = text_is_utf8(record_key->data, record_key->size, NULL);

    return error_set(ret_error, ERROR_POISON,
                     "%s.%s is \"%.*s\", the record key %s%.*s%s: the first key column of a partitioned table equals the record key "
                     "(RS_KEY_FOLLOWS if it follows from it in another way)",
                     table->name, table->columns[table->keys[0]].name, text_is_utf8(text, size, NULL) ? field_shown(text, size) : 0,
                     text, is_text ? "is \"" : "is not text",
                     is_text ? field_shown(record_key->data, record_key->size) : 0, (const char *)record_key->data,
                     is_text ? "\"" : "");
}

int record_key_check(const struct table *table, const struct rs_bytes *record_key, const struct rs_value *first,
                     struct error *ret_error)
{
    const struct column *column = &table->columns[table->keys[0]];
    const char *text = first->as.text.data;
    size_t size = first->as.text.size;
    char printed[PRINTED_MAX];

    if (table->is_shared)
        return 0;
    if (record_key->data == NULL)
        return error_set(ret_error, ERROR_POISON,
                         "the record has no key, and table %s is partitioned: only shared tables can be touched without a record key",
                         table->name);
    if (table->key_follows)
        return 0;
    if (column->type != RS_TEXT && column->type != RS_BYTES) {
        size = print(column, first, printed);
        text = printed;
    }
    if (size == record_key->size && (size == 0 || memcmp(text, record_key->data, size) == 0))
        return 0;
    return refuse(table, record_key, size == 0 ? "" : text, size, ret_error);
}

int record_key_check_types(const struct table *table, const struct rs_value *keys, struct error *ret_error)
{
    for (uint32_t i = 0; i < table->n_keys; i++) {
        const struct column *column = &table->columns[table->keys[i]];

        if (keys[i].type == 0)
            return error_set(ret_error, ERROR_POISON, "%s.%s: the key is null", table->name, column->name);
        if (keys[i].type != (uint32_t)column->type)
            return error_set(ret_error, ERROR_BUG, "%s.%s: the key that the handler gives is not %s: mend the plugin", table->name,
                             column->name, field_type_name(column->type));
    }
    return 0;
}

bool record_key_read(const struct rs_bytes *record_key, enum rs_type type, struct arena *arena, struct rs_value *ret_value)
{
    if (record_key->data == NULL)
        return false;
    if (type == RS_BYTES) {
        *ret_value = (struct rs_value){.type = RS_BYTES, .as.bytes = *record_key};
        return true;
    }
    return field_read_text(record_key->data, record_key->size, "$key", type, arena, ret_value, NULL) == 0;
}
