/*
 * postgres_outbox - messages of a batch, as rows of readside_outbox in the batch's transaction. Called by postgres_write.c.
 */
#include "store/postgres.h"

static const char insert_messages[] =
    "INSERT INTO readside_outbox (pipeline, version, topic, key, value, headers, source_topic, source_part, source_offset) "
    "SELECT $1, $2, * FROM unnest($3::text[], $4::bytea[], $5::bytea[], $6::jsonb[], $7::text[], $8::int4[], $9::int8[])";

static void put_bytes_column(struct pg_parameters *parameters, const struct outbox_message *messages, size_t n, bool is_key)
{
    pg_begin_array(parameters, PG_BYTEA_ARRAY, PG_BYTEA, n);
    for (size_t i = 0; i < n; i++) {
        const struct rs_bytes *bytes = is_key ? &messages[i].key : &messages[i].value;

        if (bytes->data == NULL)
            pg_element_null(parameters);
        else
            pg_element_bytes(parameters, bytes->data, bytes->size);
    }
    pg_end_array(parameters);
}

static void put_headers(struct pg_parameters *parameters, const struct outbox_message *message)
{
    struct buffer json = BUFFER_INIT;
    struct column column = {.type = RS_JSON};
    struct cell cell = {.operation = CELL_SET};

    store_print_headers(&json, message);
    cell.as.data = json.data;
    cell.size = (uint32_t)json.size;
    if (buffer_failed(&json))
        parameters->bytes.has_failed = true;
    else
        pg_element_cell(parameters, &column, &cell);
    buffer_free(&json);
}

int pg_send_messages(struct postgres *pg, const struct outbox_message *messages, size_t n, struct error *ret_error)
{
    struct pg_parameters *parameters = &pg->parameters;

    pg_put_scope(parameters, &pg->store.scope);
    pg_begin_array(parameters, PG_TEXT_ARRAY, PG_TEXT, n);
    for (size_t i = 0; i < n; i++)
        pg_element_text(parameters, messages[i].topic);
    pg_end_array(parameters);
    put_bytes_column(parameters, messages, n, true);
    put_bytes_column(parameters, messages, n, false);
    pg_begin_array(parameters, PG_JSONB_ARRAY, PG_JSONB, n);
    for (size_t i = 0; i < n; i++)
        put_headers(parameters, &messages[i]);
    pg_end_array(parameters);
    pg_begin_array(parameters, PG_TEXT_ARRAY, PG_TEXT, n);
    for (size_t i = 0; i < n; i++)
        pg_element_text(parameters, messages[i].source_topic);
    pg_end_array(parameters);
    pg_begin_array(parameters, PG_INT4_ARRAY, PG_INT4, n);
    for (size_t i = 0; i < n; i++)
        pg_element_int4(parameters, messages[i].source_partition);
    pg_end_array(parameters);
    pg_begin_array(parameters, PG_INT8_ARRAY, PG_INT8, n);
    for (size_t i = 0; i < n; i++)
        pg_element_int8(parameters, messages[i].source_offset);
    pg_end_array(parameters);
    return pg_send(pg, insert_messages, parameters, true, ret_error);
}
