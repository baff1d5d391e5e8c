/*
 * print - the key table for readers: the sample file and the KEYS section of the manual page.
 *
 * Called by a command and by the test that compares both with the files in the repository. Needs no config.
 */
#include "config/client_property.h"
#include "config/config.h"
#include "config/keys.h"
#include "config/units.h"

#include <inttypes.h>
#include <string.h>

enum { COMMENT_WIDTH = 100 };

/* ---- The sample ---- */

/* A paragraph as comment lines. */
static void put_comment(struct buffer *text, const char *indent, const char *paragraph)
{
    const char *at = paragraph;

    while (*at != '\0') {
        size_t width = COMMENT_WIDTH - strlen(indent);
        size_t size = strlen(at);

        if (size > width) {
            size = width;
            while (size > 0 && at[size] != ' ') {
                size--;
            }
        }
        buffer_printf(text, "%s# %.*s\n", indent, (int)size, at);
        at += size;
        at += strspn(at, " ");
    }
}

/* What the value may be: "6s to 5min", "a, b or c". */
static void put_domain(struct buffer *text, const struct key *key)
{
    char low[UNITS_TEXT_SIZE];
    char high[UNITS_TEXT_SIZE];

    if (key->type == KEY_INT) {
        buffer_printf(text, "%" PRId64 " to %" PRId64, key->min, key->max);
    } else if (key->type == KEY_DURATION) {
        buffer_printf(text, "%s to %s", units_print_duration(key->min, low), units_print_duration(key->max, high));
    } else if (key->type == KEY_SIZE) {
        buffer_printf(text, "%s to %s", units_print_size(key->min, low), units_print_size(key->max, high));
    } else if (key->type == KEY_CHOICE) {
        for (const char *at = key->choices; *at != '\0'; at++) {
            buffer_puts(text, *at == '|' ? ", " : (char[]){*at, '\0'});
        }
    }
}

static void put_sample_value(struct buffer *text, const struct key *key)
{
    bool is_bare = key->type == KEY_BOOL || key->type == KEY_INT;

    if (key->example != NULL) {
        buffer_puts(text, key->example);
    } else {
        buffer_printf(text, is_bare ? "%s" : "\"%s\"", key->fallback);
    }
}

static void put_sample_key(struct buffer *text, const char *indent, const struct key *key)
{
    struct buffer note = BUFFER_INIT;

    put_comment(text, indent, key->summary);
    if (key->details != NULL) {
        put_comment(text, indent, key->details);
    }
    put_domain(&note, key);
    if (key->default_note != NULL) {
        buffer_printf(&note, "%sDefault: %s.", note.size == 0 ? "" : ". ", key->default_note);
    }
    if ((key->flags & KEY_REQUIRED) != 0) {
        buffer_printf(&note, "%sRequired.", note.size == 0 ? "" : ". ");
    }
    if (note.size > 0 && !buffer_failed(&note)) {
        put_comment(text, indent, note.data);
    }
    buffer_free(&note);
    buffer_printf(text, "%s%s%s = ", indent, (key->flags & KEY_REQUIRED) != 0 ? "" : "#", key->name);
    put_sample_value(text, key);
    buffer_puts(text, ";\n");
}

static void put_sample_group(struct buffer *text, const struct key_group *group)
{
    const char *indent = group->sample_name == NULL ? "    " : "        ";

    buffer_putc(text, '\n');
    put_comment(text, "", group->summary);
    buffer_printf(text, "%s = {\n", group->name);
    if (group->sample_name != NULL) {
        buffer_printf(text, "    %s = {\n", group->sample_name);
    }
    for (size_t i = 0; i < group->n_keys; i++) {
        if (i > 0) {
            buffer_putc(text, '\n');
        }
        put_sample_key(text, indent, &group->keys[i]);
    }
    buffer_puts(text, group->sample_name == NULL ? "};\n" : "    };\n};\n");
}

void config_print_sample(struct buffer *ret_text)
{
    put_comment(ret_text, "",
                "Every key of a Readside config. Those that begin with '#' show their default, or an example where there is "
                "none; the others are required. See readside.conf(5); `readside check' tests a config.");
    put_comment(
        ret_text, "",
        "A line @include \"other.conf\" puts another file in its place. Relative paths count from this file's directory.");
    for (size_t i = 0; i < N_GROUPS; i++) {
        put_sample_group(ret_text, &key_groups[i]);
    }
}

/* ---- The manual page, in mdoc ---- */

/* Text as one input line of roff. */
static void put_roff(struct buffer *text, const char *line)
{
    if (*line == '.' || *line == '\'') {
        buffer_puts(text, "\\&");
    }
    for (; *line != '\0'; line++) {
        if (*line == '\\') {
            buffer_puts(text, "\\e");
        } else if (*line == '-') {
            buffer_puts(text, "\\-");
        } else if (*line == '"') {
            buffer_puts(text, "\\(dq");
        } else if (*line == '^') {
            buffer_puts(text, "\\(ha");
        } else if (*line == '\'') {
            buffer_puts(text, "\\(aq");
        } else if (*line == '`') {
            buffer_puts(text, "\\(ga");
        } else {
            buffer_putc(text, *line);
        }
    }
    buffer_putc(text, '\n');
}

static void put_manual_key(struct buffer *text, const struct key *key)
{
    struct buffer facts = BUFFER_INIT;

    buffer_printf(text, ".It Ic %s No = Ar %s\n", key->name, key_type_name(key->type));
    put_roff(text, key->summary);
    if (key->details != NULL) {
        put_roff(text, key->details);
    }
    put_domain(&facts, key);
    if (facts.size > 0) {
        buffer_puts(&facts, ". ");
    }
    if ((key->flags & KEY_REQUIRED) != 0) {
        buffer_puts(&facts, "Required.");
    } else {
        buffer_printf(&facts, "Default: %s.", key->fallback != NULL ? key->fallback : key->default_note);
    }
    if ((key->flags & KEY_RELOADABLE) != 0) {
        buffer_puts(&facts, " A reload applies it without restarting tasks.");
    }
    if (!buffer_failed(&facts)) {
        put_roff(text, facts.data);
    }
    buffer_free(&facts);
}

void config_print_manual(struct buffer *ret_text)
{
    for (size_t i = 0; i < N_GROUPS; i++) {
        const struct key_group *group = &key_groups[i];

        buffer_printf(ret_text, ".Ss %s\n", group->name);
        put_roff(ret_text, group->summary);
        buffer_puts(ret_text, ".Bl -tag -width Ds\n");
        for (size_t k = 0; k < group->n_keys; k++) {
            put_manual_key(ret_text, &group->keys[k]);
        }
        buffer_puts(ret_text, ".El\n");
    }
    buffer_puts(ret_text, ".Sh CLIENT PROPERTIES\n");
    put_roff(ret_text, "The librdkafka properties that kafka.properties takes; librdkafka's own documentation explains them.");
    buffer_puts(ret_text, ".Bl -item -compact\n");
    for (size_t i = 0; i < n_client_properties; i++) {
        buffer_printf(ret_text, ".It\n.Ic %s\n", client_properties[i]);
    }
    buffer_puts(ret_text, ".El\n");
}
