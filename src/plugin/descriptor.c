/*
 * descriptor - see descriptor.h: version, size, name; tables and handlers are judged in check_table.c and check_handler.c.
 *
 * Called once per load. Trusts the plugin's pointers, as nothing else is possible within one process, but not its numbers.
 */
#include "plugin/descriptor.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

enum { ARENA_BLOCK = 16 * 1024, NAME_MAX_BYTES = 40 };

static const struct abi_sizes versions[] = {
    {.minor = 1,
     .projection = sizeof(struct rs_projection),
     .table = sizeof(struct rs_table),
     .column = sizeof(struct rs_column),
     .index = sizeof(struct rs_index),
     .handler = sizeof(struct rs_handler),
     .read = sizeof(struct rs_read),
     .option = sizeof(struct rs_option)},
};

int check_refuse(const struct check *check, const char *format, ...)
{
    char text[ERROR_TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return error_set(check->error, ERROR_CONFIG, "plugin %s: %s", check->path, text);
}

int check_array(const struct check *check, const char *where, const char *what, const void *array, uint32_t n, uint32_t max,
                uint32_t element_size, uint32_t least_size)
{
    if (n == 0)
        return 0;
    if (array == NULL)
        return check_refuse(check, "%s: n_%s is %u, but %s is NULL: give the array or count 0", where, what, n, what);
    if (n > max)
        return check_refuse(check, "%s: %u %s; %u at most are possible", where, n, what, max);
    if (element_size < least_size)
        return check_refuse(check, "%s: the element size of %s is %u bytes; this version of the ABI has %u: fill it by RS_%s()",
                            where, what, element_size, least_size,
                            what[0] == 't'   ? "TABLES"
                            : what[0] == 'c' ? "COLUMNS"
                            : what[0] == 'i' ? "INDEXES"
                            : what[0] == 'h' ? "HANDLERS"
                            : what[0] == 'r' ? "READS"
                                             : "OPTIONS");
    return 0;
}

void check_copy(void *ret_element, size_t size, const void *array, uint32_t index, uint32_t element_size)
{
    memset(ret_element, 0, size);
    memcpy(ret_element, (const char *)array + (size_t)index * element_size, element_size < size ? element_size : size);
}

bool check_keep(const struct check *check, const char **string)
{
    if (*string != NULL) {
        *string = arena_copy(check->projection->arena, *string, strlen(*string));
        return *string != NULL;
    }
    return true;
}

/* The first three members never move, so they can be read whatever the version is. */
static int check_version(struct check *check, const struct rs_projection *given)
{
    if (given == NULL)
        return check_refuse(check, "readside_projection() returns NULL: return the address of the descriptor");
    if (given->abi_major != RS_ABI_MAJOR)
        return check_refuse(check,
                            "abi_major is %u, this readside speaks %u: compile the plugin again with the header of this version (%s)",
                            given->abi_major, RS_ABI_MAJOR, "include/readside/plugin.h");
    if (given->abi_minor > RS_ABI_MINOR || (RS_ABI_MAJOR == 0 && given->abi_minor != RS_ABI_MINOR))
        return check_refuse(check,
                            "abi_minor is %u, this readside speaks %u.%u: compile the plugin again with the header of this version, "
                            "or use the readside that it was made for",
                            given->abi_minor, RS_ABI_MAJOR, RS_ABI_MINOR);
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
        if (versions[i].minor == given->abi_minor)
            check->sizes = &versions[i];
    if (check->sizes == NULL)
        return check_refuse(check, "abi_minor is %u, which never was: set it by RS_ABI", given->abi_minor);
    if (given->size < check->sizes->projection)
        return check_refuse(check, "size is %u bytes, the descriptor of ABI %u.%u has %u: set it by RS_ABI", given->size,
                            given->abi_major, given->abi_minor, check->sizes->projection);
    return 0;
}

static int check_head(const struct check *check, const struct rs_projection *given)
{
    struct projection *projection = check->projection;

    if (given->name == NULL || !text_is_name(given->name, NAME_MAX_BYTES))
        return check_refuse(check, "the projection's name \"%s\" is not [a-z][a-z0-9_]* of at most %d bytes: rename it",
                            given->name == NULL ? "" : given->name, NAME_MAX_BYTES);
    if (given->revision == 0)
        return check_refuse(check, "revision is 0: count revisions from 1");
    projection->name = given->name;
    projection->summary = given->summary;
    projection->path = check->path;
    projection->revision = given->revision;
    projection->open = given->open;
    projection->close = given->close;
    if (!check_keep(check, &projection->name) || !check_keep(check, &projection->summary) || !check_keep(check, &projection->path))
        return check_refuse(check, "out of memory");
    return 0;
}

int descriptor_check(const struct rs_projection *given, const char *path, struct projection **ret_projection,
                     struct error *ret_error)
{
    struct arena *arena = arena_new(ARENA_BLOCK, 0);
    struct check check = {.path = path, .error = ret_error, .json = json_new()};
    struct rs_projection copy = {0};
    int result;

    check.projection = arena == NULL ? NULL : arena_zalloc(arena, sizeof *check.projection);
    if (check.projection == NULL || check.json == NULL) {
        result = check_refuse(&check, "out of memory");
        goto out;
    }
    check.projection->arena = arena;
    result = check_version(&check, given);
    if (result != 0)
        goto out;
    check_copy(&copy, sizeof copy, given, 0, given->size);
    result = check_head(&check, &copy);
    if (result == 0)
        result = check_tables(&check, &copy);
    if (result == 0)
        result = check_handlers(&check, &copy);
    if (result == 0)
        result = check_options(&check, &copy);
out:
    json_free(check.json);
    if (result == 0)
        *ret_projection = check.projection;
    else
        arena_free(arena);
    return result;
}
