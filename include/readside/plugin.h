/*
 * readside/plugin.h - the whole contract between Readside and a projection.
 *
 * A projection is a shared object with one exported function, readside_projection(). It declares tables and handlers; the host
 * reads events from Kafka, calls the handler of each event's type, folds the row operations that the handlers propose, writes
 * them in bulk and commits them together with the position in the topic. A plugin never sees a connection, a transaction or
 * Kafka, and links against nothing: everything it may call is an inline function below, which goes through the host table that
 * every event, row, batch and setup begins with.
 *
 *     static enum rs_verdict deposited(const struct rs_instance *self, const struct rs_event *event, struct rs_batch *batch)
 *     {
 *         struct rs_row *account = rs_row(batch, ACCOUNTS, rs_text(event, "account"));
 *
 *         rs_add_decimal(account, BALANCE, rs_decimal(event, "amount"));
 *         return RS_DONE;
 *     }
 *
 * All or nothing. What a handler proposes is merged into the batch only when it returns RS_DONE and no call was refused. Errors
 * stick: the first refused call (a field that is missing or of another type, a value that does not fit its column) marks the
 * event, later calls do nothing and getters return zero or empty. The host reports that first reason with the event's topic,
 * partition, offset and key. So a handler needs no check after each line; only rs_alloc() and rs_setup_alloc() return NULL.
 * A marked event is RS_POISON when the event is at fault (a field, a key or a value that does not fit) and RS_BROKEN when the
 * plugin is (a table or column that does not exist, a value or key of another type than the column's, another number of keys, a
 * read of a shared table), whatever the handler returns; only RS_BROKEN from the handler outweighs it.
 *
 * Deterministic. A handler depends on (event, rows, options) only: no threads, clocks, randomness or I/O. It may run more than
 * once for an event (its row had to be loaded first, a transaction was rolled back); only one run counts. In a run that is
 * repeated because a row must be loaded first, reads of that row give zero and nothing counts, the verdict included.
 *
 * Threads. All calls of one instance come from one thread of one process.
 *
 * Lifetimes. Text and bytes are pointer and length, not terminated, valid until the handler returns; so are rows, items and
 * rs_alloc() memory. Setters, rs_emit(), rs_fail() and rs_refuse() copy. Strings in the descriptor are terminated and live as
 * long as the plugin.
 *
 * Versions. The host refuses another major or a newer minor; while major is 0 the minor must match exactly. Array elements may
 * grow at their end, hence the element sizes. Reserved members are zero.
 *
 * Languages. C11 or newer and C++17 or newer with GNU extensions (GCC, Clang). In C++ a struct is named with its tag, since the
 * getter of that name hides it (struct rs_row *row, or auto *row); the initialiser macros need C++20, where designators come in
 * the order of the members; no exception may leave a handler. Other languages declare the structs and call the host table
 * themselves: a C enum is a uint32_t, a bool one byte.
 *
 * See docs/plugins.md for a tutorial.
 */
#ifndef READSIDE_PLUGIN_H
#define READSIDE_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define RS_ASSERT_(condition) static_assert(condition, #condition)
/* A getter is called like the struct it returns: rs_text(event, "name") gives a struct rs_text. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
extern "C" {
#else
#define RS_ASSERT_(condition) _Static_assert(condition, #condition)
#endif

#define RS_ABI_MAJOR 0
#define RS_ABI_MINOR 1

/* Bounds that the host holds a descriptor to. */
#define RS_MAX_TABLES 64
#define RS_MAX_COLUMNS 128
#define RS_MAX_KEYS 8 /* key columns of one table */
#define RS_MAX_DIGITS 38

/* ---- Values ------------------------------------------------------------------------------------------------------------- */

enum rs_type {
    RS_INT = 1,   /* signed 64-bit integer */
    RS_REAL,      /* IEEE 754 double, finite; not in keys, and cannot be added to */
    RS_DECIMAL,   /* exact decimal, up to 38 digits; the column states precision and scale */
    RS_TEXT,      /* valid UTF-8 without NUL */
    RS_BOOL,
    RS_BYTES,
    RS_JSON,      /* one valid JSON document as text; not in keys. A read gives the document, not its spelling: blanks, the order
                     of members and what becomes of a member given twice are the store's. So parse it, never compare bytes */
    RS_TIMESTAMP, /* microseconds since 1970-01-01T00:00:00Z; years 0001 to 9999 */
    RS_DATE,      /* days since 1970-01-01; years 0001 to 9999 */
    RS_UUID,      /* 16 bytes in network order (RFC 9562) */
};

struct rs_text {
    const char *data;
    size_t size; /* bytes */
};

struct rs_bytes {
    const void *data;
    size_t size;
};

struct rs_json {
    const char *data;
    size_t size;
};

struct rs_timestamp {
    int64_t microseconds;
};

struct rs_date {
    int32_t days;
};

struct rs_uuid {
    uint8_t bytes[16];
};

/* value = coefficient / 10^scale. The coefficient is a 128-bit two's complement number of at most 38 digits, in two halves. */
struct rs_decimal {
    uint64_t low;
    int64_t high;
    int32_t scale; /* 0 to 38; 12.50 and 12.5 are equal values */
    uint32_t reserved;
};

struct rs_value {
    uint32_t type;    /* enum rs_type; 0 is null */
    uint32_t boolean; /* RS_BOOL: 0 or 1 */
    union {
        int64_t integer;
        double real;
        struct rs_decimal decimal;
        struct rs_text text;
        struct rs_bytes bytes;
        struct rs_json json;
        struct rs_timestamp timestamp;
        struct rs_date date;
        struct rs_uuid uuid;
    } as;
};

RS_ASSERT_(sizeof(bool) == 1 && sizeof(struct rs_decimal) == 24 && sizeof(struct rs_value) == 32);

/* ---- What a projection declares ------------------------------------------------------------------------------------------ */

/* What becomes of an event. */
enum rs_verdict {
    RS_DONE = 0,   /* its operations count */
    RS_SKIP = 1,   /* not mine: nothing happens, the position moves on */
    RS_POISON = 2, /* this event can never succeed; the pipeline's error policy decides */
    RS_BROKEN = 3, /* the plugin or its tables are wrong: stop. So is any other number */
};

RS_ASSERT_(sizeof(enum rs_verdict) == sizeof(uint32_t)); /* no -fshort-enums: a handler returns it as uint32_t */

/* How a column changes. A column of a shared table declares one of add, max or min; 0 elsewhere. */
enum rs_operation {
    RS_ADD = 1,
    RS_MAX = 2,
    RS_MIN = 3,
};

enum rs_column_flag {
    RS_KEY = 1,      /* part of the primary key, in the order of the columns; never null */
    RS_NOT_NULL = 2, /* needs a fallback unless it is a key, so that a partial upsert can always insert; a column kept at max
                        or min therefore cannot have it */
};

struct rs_column {
    uint32_t id;          /* the number by which handlers name it: its index in the array */
    uint32_t type;        /* enum rs_type */
    uint32_t flags;       /* enum rs_column_flag */
    uint32_t operation;   /* enum rs_operation, shared tables only */
    uint32_t precision;   /* RS_DECIMAL: digits in all, 1 to 38 */
    uint32_t scale;       /* RS_DECIMAL: digits behind the point, at most precision */
    uint32_t length;      /* RS_TEXT: most characters (code points); RS_BYTES: most bytes; 0: no limit of the column's own */
    uint32_t reserved;
    const char *name;     /* [a-z][a-z0-9_]*, at most 48 bytes, not beginning with readside_ nor one that a store has itself: xmin,
                             xmax, cmin, cmax, ctid, tableoid, db_row_id, db_trx_id, db_roll_ptr, fts_doc_id */
    const char *fallback; /* value of a new row where nothing is set, as text ("0", "0.00", "", "true"; otherwise as in the JSON
                             string that the type's getter reads); NULL: null. Columns that are added to need null or zero,
                             columns kept at max or min need null, key columns have none. RS_ADD of a shared table begins at
                             zero in every row, null as its fallback or not, since each write adds to all such columns */
    const char *summary;  /* one line for people; may be NULL */
};

/* A secondary index, never unique. Of text and bytes without a length, or with a great one, a store may index the beginning only,
 * or refuse values of more than 2000 bytes: what is indexed is best short. */
struct rs_index {
    const char *name;     /* [a-z][a-z0-9_]*, at most 48 bytes, not pkey; the host adds the table's name */
    const uint32_t *columns; /* of any type but RS_JSON */
    uint32_t n_columns;
    uint32_t column_size; /* sizeof columns[0] */
};

enum rs_table_flag {
    RS_SHARED = 1,      /* rows are touched by events of many partitions: add, max and min only; no reads, no removal */
    RS_KEY_FOLLOWS = 2, /* partitioned, but the first key column is not the record key: the author states that a row is
                           nevertheless touched from one partition only, even where it is removed and made anew. The host
                           compares partitions in each read and write, and halts the partition of an event that touches
                           another's row */
};

/*
 * Without RS_SHARED a table is partitioned: each row is touched by the events of one Kafka partition, the first key column
 * equals the record key (its text; another key is poison), and handlers may read rows. An event without record key may touch
 * shared tables only.
 */
struct rs_table {
    uint32_t id;          /* its index in the array */
    uint32_t flags;       /* enum rs_table_flag */
    const char *name;     /* [a-z][a-z0-9_]*, at most 40 bytes, not beginning with readside_, sqlite_ or pg_, nor holding __v and
                             a digit; the read store shows it under this name */
    const struct rs_column *columns;
    uint32_t n_columns;
    uint32_t column_size; /* sizeof columns[0] */
    const struct rs_index *indexes;
    uint32_t n_indexes;
    uint32_t index_size;  /* sizeof indexes[0] */
    const char *summary;
};

struct rs_instance; /* the plugin's own: define it in the plugin, or leave it undefined and use NULL */
struct rs_event;
struct rs_batch;
struct rs_row;
struct rs_setup;

/* A row that a handler reads, so that the host loads the rows of many events with one query. */
struct rs_read {
    uint32_t table;
    uint32_t n_keys;                /* as many as the table has key columns */
    const char *keys[RS_MAX_KEYS];  /* event paths, or "$key" for the text of the record key. Where one is absent or has not
                                       the key column's type, nothing is loaded beforehand */
};

typedef enum rs_verdict (*rs_handler_function)(const struct rs_instance *self, const struct rs_event *event,
                                               struct rs_batch *batch);

#define RS_ANY "*"                /* a handler of every type that no other handler takes, RS_TOMBSTONE included */
#define RS_TOMBSTONE "$tombstone" /* the type of a record whose value is null; of another it is poison */

/* The first handler in the array whose type and versions fit takes the event; RS_ANY comes after all others. */
struct rs_handler {
    const char *type;             /* event type, RS_ANY or RS_TOMBSTONE */
    rs_handler_function function;
    uint32_t min_version;         /* event versions it takes, both ends included; 0 and 0: every version */
    uint32_t max_version;         /* 0 with a min_version: no upper end */
    const struct rs_read *reads;  /* may be NULL. A row not declared here may be read as well, only slower. Rows that are only
                                     written (set, add, max, min, remove) need no read and are not declared */
    uint32_t n_reads;
    uint32_t read_size;           /* sizeof reads[0] */
};

enum rs_option_type {
    RS_OPTION_BOOL = 1,
    RS_OPTION_INT,
    RS_OPTION_REAL,
    RS_OPTION_TEXT,
    RS_OPTION_DURATION, /* "5s", "250ms"; read by rs_option_int() in microseconds */
    RS_OPTION_SIZE,     /* "16MiB"; read by rs_option_int() in bytes */
    RS_OPTION_CHOICE,   /* one of `choices`; read by rs_option_text() */
};

enum rs_option_flag {
    RS_REQUIRED = 1,
    RS_SECRET = 2, /* never printed; env: and file: references are allowed */
};

/* An option of the plugin, set in the pipeline's `options` group. */
struct rs_option {
    const char *name;     /* [a-z][a-z0-9_]* */
    uint32_t type;        /* enum rs_option_type */
    uint32_t flags;       /* enum rs_option_flag */
    const char *fallback; /* as it would be written in the config, without quotes; NULL with RS_REQUIRED */
    int64_t min, max;     /* RS_OPTION_INT, DURATION (microseconds), SIZE (bytes): inclusive; 0 and 0: no bounds */
    const char *choices;  /* RS_OPTION_CHOICE: words separated by '|' */
    const char *summary;  /* one line for people */
};

/* The descriptor. Its first three members never move. An array whose count is 0 may be NULL; a projection needs a handler. */
struct rs_projection {
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t size;         /* sizeof(struct rs_projection) */
    uint32_t revision;     /* 1, 2, ...: raise it when the same events would give other rows. The host refuses to go on with
                              tables that another revision has filled */
    const char *name;      /* [a-z][a-z0-9_]*, at most 40 bytes */
    const char *summary;
    const struct rs_table *tables;
    uint32_t n_tables;
    uint32_t table_size;   /* sizeof tables[0] */
    const struct rs_handler *handlers;
    uint32_t n_handlers;
    uint32_t handler_size; /* sizeof handlers[0] */
    const struct rs_option *options;
    uint32_t n_options;
    uint32_t option_size;  /* sizeof options[0] */

    /* Makes the instance, once per task, from the options. May be NULL. Returns 0, or -1 after rs_refuse(). Not for I/O. */
    int32_t (*open)(struct rs_setup *setup, struct rs_instance **ret_self); /* *ret_self is NULL until set */

    /* Ends an instance that open() made. May be NULL: rs_setup_alloc() memory needs no close(). */
    void (*close)(struct rs_instance *self);
};

/* The one symbol that a plugin exports. The descriptor stays valid and unchanged while the plugin is loaded. */
__attribute__((visibility("default"))) const struct rs_projection *readside_projection(void);

#define RS_COUNT(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

/* For the descriptor's initialisers: each fills a pointer, a count and an element size. */
#define RS_ABI .abi_major = RS_ABI_MAJOR, .abi_minor = RS_ABI_MINOR, .size = sizeof(struct rs_projection)
#define RS_TABLES(array) .tables = (array), .n_tables = RS_COUNT(array), .table_size = sizeof((array)[0])
#define RS_COLUMNS(array) .columns = (array), .n_columns = RS_COUNT(array), .column_size = sizeof((array)[0])
#define RS_INDEXES(array) .indexes = (array), .n_indexes = RS_COUNT(array), .index_size = sizeof((array)[0])
#define RS_HANDLERS(array) .handlers = (array), .n_handlers = RS_COUNT(array), .handler_size = sizeof((array)[0])
#define RS_READS(array) .reads = (array), .n_reads = RS_COUNT(array), .read_size = sizeof((array)[0])
#define RS_OPTIONS(array) .options = (array), .n_options = RS_COUNT(array), .option_size = sizeof((array)[0])

/* ---- The host table ------------------------------------------------------------------------------------------------------ */

/* Where an event came from. All text is as in rs_text: not terminated. */
struct rs_record {
    uint32_t size;               /* sizeof(struct rs_record) in the host */
    int32_t partition;
    int64_t offset;
    struct rs_text topic;
    struct rs_bytes key;         /* data NULL: the record has no key */
    struct rs_bytes value;       /* the raw record value; data NULL: tombstone */
    struct rs_text type;         /* the event's type; RS_TOMBSTONE for a null value */
    struct rs_text id;           /* the event's id; empty when it has none */
    int64_t version;             /* the event's version; 1 when it states none */
    struct rs_timestamp time;    /* the event's own time where the pipeline names a field for it, else the record's timestamp;
                                    1970 when the record has none. Years 0001 to 9999: others are poison before any handler */
};

struct rs_header {
    const char *name;
    struct rs_bytes value;
};

/* A message for the outbox: published after the batch's commit, exactly once, by a source pipeline. */
struct rs_message {
    const char *topic;
    struct rs_bytes key;         /* data NULL: no key */
    struct rs_bytes value;       /* data NULL: tombstone */
    const struct rs_header *headers;
    uint32_t n_headers;
    uint32_t header_size;        /* sizeof headers[0] */
};

/*
 * What the host does for a plugin. Use the inline functions below; they are the documented interface. For other languages: no
 * member is NULL, pointers that are given are not NULL unless said so, a ret_ value is left alone where false is returned.
 */
struct rs_host {
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t size; /* sizeof(struct rs_host) */
    uint32_t reserved;

    const struct rs_record *(*event_record)(const struct rs_event *event);
    bool (*event_has)(const struct rs_event *event, const char *path);
    /* Fills ret_value and returns true; false: absent or null, or marked. `must` marks the event in the first two cases. */
    bool (*event_get)(const struct rs_event *event, const char *path, uint32_t type, bool must, struct rs_value *ret_value);
    uint32_t (*event_count)(const struct rs_event *event, const char *path);
    /* Never NULL, as with row: what cannot be had marks the event and gives an object on which every call does nothing. */
    const struct rs_event *(*event_item)(const struct rs_event *event, const char *path, uint32_t index);
    bool (*event_header)(const struct rs_event *event, const char *name, struct rs_bytes *ret_value);

    struct rs_row *(*row)(struct rs_batch *batch, uint32_t table, const struct rs_value *keys, uint32_t n_keys);
    /* A value of type 0 sets null. */
    void (*row_set)(struct rs_row *row, uint32_t column, const struct rs_value *value);
    void (*row_apply)(struct rs_row *row, uint32_t column, uint32_t operation, const struct rs_value *value);
    /* Fills ret_value and returns true; false: null, no such row, or marked. Type 0 takes a column of any type. */
    bool (*row_get)(struct rs_row *row, uint32_t column, uint32_t type, struct rs_value *ret_value);
    bool (*row_exists)(struct rs_row *row);
    void (*row_remove)(struct rs_row *row);

    void (*emit)(struct rs_batch *batch, const struct rs_message *message);
    enum rs_verdict (*fail)(struct rs_batch *batch, uint32_t verdict, const char *text);
    void *(*alloc)(struct rs_batch *batch, size_t size_bytes);

    /* ret_value->type states the type that is wanted: RS_BOOL, RS_INT, RS_REAL or RS_TEXT. */
    bool (*option)(struct rs_setup *setup, const char *name, struct rs_value *ret_value);
    void *(*setup_alloc)(struct rs_setup *setup, size_t size_bytes);
    void (*omit_table)(struct rs_setup *setup, uint32_t table);
    int32_t (*refuse)(struct rs_setup *setup, const char *text);
};

/* Internal: the host table that every opaque object begins with. */
static inline const struct rs_host *rs_host_of(const void *object)
{
    return *(const struct rs_host *const *)object;
}

/* ---- Plain helpers ------------------------------------------------------------------------------------------------------- */

static inline size_t rs_strlen(const char *string)
{
    return __builtin_strlen(string);
}

/* Null, every byte zero: the getters start from it. */
static inline struct rs_value rs_value_null(void)
{
    struct rs_value value;

    __builtin_memset(&value, 0, sizeof value);
    return value;
}

/* Text of a terminated string. */
static inline struct rs_text rs_string(const char *string)
{
    struct rs_text text;

    text.data = string;
    text.size = rs_strlen(string);
    return text;
}

/* Does the text equal the terminated string? */
static inline bool rs_equals(struct rs_text text, const char *string)
{
    return text.size == rs_strlen(string) && (text.size == 0 || __builtin_memcmp(text.data, string, text.size) == 0);
}

/* coefficient / 10^scale, for example (1250, 2) for 12.50. Scale is 0 to 38. */
static inline struct rs_decimal rs_decimal_of(int64_t coefficient, int32_t scale)
{
    struct rs_decimal decimal;

    decimal.low = (uint64_t)coefficient;
    decimal.high = coefficient < 0 ? -1 : 0;
    decimal.scale = scale;
    decimal.reserved = 0;
    return decimal;
}

static inline struct rs_decimal rs_decimal_negate(struct rs_decimal decimal)
{
    uint64_t low = ~decimal.low + 1;

    decimal.high = (int64_t)(~(uint64_t)decimal.high + (low == 0));
    decimal.low = low;
    return decimal;
}

/* -1, 0 or 1. */
static inline int rs_decimal_sign(struct rs_decimal decimal)
{
    return decimal.high < 0 ? -1 : (decimal.high != 0 || decimal.low != 0);
}

__extension__ typedef unsigned __int128 rs_uint128_;

/* -1, 0 or 1 as a is less than, equal to or greater than b; exact for every pair of scales. */
static inline int rs_decimal_compare(struct rs_decimal a, struct rs_decimal b)
{
    int sign = rs_decimal_sign(a);
    struct rs_decimal *low_scale = a.scale < b.scale ? &a : &b;
    int32_t steps = a.scale < b.scale ? b.scale - a.scale : a.scale - b.scale;
    rs_uint128_ x, y;

    if (sign != rs_decimal_sign(b))
        return sign < rs_decimal_sign(b) ? -1 : 1;
    if (sign < 0) {
        a = rs_decimal_negate(a);
        b = rs_decimal_negate(b);
    }
    for (; steps > 0; steps--) {
        rs_uint128_ whole = ((rs_uint128_)(uint64_t)low_scale->high << 64) | low_scale->low;

        /* 39 digits exceed every coefficient on the other side. */
        if (whole > (~(rs_uint128_)0 >> 1) / 10)
            return (low_scale == &a) == (sign > 0) ? 1 : -1;
        whole *= 10;
        low_scale->high = (int64_t)(uint64_t)(whole >> 64);
        low_scale->low = (uint64_t)whole;
    }
    x = ((rs_uint128_)(uint64_t)a.high << 64) | a.low;
    y = ((rs_uint128_)(uint64_t)b.high << 64) | b.low;
    if (x == y)
        return 0;
    return (x < y) == (sign > 0) ? -1 : 1;
}

/* The UTC day that a moment lies in. */
static inline struct rs_date rs_day_of(struct rs_timestamp moment)
{
    const int64_t day = INT64_C(86400000000);
    struct rs_date date;

    date.days = (int32_t)(moment.microseconds / day - (moment.microseconds % day < 0));
    return date;
}

/* ---- Reading an event ---------------------------------------------------------------------------------------------------- */

/*
 * A path names a field of the payload: "amount", "customer.address.city", "lines.0.sku". A dot or backslash that belongs to a
 * name has a backslash before it. The empty path is the payload itself, or the item itself: rs_text(rs_item(event, "tags", 0), "").
 * Absent and null are the same to the getters; an empty string is not null. A tombstone has no fields.
 */

/* Where the event came from; valid until the handler returns. */
static inline const struct rs_record *rs_record(const struct rs_event *event)
{
    return rs_host_of(event)->event_record(event);
}

/* Is the field there and not null? Never marks the event. */
static inline bool rs_has(const struct rs_event *event, const char *path)
{
    return rs_host_of(event)->event_has(event, path);
}

/* How many items has the array? 0 when it is absent or null; marks the event when the field is not an array. */
static inline uint32_t rs_count(const struct rs_event *event, const char *path)
{
    return rs_host_of(event)->event_count(event, path);
}

/* One item of an array as an event of its own: its paths start at the item, its record is the event's. Never NULL: an index
 * that is not below rs_count() marks the event and gives an item without fields. */
static inline const struct rs_event *rs_item(const struct rs_event *event, const char *path, uint32_t index)
{
    return rs_host_of(event)->event_item(event, path, index);
}

/* The last record header of that name; false when there is none. Never marks the event. */
static inline bool rs_header(const struct rs_event *event, const char *name, struct rs_bytes *ret_value)
{
    return rs_host_of(event)->event_header(event, name, ret_value);
}

/*
 * The getters. X(event, path) needs the field and marks the event when it is absent, null or of another type. X_or(event, path,
 * fallback) gives the fallback for an absent or null field; a field of another type marks the event all the same.
 *
 *   rs_int        a JSON integer within 64 bits: 5, not 5.0, 5e0 or "5"
 *   rs_real       a JSON number
 *   rs_decimal    a JSON number or a string holding one, read from its own text, never through a double; 38 digits at most
 *   rs_text       a JSON string
 *   rs_bool       true or false
 *   rs_bytes      a JSON string in base64 (RFC 4648, padded)
 *   rs_json       any JSON value, as compact text: members in their order, numbers by their own text
 *   rs_timestamp  a JSON string in RFC 3339 with a zone; digits beyond microseconds are refused unless zero
 *   rs_date       a JSON string "YYYY-MM-DD"
 *   rs_uuid       a JSON string in the 8-4-4-4-12 form, any case
 */
#define RS_GETTER_(c_type, function, type_code, member)                                                                          \
    static inline c_type function(const struct rs_event *event, const char *path)                                                \
    {                                                                                                                            \
        struct rs_value value = rs_value_null();                                                                                 \
                                                                                                                                 \
        rs_host_of(event)->event_get(event, path, type_code, true, &value);                                                      \
        return value.as.member;                                                                                                  \
    }                                                                                                                            \
                                                                                                                                 \
    static inline c_type function##_or(const struct rs_event *event, const char *path, c_type fallback)                          \
    {                                                                                                                            \
        struct rs_value value = rs_value_null();                                                                                 \
                                                                                                                                 \
        return rs_host_of(event)->event_get(event, path, type_code, false, &value) ? value.as.member : fallback;                 \
    }

RS_GETTER_(int64_t, rs_int, RS_INT, integer)
RS_GETTER_(double, rs_real, RS_REAL, real)
RS_GETTER_(struct rs_decimal, rs_decimal, RS_DECIMAL, decimal)
RS_GETTER_(struct rs_text, rs_text, RS_TEXT, text)
RS_GETTER_(struct rs_bytes, rs_bytes, RS_BYTES, bytes)
RS_GETTER_(struct rs_json, rs_json, RS_JSON, json)
RS_GETTER_(struct rs_timestamp, rs_timestamp, RS_TIMESTAMP, timestamp)
RS_GETTER_(struct rs_date, rs_date, RS_DATE, date)
RS_GETTER_(struct rs_uuid, rs_uuid, RS_UUID, uuid)
#undef RS_GETTER_

static inline bool rs_bool(const struct rs_event *event, const char *path)
{
    struct rs_value value = rs_value_null();

    rs_host_of(event)->event_get(event, path, RS_BOOL, true, &value);
    return value.boolean != 0;
}

static inline bool rs_bool_or(const struct rs_event *event, const char *path, bool fallback)
{
    struct rs_value value = rs_value_null();

    return rs_host_of(event)->event_get(event, path, RS_BOOL, false, &value) ? value.boolean != 0 : fallback;
}

/* ---- Rows ---------------------------------------------------------------------------------------------------------------- */

/* Values from plain C types; rs_row(), the key arrays and rs_keep_max() use them. */
static inline struct rs_value rs_value_int(int64_t integer)
{
    struct rs_value value = rs_value_null();

    value.type = RS_INT;
    value.as.integer = integer;
    return value;
}

static inline struct rs_value rs_value_bool(bool boolean)
{
    struct rs_value value = rs_value_null();

    value.type = RS_BOOL;
    value.boolean = boolean;
    return value;
}

static inline struct rs_value rs_value_string(const char *string)
{
    struct rs_value value = rs_value_null();

    value.type = RS_TEXT;
    value.as.text = rs_string(string);
    return value;
}

#define RS_VALUE_(c_type, function, type_code, member)                                                                           \
    static inline struct rs_value function(c_type member)                                                                        \
    {                                                                                                                            \
        struct rs_value value = rs_value_null();                                                                                 \
                                                                                                                                 \
        value.type = type_code;                                                                                                  \
        value.as.member = member;                                                                                                \
        return value;                                                                                                            \
    }

RS_VALUE_(double, rs_value_real, RS_REAL, real)
RS_VALUE_(struct rs_decimal, rs_value_decimal, RS_DECIMAL, decimal)
RS_VALUE_(struct rs_text, rs_value_text, RS_TEXT, text)
RS_VALUE_(struct rs_bytes, rs_value_bytes, RS_BYTES, bytes)
RS_VALUE_(struct rs_json, rs_value_json, RS_JSON, json)
RS_VALUE_(struct rs_timestamp, rs_value_timestamp, RS_TIMESTAMP, timestamp)
RS_VALUE_(struct rs_date, rs_value_date, RS_DATE, date)
RS_VALUE_(struct rs_uuid, rs_value_uuid, RS_UUID, uuid)
#undef RS_VALUE_

/* The row with that key as it is after all earlier events: keys in the order of the table's key columns. Naming a row neither
 * reads nor creates it: the first set, add, max or min creates it. Never NULL. */
static inline struct rs_row *rs_row_at(struct rs_batch *batch, uint32_t table, const struct rs_value *keys, uint32_t n_keys)
{
    return rs_host_of(batch)->row(batch, table, keys, n_keys);
}

/*
 * rs_row(batch, TABLE, key...): the same with one to eight keys given as plain C values: integers, bool, strings, struct rs_text,
 * rs_decimal, rs_timestamp, rs_date, rs_uuid or rs_bytes. The macro (C) and the template (C++) only build the array. In C before
 * C23 the constants true and false are ints: give rs_value_bool() by rs_row_at(), or a variable.
 */
#ifndef __cplusplus
#define RS_VALUE(x)                                                                                                              \
    _Generic((x), bool: rs_value_bool, int: rs_value_int, unsigned: rs_value_int, long: rs_value_int, long long: rs_value_int,   \
             char *: rs_value_string, const char *: rs_value_string, struct rs_text: rs_value_text,                              \
             struct rs_decimal: rs_value_decimal, struct rs_bytes: rs_value_bytes, struct rs_timestamp: rs_value_timestamp,      \
             struct rs_date: rs_value_date, struct rs_uuid: rs_value_uuid, struct rs_json: rs_value_json,                        \
             double: rs_value_real)(x)
#define RS_VALUES_1_(a) RS_VALUE(a)
#define RS_VALUES_2_(a, ...) RS_VALUE(a), RS_VALUES_1_(__VA_ARGS__)
#define RS_VALUES_3_(a, ...) RS_VALUE(a), RS_VALUES_2_(__VA_ARGS__)
#define RS_VALUES_4_(a, ...) RS_VALUE(a), RS_VALUES_3_(__VA_ARGS__)
#define RS_VALUES_5_(a, ...) RS_VALUE(a), RS_VALUES_4_(__VA_ARGS__)
#define RS_VALUES_6_(a, ...) RS_VALUE(a), RS_VALUES_5_(__VA_ARGS__)
#define RS_VALUES_7_(a, ...) RS_VALUE(a), RS_VALUES_6_(__VA_ARGS__)
#define RS_VALUES_8_(a, ...) RS_VALUE(a), RS_VALUES_7_(__VA_ARGS__)
#define RS_PICK_(a, b, c, d, e, f, g, h, name, ...) name
#define RS_VALUES_(...)                                                                                                          \
    RS_PICK_(__VA_ARGS__, RS_VALUES_8_, RS_VALUES_7_, RS_VALUES_6_, RS_VALUES_5_, RS_VALUES_4_, RS_VALUES_3_, RS_VALUES_2_,      \
             RS_VALUES_1_, )(__VA_ARGS__)
#define RS_N_VALUES_(...) RS_PICK_(__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, )
#define rs_row(batch, table, ...)                                                                                                \
    rs_row_at((batch), (table), (const struct rs_value[]){RS_VALUES_(__VA_ARGS__)}, RS_N_VALUES_(__VA_ARGS__))
#endif

/* Does the row exist, after all earlier events and this one so far? Partitioned tables only. */
static inline bool rs_exists(struct rs_row *row)
{
    return rs_host_of(row)->row_exists(row);
}

/* Removes the row; nothing happens when there is none. Setting a column afterwards makes a new one. Partitioned tables only. */
static inline void rs_remove(struct rs_row *row)
{
    rs_host_of(row)->row_remove(row);
}

/* Not for key columns or those that are RS_NOT_NULL. */
static inline void rs_set_null(struct rs_row *row, uint32_t column)
{
    struct rs_value null = rs_value_null();

    rs_host_of(row)->row_set(row, column, &null);
}

/* Is the column null? True as well when the row does not exist. */
static inline bool rs_is_null(struct rs_row *row, uint32_t column)
{
    struct rs_value value = rs_value_null();

    return !rs_host_of(row)->row_get(row, column, 0, &value);
}

static inline void rs_set_bool(struct rs_row *row, uint32_t column, bool boolean)
{
    struct rs_value value = rs_value_bool(boolean);

    rs_host_of(row)->row_set(row, column, &value);
}

static inline bool rs_get_bool(struct rs_row *row, uint32_t column)
{
    struct rs_value value = rs_value_null();

    rs_host_of(row)->row_get(row, column, RS_BOOL, &value);
    return value.boolean != 0;
}

/*
 * rs_set_X(row, column, value) sets a column; rs_get_X(row, column) reads it as it is after all earlier events and this one so
 * far: zero or empty when it is null or the row does not exist (rs_is_null, rs_exists tell). Key columns can be read, not set.
 * The type must be the column's. A decimal that needs more digits behind the point than the column has, a text that is too long
 * and the like are refused: the event becomes poison. Nothing is ever rounded or cut.
 */
#define RS_ACCESS_(c_type, name, type_code, member)                                                                              \
    static inline void rs_set_##name(struct rs_row *row, uint32_t column, c_type member)                                         \
    {                                                                                                                            \
        struct rs_value value = rs_value_##name(member);                                                                         \
                                                                                                                                 \
        rs_host_of(row)->row_set(row, column, &value);                                                                           \
    }                                                                                                                            \
                                                                                                                                 \
    static inline c_type rs_get_##name(struct rs_row *row, uint32_t column)                                                      \
    {                                                                                                                            \
        struct rs_value value = rs_value_null();                                                                                 \
                                                                                                                                 \
        rs_host_of(row)->row_get(row, column, type_code, &value);                                                                \
        return value.as.member;                                                                                                  \
    }

RS_ACCESS_(int64_t, int, RS_INT, integer)
RS_ACCESS_(double, real, RS_REAL, real)
RS_ACCESS_(struct rs_decimal, decimal, RS_DECIMAL, decimal)
RS_ACCESS_(struct rs_text, text, RS_TEXT, text)
RS_ACCESS_(struct rs_bytes, bytes, RS_BYTES, bytes)
RS_ACCESS_(struct rs_json, json, RS_JSON, json)
RS_ACCESS_(struct rs_timestamp, timestamp, RS_TIMESTAMP, timestamp)
RS_ACCESS_(struct rs_date, date, RS_DATE, date)
RS_ACCESS_(struct rs_uuid, uuid, RS_UUID, uuid)
#undef RS_ACCESS_

/* Adds to a column without reading it; null counts as zero. Whether the sum fits the column is judged when the batch is
 * written, on what all its events together add. */
static inline void rs_add_int(struct rs_row *row, uint32_t column, int64_t delta)
{
    struct rs_value value = rs_value_int(delta);

    rs_host_of(row)->row_apply(row, column, RS_ADD, &value);
}

static inline void rs_subtract_int(struct rs_row *row, uint32_t column, int64_t delta)
{
    if (delta == INT64_MIN) { /* has no opposite; the two steps are judged together */
        rs_add_int(row, column, 1);
        delta += 1;
    }
    rs_add_int(row, column, -delta);
}

static inline void rs_add_decimal(struct rs_row *row, uint32_t column, struct rs_decimal delta)
{
    struct rs_value value = rs_value_decimal(delta);

    rs_host_of(row)->row_apply(row, column, RS_ADD, &value);
}

static inline void rs_subtract_decimal(struct rs_row *row, uint32_t column, struct rs_decimal delta)
{
    rs_add_decimal(row, column, rs_decimal_negate(delta));
}

/* Keeps the greater (the smaller) of the column and the value, without reading it; a null column gives way, a null value is
 * refused. Any type but bool and json. Text and bytes compare byte by byte. RS_VALUE(x) or rs_value_X(x) makes the value. */
static inline void rs_keep_max(struct rs_row *row, uint32_t column, struct rs_value value)
{
    rs_host_of(row)->row_apply(row, column, RS_MAX, &value);
}

static inline void rs_keep_min(struct rs_row *row, uint32_t column, struct rs_value value)
{
    rs_host_of(row)->row_apply(row, column, RS_MIN, &value);
}

/* ---- The rest of a handler's world ---------------------------------------------------------------------------------------- */

/* Puts a message into the outbox, in the same transaction as the rows. */
static inline void rs_emit(struct rs_batch *batch, const struct rs_message *message)
{
    rs_host_of(batch)->emit(batch, message);
}

/* Marks the event with a reason of one's own and returns the verdict (RS_POISON or RS_BROKEN; RS_SKIP needs no reason):
 * return rs_fail(batch, RS_POISON, "amount is negative"). Where a call was refused before, that reason stays. */
static inline enum rs_verdict rs_fail(struct rs_batch *batch, enum rs_verdict verdict, const char *text)
{
    return rs_host_of(batch)->fail(batch, verdict, text);
}

/* Zeroed memory until the handler returns, 1 MiB an event in all. NULL when there is no more: the event is marked then, and the
 * handler should return. */
static inline void *rs_alloc(struct rs_batch *batch, size_t size_bytes)
{
    return rs_host_of(batch)->alloc(batch, size_bytes);
}

/* The decimal's digits, for messages: "-0.05" is (-5, 2). In rs_alloc() memory; empty when there is no more. */
static inline struct rs_text rs_decimal_text(struct rs_batch *batch, struct rs_decimal decimal)
{
    const size_t size_bytes = 48; /* at most 39 digits, point and sign */
    bool is_negative = rs_decimal_sign(decimal) < 0;
    struct rs_decimal absolute = is_negative ? rs_decimal_negate(decimal) : decimal;
    rs_uint128_ rest = ((rs_uint128_)(uint64_t)absolute.high << 64) | absolute.low;
    char *buffer = (char *)rs_alloc(batch, size_bytes);
    struct rs_text text = {NULL, 0};
    size_t at = size_bytes;
    int32_t digits = 0;

    if (buffer == NULL || decimal.scale < 0 || decimal.scale > RS_MAX_DIGITS)
        return text;
    do {
        if (digits == decimal.scale && digits > 0)
            buffer[--at] = '.';
        buffer[--at] = (char)('0' + (int)(rest % 10));
        rest /= 10;
        digits++;
    } while (rest != 0 || digits <= decimal.scale);
    if (is_negative)
        buffer[--at] = '-';
    text.data = buffer + at;
    text.size = size_bytes - at;
    return text;
}

/* ---- In open() ------------------------------------------------------------------------------------------------------------ */

/* The value of an option that the projection declares. Asking for an undeclared one, or by the wrong function, refuses the
 * plugin. Text lives as long as the instance. */
static inline int64_t rs_option_int(struct rs_setup *setup, const char *name)
{
    struct rs_value value = rs_value_null();

    value.type = RS_INT;
    rs_host_of(setup)->option(setup, name, &value);
    return value.as.integer;
}

static inline bool rs_option_bool(struct rs_setup *setup, const char *name)
{
    struct rs_value value = rs_value_null();

    value.type = RS_BOOL;
    rs_host_of(setup)->option(setup, name, &value);
    return value.boolean != 0;
}

static inline double rs_option_real(struct rs_setup *setup, const char *name)
{
    struct rs_value value = rs_value_null();

    value.type = RS_REAL;
    rs_host_of(setup)->option(setup, name, &value);
    return value.as.real;
}

static inline struct rs_text rs_option_text(struct rs_setup *setup, const char *name)
{
    struct rs_value value = rs_value_null();

    value.type = RS_TEXT;
    rs_host_of(setup)->option(setup, name, &value);
    return value.as.text;
}

/* Zeroed memory for as long as the instance lives, 64 MiB in all. NULL when there is no more: the plugin is refused then, and
 * open() should return. */
static inline void *rs_setup_alloc(struct rs_setup *setup, size_t size_bytes)
{
    return rs_host_of(setup)->setup_alloc(setup, size_bytes);
}

/* Leaves a declared table out: it is not created, and touching it is an error of the plugin. */
static inline void rs_omit_table(struct rs_setup *setup, uint32_t table)
{
    rs_host_of(setup)->omit_table(setup, table);
}

/* Refuses the options with a sentence that says what to do. Returns -1 for open() to return. */
static inline int32_t rs_refuse(struct rs_setup *setup, const char *text)
{
    return rs_host_of(setup)->refuse(setup, text);
}

#ifdef __cplusplus
} /* extern "C" */

/* All static: a plugin exports nothing but readside_projection(). */
namespace rs_detail {
static inline rs_value value(bool x) { return rs_value_bool(x); }
static inline rs_value value(int x) { return rs_value_int(x); }
static inline rs_value value(unsigned x) { return rs_value_int(x); }
static inline rs_value value(long x) { return rs_value_int(x); }
static inline rs_value value(long long x) { return rs_value_int(x); }
static inline rs_value value(double x) { return rs_value_real(x); }
static inline rs_value value(char *x) { return rs_value_string(x); }
static inline rs_value value(const char *x) { return rs_value_string(x); }
static inline rs_value value(struct rs_text x) { return rs_value_text(x); }
static inline rs_value value(struct rs_decimal x) { return rs_value_decimal(x); }
static inline rs_value value(struct rs_bytes x) { return rs_value_bytes(x); }
static inline rs_value value(struct rs_timestamp x) { return rs_value_timestamp(x); }
static inline rs_value value(struct rs_date x) { return rs_value_date(x); }
static inline rs_value value(struct rs_uuid x) { return rs_value_uuid(x); }
static inline rs_value value(struct rs_json x) { return rs_value_json(x); }
template <typename Other> rs_value value(Other *x) = delete; /* a pointer is no bool */
} // namespace rs_detail

#define RS_VALUE(x) rs_detail::value(x)

template <typename... Keys> static inline struct rs_row *rs_row(struct rs_batch *batch, uint32_t table, Keys... keys)
{
    const struct rs_value values[] = {rs_detail::value(keys)...};

    static_assert(sizeof...(keys) >= 1 && sizeof...(keys) <= RS_MAX_KEYS, "one to eight key columns");
    return rs_row_at(batch, table, values, (uint32_t)sizeof...(keys));
}
#pragma GCC diagnostic pop
#endif

#endif
