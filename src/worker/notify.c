/*
 * notify - see notify.h. The supervisor's thread only.
 */
#include "worker/notify.h"

#include "base/text.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_SIZE = 1024 };

bool notify_read_address(const char *text, struct sockaddr_un *ret_address, socklen_t *ret_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(text);

    if ((text[0] != '/' && text[0] != '@') || size < 2 || size >= sizeof address.sun_path)
        return false;
    memcpy(address.sun_path, text, size);
    if (text[0] == '@')
        address.sun_path[0] = '\0'; /* an abstract name has no terminator: the size tells its end */
    *ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (text[0] == '/' ? 1 : 0));
    *ret_address = address;
    return true;
}

int64_t notify_read_watchdog(const char *usec, const char *watchdog_pid, int64_t pid)
{
    int64_t limit_us, for_pid;

    if (usec == NULL || !text_read_int(usec, strlen(usec), &limit_us) || limit_us <= 0)
        return 0;
    if (watchdog_pid != NULL && (!text_read_int(watchdog_pid, strlen(watchdog_pid), &for_pid) || for_pid != pid))
        return 0;
    return limit_us;
}

void notify_open(struct notify *notify)
{
    const char *path = getenv("NOTIFY_SOCKET");

    *notify = (struct notify){.fd = -1};
    if (path != NULL && notify_read_address(path, &notify->address, &notify->address_size))
        notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify->fd >= 0)
        notify->watchdog_us = notify_read_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"), getpid());
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_close(struct notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    notify->fd = -1;
}

void notify_send(const struct notify *notify, const char *state)
{
    if (notify->fd < 0)
        return;
    if (sendto(notify->fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&notify->address,
               notify->address_size) < 0)
        return; /* nobody to tell */
}

void notify_send_reloading(const struct notify *notify, int64_t monotonic_us)
{
    char message[MESSAGE_SIZE];

    snprintf(message, sizeof message, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)monotonic_us);
    notify_send(notify, message);
}
