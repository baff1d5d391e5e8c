/*
 * refusals - what every driver refuses, in one place, so that a store's users read the same words whatever the store.
 *
 * Each sets the error and returns its class. Names of tables are those in the store: "accounts__v1".
 */
#ifndef STORE_REFUSALS_H
#define STORE_REFUSALS_H

#include "store/store.h"

/* ---- Whose tables: CONFIG ---- */

/* Another plugin or revision made the version's rows. */
int refuse_revision(const struct store_scope *scope, const char *plugin, int64_t revision, struct error *ret_error);
/* Another pipeline, or version, writes the table. */
int refuse_foreign_table(const char *name, const char *pipeline, int32_t version, struct error *ret_error);
/* A table that is not there though the version has positions. Made now, it would lack the rows of all events before them. */
int refuse_lost_table(const char *name, struct error *ret_error);
/* A table that the version did not have from its first event on. */
int refuse_late_table(const struct store_scope *scope, const char *name, struct error *ret_error);
/* A table that the version filled, and that this plugin with these options does not. */
int refuse_left_table(const struct store_scope *scope, const char *name, struct error *ret_error);
/* A table that holds rows though the version has no positions. */
int refuse_filled_table(const struct store_scope *scope, const char *name, struct error *ret_error);

/* ---- Rows ---- */

/* words: which row, whose it is, and who touches it. HALT. */
int refuse_foreign_row(const char *words, struct error *ret_error);

/* ---- Operators ---- */

/* There is no such position, or none that is halted: CONFIG. */
int refuse_operation(const struct store_operation *operation, struct error *ret_error);
/* The position is at another offset than its base: FENCED. */
int refuse_moved(const struct store_operation *operation, int64_t now, struct error *ret_error);

#endif
