#!/usr/bin/env bash
# Installs what Forebay is built and tested with, into one cache folder outside the clone:
#
#   setup.sh build     what the binary needs: system packages, RocksDB's prebuilt library, ONNX Runtime's library, and
#                      `.cargo/config.toml` of this clone, which tells cargo where these libraries are
#   setup.sh deny      what checks the licences, sources and duplicates of crates
#   setup.sh python    the pinned environment that trains models and checks results independently
#   setup.sh kafka     the jars of the broker that tests start
#   setup.sh bench     the HTTP load generator
#   setup.sh watching  Prometheus, whose promtool tests the alert rules, and libfaketime, which sets a clock for tests
#   setup.sh postgres  the server whose answers functions and operators are compared with
#   setup.sh moto      the object store that tests start
#   setup.sh schemathesis  what compares the OpenAPI document with the server
#   setup.sh peers     what benchmarks run beside Forebay: a Python environment of its own, Kafka Streams, a Java compiler
#
# Says what it installs, and nothing when everything is there. A part is done again when what defines it changes.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${FOREBAY_CACHE:-$HOME/.cache/forebay}
rocksdb=${ROCKSDB:-prebuilt}
deny_version=0.20.2
rocksdb_version=11.8.1
rocksdb_jar_sha256=628ed387887f4a431df480857954df2a28b4389bfe24858ccdec611cabf65dbf
rocksdb_x86_64_sha256=265c656af5c6502cb8d71db1a74858509f706cc47f1a5b6f603c736d11ce677d

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Half-made folders never stay and never count as done.
work=
trap 'rm -rf "${work:-}"' EXIT

# Runs a command in silence; its output is shown when it fails.
quietly() {
  local output
  output=$("$@" 2>&1 </dev/null) || { printf '%s\n' "$output" >&2; fail "this did not work: $*"; }
}

# A part is done when a stamp named by the hash of what defines it exists.
stamp() { printf '%s/stamps/%s-%s' "$cache" "$1" "$(printf '%s' "$2" | sha256sum | cut -c1-16)"; }
mark() { mkdir -p "$cache/stamps"; rm -f "$cache/stamps/$1-"*; : >"$(stamp "$1" "$2")"; }

# ---- system packages -------------------------------------------------------------------------------------------

has() { command -v "$1" >/dev/null 2>&1; }
has_package() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Where Debian is not the system, libraries cannot be asked for by package: only the commands are checked.
missing_packages() {
  has cc || echo gcc
  has c++ || echo g++
  has clang || echo clang
  has cmake || echo cmake
  has pkg-config || echo pkg-config
  has git || echo git
  if has dpkg-query; then
    for package in ca-certificates libclang-dev libssl-dev zlib1g-dev libcurl4-openssl-dev; do
      has_package "$package" || echo "$package"
    done
  fi
  python=$(find_python) && "$python" -c 'import ensurepip, venv' 2>/dev/null || echo python3 python3-venv
  if [ "$rocksdb" != source ] || [ "${need_java:-}" = yes ]; then
    has java || echo default-jre-headless
    has mvn || echo maven
    has unzip || echo unzip
  fi
}

install_packages() {
  [ $# -gt 0 ] || return 0
  has apt-get || fail "please install: $* (there is no apt-get here to do it), then run this again"
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    has sudo || fail "please run as root: apt-get install $*   (there is no sudo here to do it), then run this again"
    root=(sudo)
  fi
  say "system packages: $*"
  quietly "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update
  quietly "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$@"
}

system() {
  local packages
  packages=$(missing_packages)
  # shellcheck disable=SC2086  # one word per package
  install_packages $packages
  has cargo || fail "no cargo here: install the Rust toolchain with rustup, then run this again"
}

# ---- RocksDB ---------------------------------------------------------------------------------------------------

check_sha256() { printf '%s  %s\n' "$2" "$1" | sha256sum --check --status; }

# The library's own project publishes it inside its Java archive; the C interface is all exported.
rocksdb() {
  local member what library=$cache/rocksdb/librocksdb.so
  case $(uname -m) in
    x86_64) member=librocksdbjni-linux64.so ;;
    aarch64) member=librocksdbjni-linux-aarch64.so ;;
    *) fail "RocksDB has no prebuilt library for $(uname -m): use ROCKSDB=source" ;;
  esac
  what="$rocksdb_version $rocksdb_jar_sha256 $member"
  [ -e "$(stamp rocksdb "$what")" ] && [ -e "$library" ] && return 0
  if [ "$member" = librocksdbjni-linux64.so ] && [ -e "$library" ] && check_sha256 "$library" "$rocksdb_x86_64_sha256"; then
    mark rocksdb "$what"
    return 0
  fi
  say "RocksDB $rocksdb_version (prebuilt) into $cache/rocksdb"
  work=$(mktemp -d "$cache/rocksdb.XXXXXX")
  (
    cd "$work"
    quietly mvn -q -B dependency:copy -Dartifact="org.rocksdb:rocksdbjni:$rocksdb_version" -DoutputDirectory="$work"
    check_sha256 "rocksdbjni-$rocksdb_version.jar" "$rocksdb_jar_sha256" \
      || fail "the archive of RocksDB $rocksdb_version is not the one that is pinned: try again, or use ROCKSDB=source"
    unzip -q "rocksdbjni-$rocksdb_version.jar" "$member"
    [ "$member" != librocksdbjni-linux64.so ] || check_sha256 "$member" "$rocksdb_x86_64_sha256" \
      || fail "RocksDB's library is not the one that is pinned: try again, or use ROCKSDB=source"
    chmod 755 "$member"
  )
  mkdir -p "$cache/rocksdb"
  mv "$work/$member" "$library"
  rm -rf "$work"
  mark rocksdb "$what"
}

# ---- Python and ONNX Runtime -----------------------------------------------------------------------------------

# The first Python that is new enough for the pinned packages.
find_python() {
  local candidate
  for candidate in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
    if has "$candidate" && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}

# Makes the environment in a folder of the cache.
venv() {
  [ -x "$cache/$1/bin/python" ] && return 0
  local python
  python=$(find_python) || fail "Python 3.11 or later is needed: install it, then run this again"
  rm -rf "${cache:?}/$1"
  "$python" -m venv "$cache/$1"
}

# Installs into the environment in a folder of the cache.
pip_install() {
  local folder=$1
  shift
  quietly "$cache/$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-compile --only-binary=:all: "$@"
}

# The wheel carries the library; a link under a fixed name spares everybody its version.
onnxruntime() {
  local pin link=$cache/onnxruntime/libonnxruntime.so found
  pin=$(grep '^onnxruntime==' "$here/requirements.txt")
  [ -e "$(stamp onnxruntime "$pin")" ] && [ -e "$link" ] && return 0
  say "ONNX Runtime ($pin) into $cache/onnxruntime"
  venv venv
  pip_install venv --constraint "$here/requirements.txt" "$pin"
  found=$(find "$cache/venv/lib" -name 'libonnxruntime.so.1.*' | head -n 1)
  [ -n "$found" ] || fail "the wheel $pin holds no libonnxruntime.so"
  mkdir -p "$cache/onnxruntime"
  ln -sfn "$found" "$link"
  mark onnxruntime "$pin"
}

python() {
  local what
  what=$(cat "$here/requirements.txt")
  [ -e "$(stamp python "$what")" ] && [ -x "$cache/venv/bin/python" ] && return 0
  say "Python environment into $cache/venv: $(grep -v '^#' "$here/requirements.txt" | tr '\n' ' ')"
  venv venv
  pip_install venv --requirement "$here/requirements.txt"
  mark python "$what"
}

# ---- cargo -----------------------------------------------------------------------------------------------------

# What the Makefile exports, for those who call cargo themselves: `cargo test`, `cargo run`, rust-analyzer.
cargo_config() {
  local file=$here/../../.cargo/config.toml text
  text="# Written by \`make setup\`; not committed. Variables of the shell take precedence.
[build]
target-dir = \"${CARGO_TARGET_DIR:-$cache/target}\"

[env]
FOREBAY_CACHE = \"$cache\"
ORT_DYLIB_PATH = \"${ORT_DYLIB_PATH:-$cache/onnxruntime/libonnxruntime.so}\"
"
  [ "$rocksdb" = source ] || text+="ROCKSDB_LIB_DIR = \"$cache/rocksdb\"
LD_LIBRARY_PATH = \"$cache/rocksdb\"
"
  [ "$(cat "$file" 2>/dev/null)" = "${text%$'\n'}" ] && return 0
  mkdir -p "$(dirname "$file")"
  printf '%s' "$text" >"$file"
}

# Built once, in a few minutes: it is published as source only.
deny() {
  [ -e "$(stamp deny "$deny_version")" ] && [ -x "$cache/deny/bin/cargo-deny" ] && return 0
  say "cargo-deny $deny_version into $cache/deny"
  quietly env CARGO_TARGET_DIR="$cache/deny/target" cargo install --quiet --locked --root "$cache/deny" --version "$deny_version" cargo-deny
  rm -rf "$cache/deny/target"
  mark deny "$deny_version"
}

# ---- Java ------------------------------------------------------------------------------------------------------

# What a pom (`$1`) depends on, into the folder `$2` of the cache.
jars() {
  work=$(mktemp -d "$cache/$2.XXXXXX")
  quietly mvn -q -B -f "$1" dependency:copy-dependencies -DoutputDirectory="$work/lib"
  rm -rf "$cache/${2:?}"
  chmod 755 "$work"
  mv "$work" "$cache/$2"
}

# ---- Kafka -----------------------------------------------------------------------------------------------------

kafka() {
  local what
  what=$(cat "$here/kafka-pom.xml")
  [ -e "$(stamp kafka "$what")" ] && [ -d "$cache/kafka/lib" ] && return 0
  need_java=yes system
  say "Apache Kafka $(sed -n 's:.*<version>\([0-9.]*\.[0-9]*\)</version>.*:\1:p' "$here/kafka-pom.xml"), for tests, into $cache/kafka"
  jars "$here/kafka-pom.xml" kafka
  mark kafka "$what"
}

# ---- Prometheus and libfaketime ---------------------------------------------------------------------------------

# Debian's packages, unpacked into a folder of the cache: nothing is installed, so that no service is started.
unpacked() {
  local folder=$1 package
  shift
  work=$(mktemp -d "$cache/$folder.XXXXXX")
  (
    cd "$work"
    apt-get -qq download "$@" >/dev/null 2>&1 || { quietly apt-get -qq update; quietly apt-get -qq download "$@"; }
    for package in *.deb; do dpkg-deb --extract "$package" .; rm "$package"; done
  )
  chmod 755 "$work"
  rm -rf "${cache:?}/$folder"
  mv "$work" "$cache/$folder"
}

watching() {
  local what="prometheus libfaketime"
  [ -e "$(stamp watching "$what")" ] && [ -x "$cache/watching/usr/bin/promtool" ] && return 0
  if ! has apt-get || ! has dpkg-deb; then
    say "no Prometheus and libfaketime for tests: there is no apt-get here; the tests that need them say that they are skipped"
    return 0
  fi
  say "Prometheus and libfaketime, for tests, into $cache/watching"
  # shellcheck disable=SC2086  # one word per package
  unpacked watching $what
  mark watching "$what"
}

# ---- parts that have a Python environment of their own ------------------------------------------------------------

# The requirements of part `$1` into `$1-venv`, whose command `$2` shows that it is whole.
own_python() {
  local what
  what=$(cat "$here/requirements-$1.txt")
  [ -e "$(stamp "$1" "$what")" ] && [ -x "$cache/$1-venv/bin/$2" ] && return 0
  say "$(grep -v '^#' "$here/requirements-$1.txt" | tr '\n' ' ')for tests, into $cache/$1-venv"
  venv "$1-venv"
  pip_install "$1-venv" --requirement "$here/requirements-$1.txt"
  mark "$1" "$what"
}

# What asks the server everything that its document allows and forbids.
schemathesis() { own_python schemathesis schemathesis; }

# An object store.
moto() { own_python moto moto_server; }

# ---- peers -----------------------------------------------------------------------------------------------------

peers() {
  local folder=$here/../../benchmarks/peers what
  has javac || install_packages default-jdk-headless
  what=$(cat "$folder/requirements.txt" "$folder/pom.xml")
  [ -e "$(stamp peers "$what")" ] && [ -x "$cache/peers-venv/bin/python" ] && [ -d "$cache/peers/lib" ] && return 0
  need_java=yes system
  say "peers of the benchmarks into $cache/peers-venv and $cache/peers: $(grep -v '^#' "$folder/requirements.txt" | tr '\n' ' ')and Kafka Streams"
  venv peers-venv
  pip_install peers-venv --requirement "$folder/requirements.txt"
  jars "$folder/pom.xml" peers
  mark peers "$what"
}

# ----------------------------------------------------------------------------------------------------------------

mkdir -p "$cache"
exec 9>"$cache/.setup.lock"
flock 9

for part in "$@"; do
  case $part in
    build)
      system
      [ "$rocksdb" = source ] || rocksdb
      onnxruntime
      cargo_config
      ;;
    deny | python | kafka | watching | moto | schemathesis | peers) $part ;;
    bench) has wrk || install_packages wrk ;;
    postgres) [ -x /usr/lib/postgresql/15/bin/initdb ] || install_packages postgresql-15 ;;
    *) fail "there is no part $part: choose from build, deny, python, kafka, watching, moto, schemathesis, bench, peers, postgres" ;;
  esac
done
