/*
 * json - see json.h.
 *
 * Owned by an event decoder, the descriptor check of plugin/ or a command; one thread. The document is copied into the reader's
 * buffer and read in place there: Kafka's buffers are read-only and lack the padding that yyjson needs.
 */
#include "event/json.h"

#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

enum {
    POOLED_MAX = 64 * 1024, /* documents up to here use memory that is kept; larger ones have their own, freed with them */
    FIRST_BUFFER = 1024,
    PREFIX = 8,   /* bytes of a name compared at once */
    LISTED_MAX = 64, /* members of the root whose names are listed */
    PADDING = 16, /* behind the document: what yyjson needs, and room for a prefix */
};

/* The document's values: yyjson makes one allocation for them and lets it grow. */
struct pool {
    char *data;
    size_t capacity;
};

struct json {
    char *buffer;
    size_t buffer_capacity;
    struct pool pool;
    yyjson_alc pool_allocator;
    yyjson_doc *large; /* a document with memory of its own */

    /* Where json_item() was last: arrays of arrays and objects can only be walked. */
    const yyjson_val *array;
    yyjson_val *item;
    size_t index;

    /* The names of the root's members, side by side, as most fields of most events are found there. */
    yyjson_val *listed; /* the root; NULL: it is no object, or has too many */
    uint64_t prefixes[LISTED_MAX];
    yyjson_val *names[LISTED_MAX];
};

/* A name to look for: its first bytes as one number, so that most names are told apart without a call. */
struct name {
    const char *data;
    size_t size;
    uint64_t prefix;
};

static yyjson_val *in(const struct json_value *value)
{
    return (yyjson_val *)(void *)(uintptr_t)value;
}

static const struct json_value *out(const yyjson_val *value)
{
    return (const struct json_value *)value;
}

/* ---- Memory ---- */

static void *pool_alloc(void *context, size_t size)
{
    struct pool *pool = context;

    return size <= pool->capacity ? pool->data : NULL;
}

static void *pool_realloc(void *context, void *data, size_t old_size, size_t size)
{
    struct pool *pool = context;

    (void)old_size;
    return size <= pool->capacity ? data : NULL;
}

static void pool_release(void *context, void *data)
{
    (void)context, (void)data;
}

struct json *json_new(void)
{
    struct json *json = calloc(1, sizeof *json);

    if (json != NULL)
        json->pool_allocator =
            (yyjson_alc){.malloc = pool_alloc, .realloc = pool_realloc, .free = pool_release, .ctx = &json->pool};
    return json;
}

struct json *json_free(struct json *json)
{
    if (json == NULL)
        return NULL;
    yyjson_doc_free(json->large);
    free(json->buffer);
    free(json->pool.data);
    free(json);
    return NULL;
}

static bool grow(char **data, size_t *capacity, size_t size)
{
    size_t wanted = *capacity == 0 ? FIRST_BUFFER : *capacity;
    char *grown;

    if (size <= *capacity)
        return true;
    while (wanted < size)
        wanted *= 2;
    grown = realloc(*data, wanted);
    if (grown == NULL)
        return false;
    *data = grown;
    *capacity = wanted;
    return true;
}

/* A buffer that holds the document and yyjson's padding; that of a large document is given back after it. */
static bool prepare(struct json *json, size_t size)
{
    if (json->large != NULL)
        yyjson_doc_free(json->large);
    json->large = NULL;
    json->array = NULL;
    json->listed = NULL;
    if (size <= POOLED_MAX && json->buffer_capacity > 2 * (POOLED_MAX + PADDING)) {
        free(json->buffer);
        json->buffer = NULL;
        json->buffer_capacity = 0;
    }
    if (size > SIZE_MAX / 32 || !grow(&json->buffer, &json->buffer_capacity, size + PADDING))
        return false;
    return size > POOLED_MAX ||
           grow(&json->pool.data, &json->pool.capacity, yyjson_read_max_memory_usage(size, YYJSON_READ_INSITU));
}

/* ---- Names ---- */

static inline uint64_t prefix_mask(size_t size)
{
    if (size >= PREFIX)
        return UINT64_MAX;
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? (UINT64_C(1) << (8 * size)) - 1 : ~(UINT64_MAX >> (8 * size));
}

/* Of a name in the document: reads at worst into what is behind it, or the padding. */
static inline uint64_t prefix_of(yyjson_val *name)
{
    uint64_t prefix;

    memcpy(&prefix, unsafe_yyjson_get_str(name), PREFIX);
    return prefix & prefix_mask(unsafe_yyjson_get_len(name));
}

static struct name name_of(const char *data, size_t size)
{
    struct name name = {.data = data, .size = size};

    memcpy(&name.prefix, data, size < PREFIX ? size : PREFIX);
    return name;
}

/* The prefixes are the same. */
static inline bool is_rest(yyjson_val *key, const struct name *name)
{
    return unsafe_yyjson_get_len(key) == name->size &&
           (name->size <= PREFIX ||
            memcmp(unsafe_yyjson_get_str(key) + PREFIX, name->data + PREFIX, name->size - PREFIX) == 0);
}

static void list_names(struct json *json, yyjson_val *root)
{
    size_t n = unsafe_yyjson_get_len(root);
    yyjson_val *key;

    if (!unsafe_yyjson_is_obj(root) || n > LISTED_MAX)
        return;
    key = unsafe_yyjson_get_first(root);
    for (size_t i = 0; i < n; i++) {
        json->prefixes[i] = prefix_of(key);
        json->names[i] = key;
        key = unsafe_yyjson_get_next(key + 1);
    }
    json->listed = root;
}

/* Of members of the same name the last counts. */
static const struct json_value *find_listed(const struct json *json, const struct name *name)
{
    for (size_t i = unsafe_yyjson_get_len(json->listed); i-- > 0;)
        if (json->prefixes[i] == name->prefix && is_rest(json->names[i], name))
            return out(json->names[i] + 1);
    return NULL;
}

/* ---- Reading ---- */

/* Values lie one after the other, each container before what it holds. */
static bool is_too_deep(yyjson_doc *doc, uint32_t max_depth)
{
    const yyjson_val *ends[JSON_MAX_DEPTH];
    yyjson_val *value = yyjson_doc_get_root(doc);
    size_t n = yyjson_doc_get_val_count(doc);
    uint32_t depth = 0;

    for (; n > 0; n--, value++) {
        while (depth > 0 && value >= ends[depth - 1])
            depth--;
        if (!unsafe_yyjson_is_ctn(value))
            continue;
        if (depth == max_depth)
            return true;
        ends[depth++] = unsafe_yyjson_get_next(value);
    }
    return false;
}

static int refuse(const void *data, size_t size, const yyjson_read_err *failure, struct error *ret_error)
{
    size_t line = 0, column = 0, character = 0;

    if (failure->code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return error_set(ret_error, ERROR_BUG, "out of memory for a document of %zu bytes", size);
    if (size == 0)
        return error_set(ret_error, ERROR_POISON, "not JSON: the value is empty");
    if (!yyjson_locate_pos(data, size, failure->pos, &line, &column, &character))
        return error_set(ret_error, ERROR_POISON, "not JSON: %s at byte %zu", failure->msg, failure->pos);
    return error_set(ret_error, ERROR_POISON, "not JSON: %s at line %zu, column %zu", failure->msg, line, column);
}

int json_read(struct json *json, const void *data, size_t size, uint32_t max_depth, const struct json_value **ret_root,
              struct error *ret_error)
{
    yyjson_read_err failure = {0};
    yyjson_doc *doc;

    if (max_depth > JSON_MAX_DEPTH)
        max_depth = JSON_MAX_DEPTH;
    if (!prepare(json, size))
        return error_set(ret_error, ERROR_BUG, "out of memory for a document of %zu bytes", size);
    if (size > 0)
        memcpy(json->buffer, data, size);
    memset(json->buffer + size, 0, PADDING);
    doc = yyjson_read_opts(json->buffer, size, YYJSON_READ_INSITU | YYJSON_READ_NUMBER_AS_RAW,
                           size <= POOLED_MAX ? &json->pool_allocator : NULL, &failure);
    if (doc == NULL)
        return refuse(data, size, &failure, ret_error);
    if (size > POOLED_MAX)
        json->large = doc;
    if (yyjson_doc_get_val_count(doc) > max_depth && is_too_deep(doc, max_depth)) /* most have not even so many values */
        return error_set(ret_error, ERROR_POISON, "more than %u arrays and objects within one another", max_depth);
    list_names(json, yyjson_doc_get_root(doc));
    *ret_root = out(yyjson_doc_get_root(doc));
    return 0;
}

/* ---- Values ---- */

enum json_type json_type(const struct json_value *value)
{
    static const uint8_t types[1 << YYJSON_TYPE_BIT] = {
        [YYJSON_TYPE_BOOL] = JSON_BOOL,  [YYJSON_TYPE_RAW] = JSON_NUMBER, [YYJSON_TYPE_NUM] = JSON_NUMBER,
        [YYJSON_TYPE_STR] = JSON_STRING, [YYJSON_TYPE_ARR] = JSON_ARRAY,  [YYJSON_TYPE_OBJ] = JSON_OBJECT,
    };

    return (enum json_type)types[unsafe_yyjson_get_type(in(value))];
}

bool json_is_true(const struct json_value *value)
{
    return unsafe_yyjson_is_true(in(value));
}

struct rs_text json_text(const struct json_value *value)
{
    return (struct rs_text){.data = unsafe_yyjson_get_str(in(value)), .size = unsafe_yyjson_get_len(in(value))};
}

size_t json_count(const struct json_value *value)
{
    return unsafe_yyjson_is_ctn(in(value)) ? unsafe_yyjson_get_len(in(value)) : 0;
}

static const struct json_value *find_member(const struct json_value *object, const struct name *name)
{
    yyjson_val *key = unsafe_yyjson_get_first(in(object)), *found = NULL;

    for (size_t n = unsafe_yyjson_get_len(in(object)); n > 0; n--) {
        if (prefix_of(key) == name->prefix && is_rest(key, name))
            found = key + 1;
        key = unsafe_yyjson_get_next(key + 1);
    }
    return out(found);
}

const struct json_value *json_member(const struct json_value *object, const char *text, size_t size)
{
    struct name name = name_of(text, size);

    return unsafe_yyjson_is_obj(in(object)) ? find_member(object, &name) : NULL;
}

const struct json_value *json_member_at(const struct json_value *object, size_t index, struct rs_text *ret_name)
{
    yyjson_val *key;

    if (!unsafe_yyjson_is_obj(in(object)) || index >= unsafe_yyjson_get_len(in(object)))
        return NULL;
    key = unsafe_yyjson_get_first(in(object));
    for (; index > 0; index--)
        key = unsafe_yyjson_get_next(key + 1);
    *ret_name = json_text(out(key));
    return out(key + 1);
}

const struct json_value *json_item(struct json *json, const struct json_value *array, size_t index)
{
    if (!unsafe_yyjson_is_arr(in(array)) || index >= unsafe_yyjson_get_len(in(array)))
        return NULL;
    if (unsafe_yyjson_arr_is_flat(in(array)))
        return out(unsafe_yyjson_get_first(in(array)) + index);
    if (json->array != in(array) || json->index > index) {
        json->array = in(array);
        json->item = unsafe_yyjson_get_first(in(array));
        json->index = 0;
    }
    for (; json->index < index; json->index++)
        json->item = unsafe_yyjson_get_next(json->item);
    return out(json->item);
}

/* ---- Paths ---- */

/* Does a member's name equal the path's segment, whose backslashes each protect the next character? */
static bool is_segment(struct rs_text name, const char *segment, size_t size)
{
    size_t at = 0;

    for (size_t i = 0; i < size; i++) {
        if (segment[i] == '\\' && i + 1 < size)
            i++;
        if (at == name.size || name.data[at++] != segment[i])
            return false;
    }
    return at == name.size;
}

static const struct json_value *find_escaped(const struct json_value *object, const char *segment, size_t size)
{
    const struct json_value *found = NULL;
    yyjson_val *key = unsafe_yyjson_get_first(in(object));

    for (size_t n = unsafe_yyjson_get_len(in(object)); n > 0; n--) {
        if (is_segment(json_text(out(key)), segment, size))
            found = out(key + 1);
        key = unsafe_yyjson_get_next(key + 1);
    }
    return found;
}

/* "0", "17"; no sign, no zero in front. */
static bool read_index(const char *segment, size_t size, size_t *ret_index)
{
    size_t index = 0;

    if (size == 0 || size > 9 || (size > 1 && segment[0] == '0'))
        return false;
    for (size_t i = 0; i < size; i++) {
        if (segment[i] < '0' || segment[i] > '9')
            return false;
        index = index * 10 + (size_t)(segment[i] - '0');
    }
    *ret_index = index;
    return true;
}

static inline bool has_byte(uint64_t word, unsigned char byte)
{
    uint64_t zero_where = word ^ byte * UINT64_C(0x0101010101010101);

    return ((zero_where - UINT64_C(0x0101010101010101)) & ~zero_where & UINT64_C(0x8080808080808080)) != 0;
}

/* The whole path as one name, which most are. False: it has dots or backslashes. */
static inline bool read_plain(const char *path, struct name *ret_name)
{
    *ret_name = name_of(path, strlen(path));
    return !has_byte(ret_name->prefix, '.') && !has_byte(ret_name->prefix, '\\') &&
           (ret_name->size <= PREFIX || strpbrk(path + PREFIX, ".\\") == NULL);
}

/* Reads a path up to its dot or end. False: a backslash protects something, so that the bytes are not the name. */
static bool read_segment(const char *path, struct name *ret_segment)
{
    size_t size = 0;
    bool is_plain = true;

    for (; path[size] != '\0' && path[size] != '.'; size++) {
        if (path[size] == '\\') {
            is_plain = false;
            size += path[size + 1] != '\0';
        }
    }
    *ret_segment = name_of(path, size);
    return is_plain;
}

static const struct json_value *step(struct json *json, const struct json_value *value, const struct name *segment, bool is_plain)
{
    size_t index;

    if (unsafe_yyjson_is_obj(in(value)))
        return is_plain ? find_member(value, segment) : find_escaped(value, segment->data, segment->size);
    return read_index(segment->data, segment->size, &index) ? json_item(json, value, index) : NULL;
}

const struct json_value *json_find(struct json *json, const struct json_value *value, const char *path)
{
    struct name segment;

    if (value == NULL || path[0] == '\0')
        return value;
    if (in(value) == json->listed && read_plain(path, &segment))
        return find_listed(json, &segment);
    for (;;) {
        bool is_plain = read_segment(path, &segment);

        value = step(json, value, &segment, is_plain);
        if (value == NULL || path[segment.size] == '\0')
            return value;
        path += segment.size + 1;
    }
}

/* ---- Printing ---- */

static void *arena_allocate(void *context, size_t size)
{
    return arena_alloc(context, size);
}

static void *arena_reallocate(void *context, void *data, size_t old_size, size_t size)
{
    void *grown = arena_alloc(context, size);

    if (grown != NULL)
        memcpy(grown, data, old_size < size ? old_size : size);
    return grown;
}

int json_print(const struct json_value *value, struct arena *arena, struct rs_json *ret_text, struct error *ret_error)
{
    yyjson_alc allocator = {.malloc = arena_allocate, .realloc = arena_reallocate, .free = pool_release, .ctx = arena};
    size_t size = 0;
    char *text = yyjson_val_write_opts(in(value), YYJSON_WRITE_NOFLAG, &allocator, &size, NULL);

    if (text == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory to print JSON");
    *ret_text = (struct rs_json){.data = text, .size = size};
    return 0;
}
