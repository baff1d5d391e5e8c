/*
 * notify - tells the service manager how the worker is: the datagrams of sd_notify(3), without its library.
 *
 * Used by the supervisor alone. Without NOTIFY_SOCKET in the environment everything here does nothing.
 */
#ifndef WORKER_NOTIFY_H
#define WORKER_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
    int fd; /* -1: nobody listens */
    struct sockaddr_un address;
    socklen_t address_size;
    int64_t watchdog_us; /* a sign of life is due in this time; 0: not asked for */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and takes them out of the environment, so that tasks do not see them. */
void notify_open(struct notify *notify);
void notify_close(struct notify *notify);

/* Sends lines such as "READY=1\nSTATUS=..."; failures are ignored: the service manager has its own time limits. */
void notify_send(const struct notify *notify, const char *state);

/* "RELOADING=1" with the time that the protocol wants. */
void notify_send_reloading(const struct notify *notify, int64_t monotonic_us);

/* A path, or '@' and an abstract name. False: neither, or too long. */
bool notify_read_address(const char *text, struct sockaddr_un *ret_address, socklen_t *ret_size);

/* The watchdog's time limit from WATCHDOG_USEC and WATCHDOG_PID (NULL where unset), for the process pid; 0: none. */
int64_t notify_read_watchdog(const char *usec, const char *watchdog_pid, int64_t pid);

#endif
