# Sourced by the other scripts: where things are, progress lines, a new enough cargo, missing Debian packages.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
dist=$target/dist
minimum_rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
export LC_ALL=C.UTF-8

# Prints a step with the seconds since the script began.
step() { printf '==> [%3ds] %s\n' "$SECONDS" "$*" >&2; }

# Prints why the script cannot go on, and ends it.
give_up() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 2
}

# True when version $1 is at least version $2.
at_least() { printf '%s\n%s\n' "$2" "$1" | sort --check=quiet --version-sort; }

# Makes sure that the cargo and rustc on PATH are new enough. A root shell often lacks the user's ~/.cargo/bin.
need_cargo() {
    if ! command -v cargo >/dev/null && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
        PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    fi
    local hint="Rust $minimum_rust or newer is needed: 'apt-get install cargo' on Debian 13, https://rustup.rs elsewhere"
    command -v cargo >/dev/null && command -v rustc >/dev/null || give_up "no cargo on PATH. $hint"
    local found
    found=$(rustc --version | cut -d' ' -f2)
    at_least "${found%%-*}" "$minimum_rust" || give_up "rustc $found is too old. $hint"
}

# Installs those of the named Debian packages that are missing. Does nothing, and needs no root, when all are there.
need_packages() {
    command -v dpkg-query >/dev/null ||
        give_up "not a Debian or Ubuntu system; install what these packages hold, then set WARPDRIVE_NO_INSTALL=1: $*"
    [ -z "${WARPDRIVE_NO_INSTALL:-}" ] || return 0
    local missing=() package
    for package in "$@"; do
        dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || give_up "please install, as root: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    step "installing ${missing[*]}"
    local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install --yes
        --no-install-recommends -qq)
    "${install[@]}" "${missing[@]}" >&2 2>/dev/null </dev/null && return 0
    "${as_root[@]}" apt-get update -qq </dev/null >&2 &&
        "${install[@]}" "${missing[@]}" >&2 </dev/null ||
        give_up "could not install: ${missing[*]}"
}

# What building needs: a linker, and the libcrypto that the simulator's device models compute with.
build_packages=(gcc libc6-dev pkg-config libssl-dev ca-certificates)
# What the main job needs besides: the programs that it drives.
run_packages=(openssl python3 gzip tar)
# What the tests need besides.
test_packages=(binutils git libpcre2-8-0 perl pigz procps strace valgrind zlib1g-dev)

# Servers, which as installed packages would start on the developer's machine: the tests run them from below target.
unpacked_packages=(nginx)

# Unpacks the named Debian packages into $target/packages, those that are not there yet. Libraries that they need come with need_packages.
need_unpacked() {
    local package directory=$target/packages
    mkdir -p "$directory/archives"
    for package in "$@"; do
        [ ! -e "$directory/.$package" ] || continue
        step "unpacking $package"
        (cd "$directory/archives" && rm -f "${package}"_*.deb &&
            { apt-get download -qq -o APT::Sandbox::User=root "$package" >&2 || { apt-get update -qq >&2 && apt-get download -qq -o APT::Sandbox::User=root "$package" >&2; }; } &&
            dpkg-deb --extract "${package}"_*.deb "$directory") || give_up "could not fetch $package"
        touch "$directory/.$package"
    done
}

# The library packages that unpacked packages need, as those say themselves; LLVM, which PostgreSQL loads for long queries only, is not.
unpacked_libraries() {
    local package
    for package in "$@"; do
        dpkg-deb --field "$target/packages/archives/${package}"_*.deb Depends Pre-Depends
    done | sed 's/^[A-Z][A-Za-z-]*: //' | tr ',' '\n' | sed 's/[|(:].*//; s/ //g' | grep '^lib' | grep -v '^libllvm' | sort -u
}

# CPython's own tests, in the version of the system's python3 (which run_packages brings).
python_tests_package() {
    /usr/bin/python3 -c 'import sys; print("libpython{}.{}-testsuite".format(*sys.version_info))'
}
