/*
 * dispatch - see dispatch.h. Read-only once made; one lookup an event.
 */
#include "plugin/dispatch.h"

#include "base/hash.h"

#include <string.h>

struct slot {
    const char *type; /* NULL: free */
    size_t type_size;
    uint64_t hash;
    const struct rs_handler **handlers; /* of that type, in the order of the projection; NULL ends them */
};

struct dispatch {
    struct slot *slots;
    size_t mask;
    const struct rs_handler **any;
};

/* The handlers of one type, NULL behind the last. */
static const struct rs_handler **gather(struct arena *arena, const struct rs_handler *handlers, uint32_t n, const char *type)
{
    const struct rs_handler **found = arena_zalloc(arena, (n + 1) * sizeof *found);
    uint32_t n_found = 0;

    for (uint32_t i = 0; found != NULL && i < n; i++)
        if (strcmp(handlers[i].type, type) == 0)
            found[n_found++] = &handlers[i];
    return found;
}

static struct slot *find_slot(const struct dispatch *dispatch, const char *type, size_t size, uint64_t hash)
{
    size_t at = hash & dispatch->mask;

    for (;;) {
        struct slot *slot = &dispatch->slots[at];

        if (slot->type == NULL ||
            (slot->hash == hash && slot->type_size == size && memcmp(slot->type, type, size) == 0))
            return slot;
        at = (at + 1) & dispatch->mask;
    }
}

struct dispatch *dispatch_new(struct arena *arena, const struct rs_handler *handlers, uint32_t n_handlers)
{
    struct dispatch *dispatch = arena_zalloc(arena, sizeof *dispatch);
    size_t capacity = 4;

    while (capacity < 2 * (size_t)n_handlers)
        capacity *= 2;
    if (dispatch == NULL)
        return NULL;
    dispatch->mask = capacity - 1;
    dispatch->slots = arena_zalloc(arena, capacity * sizeof dispatch->slots[0]);
    dispatch->any = gather(arena, handlers, n_handlers, RS_ANY);
    if (dispatch->slots == NULL || dispatch->any == NULL)
        return NULL;
    for (uint32_t i = 0; i < n_handlers; i++) {
        const char *type = handlers[i].type;
        uint64_t hash = hash_bytes(type, strlen(type), 0);
        struct slot *slot = find_slot(dispatch, type, strlen(type), hash);

        if (slot->type != NULL || strcmp(type, RS_ANY) == 0)
            continue;
        *slot = (struct slot){.type = type, .type_size = strlen(type), .hash = hash,
                              .handlers = gather(arena, handlers, n_handlers, type)};
        if (slot->handlers == NULL)
            return NULL;
    }
    return dispatch;
}

static bool takes(const struct rs_handler *handler, int64_t version)
{
    if (handler->min_version == 0 && handler->max_version == 0)
        return true;
    return version >= (int64_t)handler->min_version && (handler->max_version == 0 || version <= (int64_t)handler->max_version);
}

static const struct rs_handler *first_of(const struct rs_handler **handlers, int64_t version)
{
    for (; *handlers != NULL; handlers++)
        if (takes(*handlers, version))
            return *handlers;
    return NULL;
}

const struct rs_handler *dispatch_find(const struct dispatch *dispatch, struct rs_text type, int64_t version)
{
    const struct slot *slot = find_slot(dispatch, type.data, type.size, hash_bytes(type.data, type.size, 0));
    const struct rs_handler *handler = slot->type == NULL ? NULL : first_of(slot->handlers, version);

    return handler != NULL ? handler : first_of(dispatch->any, version);
}
