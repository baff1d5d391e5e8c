/*
 * dump - a loaded config as text: for people with secrets hidden, for fingerprints with them.
 *
 * Called by commands and by the supervisor at a reload. Every key is written, in the order of the key table.
 */
#include "base/hash.h"
#include "config/loaded.h"
#include "config/secrets.h"
#include "config/units.h"

#include <inttypes.h>
#include <string.h>

/* For whom it is. */
struct dump {
    bool with_secrets; /* for fingerprints only */
    config_option_test *is_plain;
    void *context;
};

static void put_quoted(struct buffer *text, const char *value)
{
    buffer_putc(text, '"');
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;

        if (c == '"' || c == '\\') {
            buffer_printf(text, "\\%c", c);
        } else if (c == '\n') {
            buffer_puts(text, "\\n");
        } else if (c < 0x20) {
            buffer_printf(text, "\\x%02x", c);
        } else {
            buffer_putc(text, (char)c);
        }
    }
    buffer_putc(text, '"');
}

/* Names the reference where there is one; it is no secret itself. */
static void put_secret(struct buffer *text, const struct section_key *slot, const char *value, const struct dump *dump)
{
    if (dump->with_secrets) {
        put_quoted(text, value);
    } else {
        put_quoted(text, slot->reference == NULL ? "(hidden)" : slot->reference);
    }
}

static void put_uri(struct buffer *text, const char *uri)
{
    struct arena *arena = arena_new(1024, 0);
    const char *masked = arena == NULL ? NULL : secret_mask_uri(arena, uri);

    put_quoted(text, masked == NULL ? "(hidden)" : masked);
    arena_free(arena);
}

static void put_list(struct buffer *text, const struct config_strings *strings)
{
    buffer_puts(text, "[ ");
    for (size_t i = 0; i < strings->n; i++) {
        buffer_puts(text, i == 0 ? "" : ", ");
        put_quoted(text, strings->items[i]);
    }
    buffer_puts(text, " ]");
}

static void put_name(struct buffer *text, const char *name, bool has_dots)
{
    for (; *name != '\0'; name++) {
        buffer_putc(text, has_dots && *name == '.' ? '_' : *name);
    }
}

/* Does a key of its own write this property? */
static bool has_key(const struct section *section, const char *property)
{
    if (strcmp(property, "security.protocol") == 0) {
        return true;
    }
    for (size_t i = 0; i < section->group->n_keys; i++) {
        if (section->group->keys[i].property != NULL && strcmp(section->group->keys[i].property, property) == 0) {
            return true;
        }
    }
    return false;
}

/* Of options the plugin knows; of properties and files there are no secret ones. */
static bool is_secret(const struct section *section, const struct key *key, const struct config_pair *pair,
                      const struct dump *dump)
{
    bool is_option = section->group == &key_groups[GROUP_PIPELINE] && strcmp(key->name, "options") == 0;

    return pair->is_secret || (is_option && dump->is_plain != NULL && !dump->is_plain(dump->context, section->object, pair->name));
}

static void put_pairs(struct buffer *text, const struct section *section, const struct key *key, const struct dump *dump)
{
    const struct config_pairs *pairs = section_member(section, key);
    bool are_properties = strcmp(key->name, "properties") == 0;

    buffer_puts(text, "{ ");
    for (size_t i = 0; i < pairs->n; i++) {
        const struct config_pair *pair = &pairs->items[i];
        bool is_shown = dump->with_secrets || secret_is_reference(pair->value) || !is_secret(section, key, pair, dump);

        if (are_properties && has_key(section, pair->name)) {
            continue;
        }
        put_name(text, pair->name, are_properties);
        buffer_puts(text, " = ");
        put_quoted(text, is_shown ? pair->value : "(hidden)");
        buffer_puts(text, "; ");
    }
    buffer_puts(text, "}");
}

/* The text of a key that has one; NULL: it is not set. */
static const char *text_of(const struct section *section, const struct key *key, const struct section_key *slot)
{
    if (key->type == KEY_STORE) {
        const struct config_store *store = *(const struct config_store *const *)section_member(section, key);

        return store == NULL ? NULL : store->name;
    }
    return key->property != NULL ? slot->text : *(const char *const *)section_member(section, key);
}

/* SQLite's is a path, whose words mean nothing. */
static bool is_uri_of_server(const struct section *section, const struct key *key)
{
    return section->group == &key_groups[GROUP_STORE] && strcmp(key->name, "uri") == 0 &&
           strcmp(((const struct config_store *)section->object)->kind, "sqlite") != 0;
}

static void put_text(struct buffer *text, const struct section *section, const struct key *key, const struct section_key *slot,
                     const struct dump *dump)
{
    const char *value = text_of(section, key, slot);

    if ((key->flags & KEY_SECRET) != 0 || (slot->reference != NULL && !dump->with_secrets)) {
        put_secret(text, slot, value, dump);
    } else if (is_uri_of_server(section, key) && !dump->with_secrets) {
        put_uri(text, value);
    } else {
        put_quoted(text, value);
    }
}

/* Is there anything to write? A text without default may be absent. */
static bool is_set(const struct section *section, const struct key *key, const struct section_key *slot)
{
    switch (key->type) {
    case KEY_TEXT:
    case KEY_CHOICE:
    case KEY_STORE:
        return text_of(section, key, slot) != NULL;
    case KEY_LIST:
        return ((const struct config_strings *)section_member(section, key))->n > 0;
    case KEY_PAIRS:
        return slot->line > 0;
    default:
        return true;
    }
}

static void put_value(struct buffer *text, const struct section *section, const struct key *key, const struct section_key *slot,
                      const struct dump *dump)
{
    char unit[UNITS_TEXT_SIZE];

    switch (key->type) {
    case KEY_BOOL:
        buffer_puts(text, *(const bool *)section_member(section, key) ? "true" : "false");
        break;
    case KEY_INT:
        buffer_printf(text, "%" PRId64, *(const int64_t *)section_member(section, key));
        break;
    case KEY_DURATION:
        buffer_printf(text, "\"%s\"", units_print_duration(*(const int64_t *)section_member(section, key), unit));
        break;
    case KEY_SIZE:
        buffer_printf(text, "\"%s\"", units_print_size(*(const int64_t *)section_member(section, key), unit));
        break;
    case KEY_LIST:
        put_list(text, section_member(section, key));
        break;
    case KEY_PAIRS:
        put_pairs(text, section, key, dump);
        break;
    case KEY_TEXT:
    case KEY_CHOICE:
    case KEY_STORE:
        put_text(text, section, key, slot, dump);
        break;
    }
}

static void dump_section(const struct section *section, const struct dump *dump, struct buffer *ret_text)
{
    const char *dot = strchr(section->path, '.');
    const char *indent = dot == NULL ? "" : "    ";

    buffer_printf(ret_text, "%s%s = {\n", indent, dot == NULL ? section->path : dot + 1);
    for (size_t i = 0; i < section->group->n_keys; i++) {
        const struct key *key = &section->group->keys[i];

        if (is_set(section, key, &section->keys[i])) {
            buffer_printf(ret_text, "%s    %s = ", indent, key->name);
            put_value(ret_text, section, key, &section->keys[i], dump);
            buffer_puts(ret_text, ";\n");
        }
    }
    buffer_printf(ret_text, "%s};\n", indent);
}

static void dump_named(const struct section *sections, size_t n, const struct dump *dump, struct buffer *ret_text)
{
    if (n == 0) {
        return;
    }
    buffer_printf(ret_text, "\n%s = {\n", sections[0].group->name);
    for (size_t i = 0; i < n; i++) {
        dump_section(&sections[i], dump, ret_text);
    }
    buffer_puts(ret_text, "};\n");
}

void config_dump(const struct config *config, config_option_test *is_plain, void *context, struct buffer *ret_text)
{
    const struct loaded *loaded = (const struct loaded *)config;
    const struct dump dump = {.is_plain = is_plain, .context = context};

    dump_section(&loaded->worker, &dump, ret_text);
    buffer_putc(ret_text, '\n');
    dump_section(&loaded->kafka, &dump, ret_text);
    dump_named(loaded->stores, config->n_stores, &dump, ret_text);
    dump_named(loaded->pipelines, config->n_pipelines, &dump, ret_text);
}

/* What a task of the pipeline is made of: the worker's name and plugins, Kafka, its store and itself. 0: out of memory. */
uint64_t config_pipeline_fingerprint(const struct config *config, const struct config_pipeline *pipeline)
{
    const uint64_t seed = 0x9d1c; /* any: fingerprints are compared within one process */
    const struct loaded *loaded = (const struct loaded *)config;
    const struct dump all = {.with_secrets = true};
    struct buffer text = BUFFER_INIT;
    uint64_t hash = 0;

    buffer_printf(&text, "%s\n%s\n", config->worker.name, config->worker.plugin_path);
    dump_section(&loaded->kafka, &all, &text);
    dump_section(&loaded->stores[pipeline->store - config->stores], &all, &text);
    dump_section(&loaded->pipelines[pipeline - config->pipelines], &all, &text);
    if (!buffer_failed(&text)) {
        hash = hash_bytes(text.data, text.size, seed);
        explicit_bzero(text.data, text.size);
    }
    buffer_free(&text);
    return hash;
}
