/*
 * member - what a group member remembers: topics by one name each, and the partitions that flow. Touches no library but its types.
 */
#include "kafka/member.h"

#include <stdlib.h>
#include <string.h>

const char *member_intern(struct member *member, const char *name)
{
    struct member_topic *topics;
    char *copy;

    for (size_t i = 0; i < member->n_topics; i++)
        if (strcmp(member->topics[i].name, name) == 0)
            return member->topics[i].name;
    topics = realloc(member->topics, (member->n_topics + 1) * sizeof(*topics));
    copy = strdup(name);
    if (topics)
        member->topics = topics;
    if (!topics || !copy) {
        free(copy);
        error_set(&member->trouble, ERROR_BUG, "out of memory for the name of topic %s", name);
        return NULL;
    }
    topics[member->n_topics++] = (struct member_topic){ .name = copy };
    return copy;
}

struct member_topic *member_find_topic(struct member *member, const char *interned_name)
{
    for (size_t i = 0; i < member->n_topics; i++)
        if (member->topics[i].name == interned_name)
            return &member->topics[i];
    return NULL;
}

struct member_partition *member_find_started(struct member *member, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < member->n_started; i++)
        if (member->started[i].partition == partition && member->started[i].topic == topic)
            return &member->started[i];
    return NULL;
}
