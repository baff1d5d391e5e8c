# Shared functions of the scripts here; sourced by bash, never run.
# shellcheck shell=bash disable=SC2034 # what is set here is used by those who source it
#
# After `source`, $root is the checkout. Nothing happens until a function is called.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '%s\n' "readside: $*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# The oldest versions that work; configure.ac asks for the same.
rdkafka_min=2.13.2
yyjson_min=0.10.0
kafka_version=4.3.1
debezium_version=3.5.0.Final
mariadb_driver_version=2.7.12 # bench/peer.py says why not a newer one

# Debian packages by level; each level includes the ones before it.
build_packages="gcc g++ make autoconf automake pkg-config xz-utils libc6-dev libpq-dev libmariadb-dev libsqlite3-dev
libconfig-dev libssl-dev zlib1g-dev libzstd-dev"
check_packages="libcmocka-dev python3"
# MariaDB's core packages hold its programs alone: nothing that starts a server at installation.
test_packages="postgresql mariadb-server-core mariadb-client-core openssl default-jre-headless maven python3-pytest
python3-pytest-timeout python3-psycopg2 python3-pymysql python3-cryptography python3-confluent-kafka python3-matplotlib valgrind clang"

# shellcheck disable=SC2086 # lists of words, and newlines to lose
packages_of() {
	case $1 in
	build) echo $build_packages ;;
	check) echo $build_packages $check_packages ;;
	test | bench) echo $build_packages $check_packages $test_packages ;;
	*) die "unknown level '$1': build, check, test or bench" ;;
	esac
}

# Names those of the packages that are not installed.
missing_packages() {
	local package
	for package; do
		case " $(dpkg-query -W -f '${db:Status-Status} ' "$package" 2>/dev/null) " in
		*" installed "*) ;;
		*) printf '%s ' "$package" ;;
		esac
	done
}

# need_packages PACKAGE...: installs what is missing, as root; otherwise says what to run.
need_packages() {
	local missing
	have dpkg-query || { say "not a Debian system: install these by hand: $*"; return 0; }
	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" != 0 ]; then
		die "packages are missing; as root, run
    apt-get update && apt-get install --no-install-recommends $missing"
	fi
	say "installing $missing"
	apt-get -qq update || die "apt-get update failed"
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null </dev/null ||
		die "apt-get could not install $missing"
}

# The Debian mirror that this system already uses; nothing if apt has no index yet.
debian_mirror() {
	# shellcheck disable=SC2016 # apt expands these
	apt-get indextargets --format '$(LABEL) $(COMPONENT) $(REPO_URI)' "Created-By: Packages" |
		awk '$1 == "Debian" && $2 == "main" { print $3; exit }'
}

# A folder for what is built or fetched once and shared by all checkouts of this user.
cache_dir() {
	local dir release
	if [ -n "${READSIDE_DEPS:-}" ]; then
		dir=$READSIDE_DEPS
	else
		# shellcheck disable=SC1091
		release=$(. /etc/os-release 2>/dev/null && echo "${ID:-linux}-${VERSION_ID:-${VERSION_CODENAME:-0}}")
		dir=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/readside/deps/$release-$(uname -m)
		(mkdir -p "$dir" && [ -w "$dir" ]) 2>/dev/null || dir=$root/.deps/$release-$(uname -m)
	fi
	mkdir -p "$dir" || die "cannot create $dir (READSIDE_DEPS names another place)"
	(cd "$dir" && pwd)
}

# Puts the private libraries before the system's for pkg-config, configure and aclocal.
use_deps() {
	deps=$(cache_dir)
	export PKG_CONFIG_PATH="$deps/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
}

ensure_packages() {
	# shellcheck disable=SC2046 # a list of words
	need_packages $(packages_of "$1")
}

# ensure_deps LEVEL: packages, private libraries and the environment to use them.
ensure_deps() {
	"$root/scripts/bootstrap" "$1" >/dev/null || exit 1
	use_deps
}

# ensure_build [DIR [CONFIGURE-ARGUMENT...]]: an up-to-date build in DIR (default build/) with these arguments.
# shellcheck disable=SC2120 # called with and without
ensure_build() {
	local dir=${1:-$root/build} flags libraries output
	[ $# -eq 0 ] || shift
	if [ ! -x "$root/configure" ] || [ "$root/configure.ac" -nt "$root/configure" ] ||
		[ "$root/Makefile.am" -nt "$root/Makefile.in" ]; then
		output=$(cd "$root" && autoreconf -i 2>&1) || { printf '%s\n' "$output" >&2; die "autoreconf failed"; }
	fi
	mkdir -p "$dir" || exit 1
	flags="$PKG_CONFIG_PATH ${CC:-} ${CXX:-} ${CFLAGS:-} ${CXXFLAGS:-} $*"
	# A library that came or changed since then counts as well: cmocka is not there for the demo.
	libraries=$(for name in rdkafka yyjson libpq libmariadb mysqlclient sqlite3 libconfig cmocka; do pkg-config --modversion "$name" 2>&1 || true; done)
	if [ ! -f "$dir/Makefile" ] || [ "$(cat "$dir/.configured" 2>/dev/null)" != "$flags $libraries" ]; then
		(cd "$dir" && "$root/configure" -q "$@") || die "configure failed, see $dir/config.log"
		# Objects do not depend on the flags that they were made with.
		[ "$(cat "$dir/.flags" 2>/dev/null)" = "$flags" ] || make -C "$dir" -s clean >/dev/null
		printf '%s\n' "$flags" >"$dir/.flags"
		printf '%s\n' "$flags $libraries" >"$dir/.configured"
	fi
	make -C "$dir" -s -j"$(nproc)" all >/dev/null || die "the build failed"
}
