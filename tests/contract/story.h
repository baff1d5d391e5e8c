/*
 * story - what the contract tests of servers share: faults, each followed by the same question. Do rows, sums, messages and position
 * still tell the same story?
 */
#ifndef STORY_H
#define STORY_H

#include "relay.h"
#include "scene.h"

/* One event: adds to the row of that account, to a shared one, and emits a message. */
void fold_event_of(struct scene *scene, const char *name);
/* Of an account that is always the same, and with a row of another shape beside it. */
void fold_event(struct scene *scene);
void check_story(struct scene *scene, int64_t next);
/* After a write that ended in `result` at `base`: asks the store as a task does, and compares with what the result had promised. */
void resolve_story(struct scene *scene, int64_t base, int result);
void write_well(struct scene *scene);

void pause_a_little(void);
void wait_until(struct scene *scene, const char *expected, const char *sql);

/* A relay before the scene's server, and the URI through it. */
struct relay *relay_before(struct scene *scene, char relayed[512]);
/* The driver's way leads through the relay from now on. */
void go_through(struct scene *scene, const char *relayed);
/* How many bytes a write of many rows sends once its statements are prepared. */
size_t measure_write(struct scene *scene, struct relay *relay);
/* A write into a network that is about to break. It ends well, UNKNOWN or as `other`, which it returns, and the story is resolved; n_done
 * counts what was committed. */
int write_into_break(struct scene *scene, struct relay *relay, int other, int *n_done);
/* The server's machine vanishes: what is sent to it then is given up long before any time limit of statements. */
void vanish_while_sending(struct scene *scene);
/* Rows beside those of the story. */
void add_many(struct scene *scene, int n);

int connect_to(struct scene *scene, const char *uri, const char *password);
/* The URI with another part: from is replaced by to. Until the next call. */
const char *replaced(const struct scene *scene, const char *from, const char *to);

#endif
