/*
 * task - `readside task': one task process of a pipeline, as the supervisor starts it. Not for people.
 *
 * Its configuration, the status block and the control pipe come over descriptors (worker/spawn.h).
 */
#include "base/log.h"
#include "base/text.h"
#include "cli/cli.h"
#include "config/pack.h"
#include "task/task.h"
#include "worker/guard.h"
#include "worker/spawn.h"
#include "worker/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct cli_option options[] = {
    {.name = "pipeline", .argument = "NAME", .summary = "name of the pipeline"},
    {.name = "index", .argument = "NUMBER", .summary = "number of the task within the pipeline"},
    {.name = "slot", .argument = "NUMBER", .summary = "number of the slot in the status block"},
    {.name = "bootstrap", .argument = "ADDRESS", .summary = "address of the embedded broker"},
};

static int read_config(struct config **ret_config, struct error *ret_error)
{
    struct stat facts;
    void *bytes = MAP_FAILED;
    int result;

    if (fstat(SPAWN_CONFIG_FD, &facts) == 0 && facts.st_size > 0)
        bytes = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, SPAWN_CONFIG_FD, 0);
    if (bytes == MAP_FAILED)
        return error_set(ret_error, ERROR_BUG, "no configuration from the worker; this command is not for people, `readside run' is");
    result = config_unpack(bytes, (size_t)facts.st_size, ret_config, ret_error);
    munmap(bytes, (size_t)facts.st_size);
    close(SPAWN_CONFIG_FD);
    return result;
}

static bool read_number(const struct cli_arguments *arguments, const char *name, int64_t *ret_number)
{
    const char *text = cli_value(&cli_command_task, arguments, name);

    return text != NULL && text_read_int(text, strlen(text), ret_number) && *ret_number >= 0 && *ret_number < 1 << 20;
}

/* Until the process ends: the guard's thread looks at it to the last. "used", as leak checkers find it only by this pointer. */
__attribute__((used)) static struct status_block *block;

static int attach(int64_t slot, struct task_settings *settings, struct error *ret_error)
{
    block = status_block_attach(SPAWN_STATUS_FD, ret_error);
    if (block == NULL)
        return ret_error->class;
    settings->status = status_block_slot(block, (unsigned)slot);
    return settings->status != NULL ? 0 : error_set(ret_error, ERROR_BUG, "the status block has no slot %d", (int)slot);
}

/* What a task that was started inherits must not go on to anything the plugin may start. */
static void keep_descriptors(void)
{
    for (int fd = SPAWN_CONTROL_FD; fd <= SPAWN_CONFIG_FD; fd++)
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
            return;
}

static int prepare(struct task_settings *settings, struct config **ret_config, int64_t slot, struct error *ret_error)
{
    int result;

    keep_descriptors();
    result = read_config(ret_config, ret_error);
    if (result != 0)
        return result;
    settings->config = *ret_config;
    settings->pipeline = &(*ret_config)->pipelines[0];
    supervisor_setup_log(&(*ret_config)->worker);
    result = attach(slot, settings, ret_error);
    if (result == 0)
        result = guard_start(SPAWN_CONTROL_FD, &settings->status->shutdown_timeout_us, ret_error);
    return result;
}

static int run_task(int argc, char **argv)
{
    struct task_settings settings = {.control_fd = SPAWN_CONTROL_FD};
    struct cli_arguments arguments;
    struct config *config = NULL;
    struct error failure = {0};
    int64_t index, slot;
    bool is_over = true;
    int exit_code, result;

    if (!cli_parse(&cli_command_task, argc, argv, &arguments, &exit_code))
        return exit_code;
    if (!read_number(&arguments, "index", &index) || !read_number(&arguments, "slot", &slot))
        return cli_misuse(&cli_command_task, "task: --index and --slot are needed");
    settings.index = (unsigned)index;
    settings.bootstrap_servers = cli_value(&cli_command_task, &arguments, "bootstrap");
    result = prepare(&settings, &config, slot, &failure);
    if (result == 0)
        result = task_run(&settings, &is_over, &failure);
    if (result != 0)
        log_error("task cannot go on", "class", error_class_name(result), "reason", failure.text, NULL);
    config_free_unpacked(config);
    if (!is_over)
        quick_exit(exit_code_of(result));
    return exit_code_of(result);
}

const struct cli_command cli_command_task = {
    .name = "task",
    .arguments = "--pipeline NAME --index NUMBER --slot NUMBER [--bootstrap ADDRESS]",
    .summary = "Run one task of a worker (the worker starts it)",
    .options = options,
    .n_options = 4,
    .is_hidden = true,
    .run = run_task,
};
