/*
 * sqlite_connect - opens the file, after looking at what holds it, and sets the connection up.
 *
 * Called by start_connect, in the thread of the store. Refuses what would not be exactly-once or not durable: a file system whose
 * locks other machines do not see, a file or folder that cannot be written, a journal other than the write-ahead log.
 */
#include "store/sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { VERSION_MIN = 3040000, PATH_SIZE = 4096 };

/* Of statfs(2), for file systems that are reached over a network: their locks and shared memory do not hold between machines. */
static const struct {
    unsigned long magic;
    const char *name;
} network_file_systems[] = {
    {0x6969, "NFS"},       {0x517b, "SMB"},     {0xff534d42, "CIFS"}, {0xfe534d42, "SMB"},    {0x01021997, "9P"},
    {0x00c36400, "Ceph"},  {0x0bd00bd0, "Lustre"}, {0x5346414f, "AFS"}, {0x73757245, "Coda"}, {0x47504653, "GPFS"},
};

int sqlite_check_path(const char *path, struct error *ret_error)
{
    if (path == NULL || path[0] == '\0')
        return error_set(ret_error, ERROR_CONFIG, "a store of kind \"sqlite\" needs the path of its file as uri");
    if (path[0] == ':')
        return error_set(ret_error, ERROR_CONFIG, "%s: a database in memory would forget its positions; give the path of a file", path);
    if (strncmp(path, "file:", 5) == 0 || strncmp(path, "sqlite:", 7) == 0)
        return error_set(ret_error, ERROR_CONFIG, "%s: give the plain path of the file, not a URI", path);
    if (strlen(path) >= PATH_SIZE)
        return error_set(ret_error, ERROR_CONFIG, "the path of the SQLite file is longer than %d bytes", PATH_SIZE - 1);
    return 0;
}

static const char *folder_of(const char *path, char ret_folder[PATH_SIZE])
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return ".";
    if (slash == path)
        return "/";
    memcpy(ret_folder, path, (size_t)(slash - path));
    ret_folder[slash - path] = '\0';
    return ret_folder;
}

static int check_folder(const char *path, const char *folder, struct error *ret_error)
{
    struct statfs system;
    struct stat status;

    if (stat(folder, &status) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return error_set(ret_error, ERROR_CONFIG, "%s: the folder %s does not exist; make it first", path, folder);
    if (access(folder, W_OK | X_OK) != 0)
        return error_set(ret_error, ERROR_CONFIG,
                         "%s: user %ld may not write in the folder %s (%s); SQLite keeps its log beside the file", path,
                         (long)geteuid(), folder, strerror(errno));
    if (statfs(folder, &system) != 0)
        return error_set(ret_error, ERROR_TRANSIENT, "%s: %s", folder, strerror(errno));
    for (size_t i = 0; i < sizeof network_file_systems / sizeof network_file_systems[0]; i++)
        if ((unsigned long)system.f_type == network_file_systems[i].magic)
            return error_set(ret_error, ERROR_CONFIG,
                             "%s lies on a network file system (%s), where SQLite's locks do not hold; put it on a local disk", path,
                             network_file_systems[i].name);
    return 0;
}

static int not_there(const char *path, struct error *ret_error)
{
    error_set(ret_error, ERROR_CONFIG, "there is no file %s yet; the first start makes it with schema = \"create\", or run what `readside schema' prints", path);
    if (ret_error != NULL)
        memcpy(ret_error->code, STORE_MISSING, sizeof STORE_MISSING);
    return ERROR_CONFIG;
}

static int check_file(const struct sqlite *lite, struct error *ret_error)
{
    const char *path = lite->store.settings.uri;
    char folder[PATH_SIZE];
    struct stat status;
    int result = check_folder(path, folder_of(path, folder), ret_error);

    if (result != 0)
        return result;
    if (stat(path, &status) != 0) {
        if (errno != ENOENT)
            return error_set(ret_error, ERROR_CONFIG, "%s: %s", path, strerror(errno));
        if (lite->store.settings.must_exist)
            return not_there(path, ret_error);
        return !lite->was_connected ? 0
                                  : error_set(ret_error, ERROR_TRANSIENT,
                                              "%s is gone; put it back, or restart to begin with an empty one", path);
    }
    if (!S_ISREG(status.st_mode))
        return error_set(ret_error, ERROR_CONFIG, "%s is not a regular file", path);
    if (access(path, R_OK | W_OK) != 0)
        return error_set(ret_error, ERROR_CONFIG, "%s: user %ld may not read and write the file (%s)", path, (long)geteuid(),
                         strerror(errno));
    return 0;
}

static int check_version(struct error *ret_error)
{
    if (sqlite3_libversion_number() >= VERSION_MIN)
        return 0;
    return error_set(ret_error, ERROR_CONFIG, "the SQLite library is %s; 3.40 or newer is needed", sqlite3_libversion());
}

/* ---- The connection ---- */

static int open_file(struct sqlite *lite, struct error *ret_error)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    bool makes_file = !lite->was_connected && !lite->store.settings.must_exist;
    int code = sqlite3_open_v2(lite->store.settings.uri, &lite->connection, makes_file ? flags | SQLITE_OPEN_CREATE : flags, NULL);

    if (lite->connection == NULL)
        return sqlite_out_of_memory(ret_error);
    if (code != SQLITE_OK)
        return sqlite_error(lite, "opening the file", ret_error);
    if (sqlite3_db_readonly(lite->connection, "main") == 1)
        return error_set(ret_error, ERROR_CONFIG, "%s can only be read", lite->store.settings.uri);
    if (sqlite_add_functions(lite->connection) != SQLITE_OK)
        return sqlite_error(lite, "adding functions", ret_error);
    sqlite3_busy_timeout(lite->connection, 0);
    sqlite_watch_time(lite);
    /* Not a string where a column is missing; no harm from what others have put into the schema. */
    sqlite3_db_config(lite->connection, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(lite->connection, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(lite->connection, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(lite->connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return 0;
}

struct answer {
    char text[32];
};

static int take_answer(void *context, int n_columns, char **values, char **names)
{
    struct answer *answer = context;

    (void)names;
    if (n_columns > 0 && values[0] != NULL)
        snprintf(answer->text, sizeof answer->text, "%s", values[0]);
    return 0;
}

/* Runs the pragma, and sees that it answers what it must. STORE_BUSY: another connection is in the way. */
static int expect(struct sqlite *lite, const char *pragma, const char *expected, struct error *ret_error)
{
    struct answer answer = {""};

    if (sqlite3_exec(lite->connection, pragma, take_answer, &answer, NULL) != SQLITE_OK)
        return sqlite_is_busy(lite) ? STORE_BUSY : sqlite_error(lite, pragma, ret_error);
    if (strcasecmp(answer.text, expected) != 0)
        return error_set(ret_error, ERROR_CONFIG, "%s: %s answers \"%s\", not \"%s\"", lite->store.settings.uri, pragma,
                         answer.text, expected);
    return 0;
}

static int set_up(struct sqlite *lite, struct error *ret_error)
{
    static const struct {
        const char *pragma, *expected;
    } pragmas[] = {
        {"PRAGMA encoding", "UTF-8"}, /* text compares byte by byte */
        {"PRAGMA synchronous = FULL; PRAGMA synchronous", "2"},
        {"PRAGMA wal_autocheckpoint = 4000", "4000"},
        {"PRAGMA journal_size_limit = 67108864", "67108864"},
        {"PRAGMA cache_size = -8192; PRAGMA cache_size", "-8192"},
    };
    int result = 0;

    for (size_t i = 0; i < sizeof pragmas / sizeof pragmas[0] && result == 0; i++)
        result = expect(lite, pragmas[i].pragma, pragmas[i].expected, ret_error);
    if (result == 0 && !lite->store.settings.must_exist) /* it is written into the file */
        result = expect(lite, "PRAGMA journal_mode = WAL", "wal", ret_error);
    if (result == 0)
        result = sqlite_execute(lite, "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY", ret_error);
    return result;
}

int sqlite_connect(struct sqlite *lite, struct error *ret_error)
{
    int result = check_version(ret_error);

    if (result == 0)
        result = check_file(lite, ret_error);
    if (result == 0)
        result = open_file(lite, ret_error);
    if (result == 0)
        result = set_up(lite, ret_error);
    if (result != 0)
        sqlite_disconnect(lite);
    else
        lite->was_connected = true;
    return result;
}
