/*
 * secrets - references to secrets: "env:NAME" and "file:PATH". For config/ and for secret options of plugins (plugin/).
 */
#ifndef CONFIG_SECRETS_H
#define CONFIG_SECRETS_H

#include "base/arena.h"
#include "base/error.h"

#include <stdbool.h>

enum { SECRET_MAX_BYTES = 64 * 1024 };

bool secret_is_reference(const char *text);

/*
 * The value behind a reference, in the arena: a variable of the environment, or a file's content without its last newline. A
 * relative path counts from the directory of the file `from` (NULL: the working directory). CONFIG with the way out: the variable
 * is not set, the file is missing, empty, more than a line, or open to others than its owner (a file of root's may be open to its
 * group).
 */
int secret_read(struct arena *arena, const char *reference, const char *from, const char **ret_value,
                struct error *ret_error) MUST_CHECK;

/* Is there a password in a PostgreSQL URI ("user:password@", "?password=") or list of key words ("password=")? */
bool secret_is_in_uri(const char *uri);

/* The URI or list with every password replaced by "***", in the arena; where it is malformed, rather more than less. NULL: out of
 * memory. */
const char *secret_mask_uri(struct arena *arena, const char *uri);

#endif
