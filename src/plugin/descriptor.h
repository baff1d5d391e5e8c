/*
 * descriptor - the descriptor of a plugin held to every rule of plugin.h, and copied, so that the plugin cannot change it later.
 */
#ifndef PLUGIN_DESCRIPTOR_H
#define PLUGIN_DESCRIPTOR_H

#include "base/arena.h"
#include "base/error.h"
#include "event/json.h"
#include "plugin/loader.h"

/* given may be NULL. CONFIG with one sentence that names table, column and rule, and says what to do. */
int descriptor_check(const struct rs_projection *given, const char *path, struct projection **ret_projection,
                     struct error *ret_error) MUST_CHECK;

/* ---- Between descriptor.c, check_table.c and check_handler.c ---- */

/* Sizes of the structs in a version of the ABI: what a plugin of that version must at least have. */
struct abi_sizes {
    uint32_t minor;
    uint32_t projection, table, column, index, handler, read, option;
};

struct check {
    const char *path;
    struct projection *projection; /* under construction */
    const struct abi_sizes *sizes;
    struct json *json;
    struct error *error;
};

int check_refuse(const struct check *check, const char *format, ...) PRINTF_LIKE(2, 3);

/* Is the array there, not larger than the bound, and of elements that are large enough? `where` and `what` name it. */
int check_array(const struct check *check, const char *where, const char *what, const void *array, uint32_t n, uint32_t max,
                uint32_t element_size, uint32_t least_size) MUST_CHECK;

/* An element by its array's element size, into a struct of this host's size: what the plugin lacks is zero. */
void check_copy(void *ret_element, size_t size, const void *array, uint32_t index, uint32_t element_size);

/* A copy in the projection's arena; NULL stays NULL. False: out of memory. */
bool check_keep(const struct check *check, const char **string);

int check_tables(const struct check *check, const struct rs_projection *given) MUST_CHECK;
int check_handlers(const struct check *check, const struct rs_projection *given) MUST_CHECK;
int check_options(const struct check *check, const struct rs_projection *given) MUST_CHECK;

#endif
