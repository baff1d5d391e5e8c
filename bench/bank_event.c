/*
 * bank_event - see bank_event.h. One thread.
 */
#include "bank_event.h"

#include "meter.h"

#include <yyjson.h>

enum { POOL_BYTES = 16 * 1024 * 1024, SHOWN_MAX = 200 }; /* fill makes events of up to 900,000 bytes */

static char pool_memory[POOL_BYTES];
static yyjson_alc pool;
static yyjson_doc *doc;

void bank_event_parse(const void *data, size_t size, struct bank_event *ret_event)
{
    yyjson_val *root, *account;
    const char *type;

    if (pool.malloc == NULL)
        yyjson_alc_pool_init(&pool, pool_memory, sizeof pool_memory);
    yyjson_doc_free(doc);
    doc = yyjson_read_opts((char *)(uintptr_t)data, size, YYJSON_READ_NOFLAG, &pool, NULL);
    root = yyjson_doc_get_root(doc);
    account = yyjson_obj_get(root, "account");
    type = yyjson_get_str(yyjson_obj_get(root, "type"));
    ret_event->account = yyjson_get_str(account);
    ret_event->account_size = yyjson_get_len(account);
    ret_event->amount = yyjson_get_str(yyjson_obj_get(root, "amount"));
    ret_event->at = yyjson_get_str(yyjson_obj_get(root, "at"));
    if (type == NULL || ret_event->account == NULL || ret_event->amount == NULL || ret_event->at == NULL)
        die("a record is no event of bench/fill: %.*s", size < SHOWN_MAX ? (int)size : SHOWN_MAX, (const char *)data);
    ret_event->is_withdrawal = type[0] == 'W';
}

int64_t bank_event_cents(const struct bank_event *event)
{
    int64_t cents = 0;
    int behind = -1;

    for (const char *at = event->amount; *at != '\0'; at++) {
        if (*at == '.') {
            behind = 0;
            continue;
        }
        cents = cents * 10 + (*at - '0');
        behind += behind >= 0;
    }
    for (int i = behind < 0 ? 0 : behind; i < 2; i++)
        cents *= 10;
    return event->is_withdrawal ? -cents : cents;
}
