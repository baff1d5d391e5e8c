/*
 * read - the text of a config file to sections, by the key table.
 *
 * Called by config_load(), in one thread; with value.c the only code that knows libconfig. Everything that is wrong becomes a
 * problem, so that one run finds it all; only a syntax error ends the reading.
 */
#include "config/loaded.h"

#include <libconfig.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_SIZE = 40 };

static unsigned line_of(const config_setting_t *setting)
{
    return config_setting_source_line(setting);
}

/* The key exists, but in another group. */
static const char *other_home(const struct key_group *group, const char *name)
{
    for (size_t i = 0; i < N_GROUPS; i++) {
        if (&key_groups[i] != group && key_find(&key_groups[i], name) != NULL) {
            return key_groups[i].name;
        }
    }
    return NULL;
}

/* What a key that the group does not have was probably meant to be; NULL: no idea. */
static const char *meaning(const struct key_group *group, const char *name)
{
    return key_nearest(name, &group->keys[0].name, group->n_keys, sizeof group->keys[0]);
}

static void complain_of_key(struct loading *loading, const struct section *section, const config_setting_t *setting)
{
    const struct key_group *group = section->group;
    const char *name = config_setting_name(setting);
    const char *nearest = meaning(group, name);
    const char *home = other_home(group, name);

    if (home != NULL) {
        problems_add(loading->problems, line_of(setting), "unknown key `%s' in %s; it belongs to %s", name, section->path, home);
    } else if (nearest != NULL) {
        problems_add(loading->problems, line_of(setting), "unknown key `%s' in %s; did you mean `%s'?", name, section->path,
                     nearest);
    } else {
        problems_add(loading->problems, line_of(setting), "unknown key `%s' in %s; see readside.conf(5) for those there are",
                     name, section->path);
    }
}

/* Is the key there, only misspelt? Then one problem is enough. */
static bool is_misspelt(const struct key_group *group, const struct key *key, const config_setting_t *setting)
{
    for (int i = 0; i < (setting == NULL ? 0 : config_setting_length(setting)); i++) {
        const char *name = config_setting_name(config_setting_get_elem((config_setting_t *)setting, (unsigned)i));
        const char *nearest = key_find(group, name) != NULL ? NULL : meaning(group, name);

        if (nearest != NULL && strcmp(nearest, key->name) == 0) {
            return true;
        }
    }
    return false;
}

/* setting NULL: the group is not in the file, every key has its default. */
static void read_section(struct loading *loading, struct section *section, config_setting_t *setting)
{
    const struct key_group *group = section->group;
    int n = setting == NULL ? 0 : config_setting_length(setting);

    section->line = setting == NULL ? 0 : line_of(setting);
    section->keys = loading_alloc(loading, group->n_keys * sizeof *section->keys);
    if (section->keys == NULL) {
        return;
    }
    for (int i = 0; i < n; i++) {
        const config_setting_t *member = config_setting_get_elem(setting, (unsigned)i);

        if (key_find(group, config_setting_name(member)) == NULL) {
            complain_of_key(loading, section, member);
        }
    }
    for (size_t i = 0; i < group->n_keys; i++) {
        const struct key *key = &group->keys[i];
        const config_setting_t *member = setting == NULL ? NULL : config_setting_get_member(setting, key->name);

        if (member != NULL) {
            section->keys[i].line = line_of(member);
            value_read(loading, section, key, member);
        } else if (is_misspelt(group, key, setting)) {
            continue;
        } else if ((key->flags & KEY_REQUIRED) != 0) {
            problems_add(loading->problems, section->line, "%s needs the key `%s', for example %s = %s;", section->path,
                         key->name, key->name, key->example);
        } else {
            value_set_default(loading, section, key);
        }
    }
}

/* The top-level group of that kind; NULL where there is none. */
static config_setting_t *find_group(struct loading *loading, config_setting_t *root, const struct key_group *group)
{
    config_setting_t *setting = config_setting_get_member(root, group->name);

    if (setting != NULL && config_setting_type(setting) != CONFIG_TYPE_GROUP) {
        problems_add(loading->problems, line_of(setting), "%s must be a group: %s = { ... };", group->name, group->name);
        return NULL;
    }
    return setting;
}

static bool is_section_name(const char *name)
{
    size_t size = strlen(name);

    return size <= NAME_MAX_SIZE && name[0] >= 'a' && name[0] <= 'z' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == size;
}

/* A group of named groups: stores, pipelines. The objects follow one another. Returns how many were read. */
static size_t read_named(struct loading *loading, config_setting_t *root, const struct key_group *group, void **ret_objects,
                         struct section **ret_sections)
{
    config_setting_t *setting = find_group(loading, root, group);
    size_t n = setting == NULL ? 0 : (size_t)config_setting_length(setting);
    char *objects = loading_alloc(loading, (n + 1) * group->object_size);
    struct section *sections = loading_alloc(loading, (n + 1) * sizeof *sections);
    size_t n_read = 0;

    for (size_t i = 0; i < n && objects != NULL && sections != NULL; i++) {
        config_setting_t *member = config_setting_get_elem(setting, (unsigned)i);
        const char *name = config_setting_name(member);
        struct section *section = &sections[n_read];

        if (config_setting_type(member) != CONFIG_TYPE_GROUP) {
            problems_add(loading->problems, line_of(member), "%s.%s must be a group: %s = { ... };", group->name, name, name);
            continue;
        }
        if (!is_section_name(name)) {
            problems_add(loading->problems, line_of(member),
                         "%s.%s: a name begins with a letter a-z, goes on with a-z, 0-9, '_' and '-', and has at most %d bytes",
                         group->name, name, NAME_MAX_SIZE);
        }
        section->group = group;
        section->object = objects + n_read * group->object_size;
        section->path = loading_format(loading, "%s.%s", group->name, name);
        read_section(loading, section, member);
        n_read++;
    }
    *ret_objects = objects;
    *ret_sections = sections;
    return n_read;
}

static void check_groups(struct loading *loading, config_setting_t *root)
{
    for (int i = 0; i < config_setting_length(root); i++) {
        const config_setting_t *member = config_setting_get_elem(root, (unsigned)i);
        const char *name = config_setting_name(member);
        const char *nearest;
        size_t known = 0;

        while (known < N_GROUPS && strcmp(name, key_groups[known].name) != 0) {
            known++;
        }
        if (known < N_GROUPS) {
            continue;
        }
        nearest = key_nearest(name, &key_groups[0].name, N_GROUPS, sizeof key_groups[0]);
        if (nearest != NULL) {
            problems_add(loading->problems, line_of(member), "unknown group `%s'; did you mean `%s'?", name, nearest);
        } else {
            problems_add(loading->problems, line_of(member), "unknown group `%s'; there are worker, kafka, stores and pipelines",
                         name);
        }
    }
}

static void read_root(struct loading *loading, config_setting_t *root)
{
    struct loaded *loaded = loading->loaded;
    struct config *config = &loaded->config;
    void *stores;
    void *pipelines;

    check_groups(loading, root);
    /* Worker first: whether passwords may stand in the file is said there. */
    loaded->worker = (struct section){.group = &key_groups[GROUP_WORKER], .path = "worker", .object = &config->worker};
    read_section(loading, &loaded->worker, find_group(loading, root, loaded->worker.group));
    loading->allow_literal_secrets = config->worker.allow_literal_secrets;
    loaded->kafka = (struct section){.group = &key_groups[GROUP_KAFKA], .path = "kafka", .object = &config->kafka};
    read_section(loading, &loaded->kafka, find_group(loading, root, loaded->kafka.group));
    config->n_stores = read_named(loading, root, &key_groups[GROUP_STORE], &stores, &loaded->stores);
    config->stores = stores;
    config->n_pipelines = read_named(loading, root, &key_groups[GROUP_PIPELINE], &pipelines, &loaded->pipelines);
    config->pipelines = pipelines;
}

int read_settings(struct loading *loading, const char *text, struct error *ret_error)
{
    config_t file;
    int result = 0;

    config_init(&file);
    if (config_read_string(&file, text) == CONFIG_TRUE) {
        read_root(loading, config_root_setting(&file));
    } else {
        unsigned line = config_error_line(&file) > 0 ? (unsigned)config_error_line(&file) : 0;
        const char *said = config_error_text(&file) == NULL ? "syntax error" : config_error_text(&file);

        problems_add(loading->problems, line,
                     strcmp(said, "syntax error") == 0
                         ? "%s here or just before: is a ';', a quote or a closing brace missing, or one too many?"
                         : "%s",
                     said);
        result = error_set(ret_error, ERROR_CONFIG, "%s", said);
    }
    config_destroy(&file);
    return result;
}
