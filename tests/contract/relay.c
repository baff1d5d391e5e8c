/*
 * relay - see relay.h. One thread moves the bytes; the test's thread changes what becomes of them, under a lock.
 */
#include "relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAIRS_MAX = 64, CHUNK = 16384 };

enum mode { PASS, CUT, STRAND, SWALLOW, HOLD };

struct pair {
    int client, server; /* -1: closed */
    bool is_held;       /* nothing passes in either direction */
    char *kept;         /* in flight to the server */
    size_t kept_size;
};

struct relay {
    int listener, port, target_port;
    int wake[2];
    pthread_t thread;
    pthread_mutex_t lock;
    enum mode mode;
    size_t left;   /* bytes that still pass */
    size_t passed;
    bool has_fired, is_over;
    struct pair pairs[PAIRS_MAX];
    size_t n_pairs;
};

static void close_abruptly(int *fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    if (*fd < 0)
        return;
    setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(*fd);
    *fd = -1;
}

static bool send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);

        if (sent < 0)
            return false;
        data += sent;
        size -= (size_t)sent;
    }
    return true;
}

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void accept_pair(struct relay *relay)
{
    int client = accept(relay->listener, NULL, NULL);
    int server = client < 0 || relay->n_pairs == PAIRS_MAX ? -1 : connect_to(relay->target_port);

    if (server < 0) {
        if (client >= 0)
            close(client);
        return;
    }
    relay->pairs[relay->n_pairs++] = (struct pair){.client = client, .server = server};
}

static void keep(struct pair *pair, const char *data, size_t size)
{
    char *grown = realloc(pair->kept, pair->kept_size + size);

    if (grown == NULL)
        abort();
    memcpy(grown + pair->kept_size, data, size);
    pair->kept = grown;
    pair->kept_size += size;
}

/* All that the client has sent so far and will send at once: a batch is many segments. */
static void keep_rest(struct pair *pair)
{
    char data[CHUNK];
    ssize_t n;
    struct pollfd fd = {.fd = pair->client, .events = POLLIN};

    while (poll(&fd, 1, 50) > 0 && (n = recv(pair->client, data, sizeof data, 0)) > 0)
        keep(pair, data, (size_t)n);
}

static void from_client(struct relay *relay, struct pair *pair)
{
    char data[CHUNK];
    ssize_t n = recv(pair->client, data, sizeof data, 0);
    size_t size = n > 0 ? (size_t)n : 0, passing = size;

    if (size == 0) {
        close_abruptly(&pair->client);
        close_abruptly(&pair->server);
        return;
    }
    if ((relay->mode == CUT || relay->mode == STRAND) && passing > relay->left)
        passing = relay->left;
    relay->left -= passing < relay->left ? passing : relay->left;
    relay->passed += passing;
    if (!send_all(pair->server, data, passing))
        close_abruptly(&pair->server);
    if (passing == size)
        return;
    relay->has_fired = true;
    if (relay->mode == STRAND) {
        keep(pair, data + passing, size - passing);
        keep_rest(pair);
    } else {
        close(pair->server); /* not abruptly: what has passed shall be read */
        pair->server = -1;
    }
    close_abruptly(&pair->client);
}

static void from_server(struct relay *relay, struct pair *pair)
{
    char data[CHUNK];
    ssize_t n = recv(pair->server, data, sizeof data, 0);

    if (n <= 0) {
        close_abruptly(&pair->server);
        close_abruptly(&pair->client);
    } else if (relay->mode == SWALLOW) {
        relay->has_fired = true;
        close_abruptly(&pair->client); /* what it sent has arrived: the server answers */
    } else if (pair->client >= 0 && !send_all(pair->client, data, (size_t)n)) {
        close_abruptly(&pair->client);
    }
}

static void move_bytes(struct relay *relay, const struct pollfd *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct pair *pair = &relay->pairs[i];

        if (relay->mode == HOLD && (fds[2 + 2 * i].revents != 0 || fds[3 + 2 * i].revents != 0))
            pair->is_held = relay->has_fired = true;
        if (pair->is_held)
            continue;
        if (fds[3 + 2 * i].revents != 0 && pair->server >= 0 && fds[3 + 2 * i].fd == pair->server)
            from_server(relay, pair);
        if (fds[2 + 2 * i].revents != 0 && pair->client >= 0 && fds[2 + 2 * i].fd == pair->client)
            from_client(relay, pair);
    }
}

static void *run(void *context)
{
    struct relay *relay = context;
    bool is_over = false;

    while (!is_over) {
        struct pollfd fds[2 + 2 * PAIRS_MAX] = {{.fd = relay->listener, .events = POLLIN}, {.fd = relay->wake[0], .events = POLLIN}};
        size_t n;
        char byte;

        pthread_mutex_lock(&relay->lock);
        n = relay->n_pairs;
        for (size_t i = 0; i < n; i++) {
            fds[2 + 2 * i] = (struct pollfd){.fd = relay->pairs[i].is_held ? -1 : relay->pairs[i].client, .events = POLLIN};
            fds[3 + 2 * i] = (struct pollfd){.fd = relay->pairs[i].is_held ? -1 : relay->pairs[i].server, .events = POLLIN};
        }
        pthread_mutex_unlock(&relay->lock);
        if (poll(fds, 2 + 2 * n, -1) < 0 && errno != EINTR)
            abort();
        pthread_mutex_lock(&relay->lock);
        if (fds[1].revents != 0 && read(relay->wake[0], &byte, 1) != 1)
            abort();
        move_bytes(relay, fds, n);
        if (fds[0].revents != 0)
            accept_pair(relay);
        is_over = relay->is_over;
        pthread_mutex_unlock(&relay->lock);
    }
    return NULL;
}

static bool listen_on_loopback(struct relay *relay)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    relay->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (relay->listener < 0 || bind(relay->listener, (struct sockaddr *)&address, size) != 0 || listen(relay->listener, 8) != 0 ||
        getsockname(relay->listener, (struct sockaddr *)&address, &size) != 0)
        return false;
    relay->port = ntohs(address.sin_port);
    return true;
}

struct relay *relay_new(int target_port)
{
    struct relay *relay = calloc(1, sizeof *relay);

    if (relay == NULL)
        return NULL;
    relay->target_port = target_port;
    pthread_mutex_init(&relay->lock, NULL);
    if (!listen_on_loopback(relay) || pipe(relay->wake) != 0 || pthread_create(&relay->thread, NULL, run, relay) != 0) {
        free(relay);
        return NULL;
    }
    return relay;
}

static void wake(struct relay *relay)
{
    if (write(relay->wake[1], "", 1) != 1)
        abort();
}

static void set_mode(struct relay *relay, enum mode mode, size_t left)
{
    pthread_mutex_lock(&relay->lock);
    relay->mode = mode;
    relay->left = left;
    relay->has_fired = false;
    if (mode == PASS)
        relay->passed = 0;
    pthread_mutex_unlock(&relay->lock);
    wake(relay);
}

struct relay *relay_free(struct relay *relay)
{
    if (relay == NULL)
        return NULL;
    pthread_mutex_lock(&relay->lock);
    relay->is_over = true;
    pthread_mutex_unlock(&relay->lock);
    wake(relay);
    pthread_join(relay->thread, NULL);
    for (size_t i = 0; i < relay->n_pairs; i++) {
        close_abruptly(&relay->pairs[i].client);
        close_abruptly(&relay->pairs[i].server);
        free(relay->pairs[i].kept);
    }
    close(relay->listener);
    close(relay->wake[0]);
    close(relay->wake[1]);
    pthread_mutex_destroy(&relay->lock);
    free(relay);
    return NULL;
}

int relay_port(const struct relay *relay)
{
    return relay->port;
}

void relay_cut_after(struct relay *relay, size_t n)
{
    set_mode(relay, CUT, n);
}

void relay_strand_after(struct relay *relay, size_t n)
{
    set_mode(relay, STRAND, n);
}

void relay_swallow_answer(struct relay *relay)
{
    set_mode(relay, SWALLOW, 0);
}

void relay_hold(struct relay *relay)
{
    set_mode(relay, HOLD, 0);
}

/* A filter that takes no byte drops a packet before TCP sees it. */
void relay_vanish(struct relay *relay)
{
    struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
    const struct sock_fprog program = {.len = 1, .filter = &none};

    pthread_mutex_lock(&relay->lock);
    for (size_t i = 0; i < relay->n_pairs; i++)
        if (relay->pairs[i].client >= 0)
            (void)setsockopt(relay->pairs[i].client, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    pthread_mutex_unlock(&relay->lock);
}

void relay_heal(struct relay *relay)
{
    set_mode(relay, PASS, 0);
}

size_t relay_deliver(struct relay *relay)
{
    size_t n = 0;

    pthread_mutex_lock(&relay->lock);
    for (size_t i = 0; i < relay->n_pairs; i++) {
        struct pair *pair = &relay->pairs[i];

        if (pair->kept_size > 0 && pair->server >= 0 && send_all(pair->server, pair->kept, pair->kept_size))
            n += pair->kept_size;
        pair->kept_size = 0;
    }
    pthread_mutex_unlock(&relay->lock);
    return n;
}

size_t relay_passed(struct relay *relay)
{
    size_t passed;

    pthread_mutex_lock(&relay->lock);
    passed = relay->passed;
    pthread_mutex_unlock(&relay->lock);
    return passed;
}

bool relay_has_fired(struct relay *relay)
{
    bool has_fired;

    pthread_mutex_lock(&relay->lock);
    has_fired = relay->has_fired;
    pthread_mutex_unlock(&relay->lock);
    return has_fired;
}
