/*
 * relay - a TCP relay on loopback that breaks connections in the ways a network does. A thread of the test's own process.
 */
#ifndef RELAY_H
#define RELAY_H

#include <stdbool.h>
#include <stddef.h>

struct relay;

/* Forwards 127.0.0.1:relay_port() to 127.0.0.1:target_port. NULL: no socket to be had. */
struct relay *relay_new(int target_port);
struct relay *relay_free(struct relay *relay);
int relay_port(const struct relay *relay);

/* The next n bytes of clients still pass; with the first one behind them the connection breaks on both sides. */
void relay_cut_after(struct relay *relay, size_t n);
/* The same, but the server notices nothing: what the client sends behind the n bytes stays in flight until relay_deliver(). */
void relay_strand_after(struct relay *relay, size_t n);
/* What the server says next is lost, and the connection breaks on the client's side once what it sent has passed. */
void relay_swallow_answer(struct relay *relay);
/* Nothing passes any more, and nobody notices. */
void relay_hold(struct relay *relay);
/* Clients' packets are lost from now on, as if the machine had vanished: not even the kernel answers them. */
void relay_vanish(struct relay *relay);
/* New connections pass; those that were broken, held or stranded stay as they are. */
void relay_heal(struct relay *relay);

/* What was in flight arrives at the server now. Returns how many bytes that were. */
size_t relay_deliver(struct relay *relay);
/* Bytes of clients forwarded since the last relay_heal(). */
size_t relay_passed(struct relay *relay);
/* Has the armed fault happened? */
bool relay_has_fired(struct relay *relay);

#endif
