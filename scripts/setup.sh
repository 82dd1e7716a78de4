#!/usr/bin/env bash
# Installs what bt-mount needs, and does nothing when all of it is there.
#
#   scripts/setup.sh       everything: to build, run, test and check
#   scripts/setup.sh run   only what scripts/run.sh needs: to build and run, the demo included
#   scripts/setup.sh bench what scripts/bench.sh needs besides: the programs that are compared
#   scripts/setup.sh check-libssh2   tests our patches to libssh2, with sanitizers; installs nothing
#
# Tested on Debian 12. Written for Debian 13 and Ubuntu 24.04 too, but untested there. Packages come from the
# distribution, through apt; sudo is used when you are not root. Where the distribution's libssh2 is older than 1.11,
# the source package of the next Debian release is built into build/deps (BT_DEPS names another place), with the patches
# of scripts/libssh2; it is built again when those change.
set -euo pipefail

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd -P)
readonly root
readonly deps=${BT_DEPS:-$root/build/deps}
readonly libssh2_minimum=1.11.0 # 1.10 cannot log in with an Ed25519 certificate
readonly patches=$root/scripts/libssh2
readonly stamp=$deps/libssh2.patches # which of them build/deps was built with

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# --- what is needed ---------------------------------------------------------------------------------------------------

# shellcheck source=/dev/null
codename=$(. /etc/os-release 2>/dev/null && printf '%s' "${VERSION_CODENAME:-}") || codename=""
readonly codename

# Per distribution: the release of LLVM behind the package "clang", and the Debian release that follows.
case $codename in
  bookworm) llvm=14 next_release=trixie ;; # Debian 12
  trixie) llvm=19 next_release="" ;;       # Debian 13, untested
  noble) llvm=18 next_release="" ;;        # Ubuntu 24.04, untested; most of this is in "universe"
  *) llvm="" next_release="" ;;
esac
readonly llvm next_release

readonly build_packages=(g++ cmake ninja-build pkg-config python3 dpkg-dev ca-certificates
  libfuse3-dev libssl-dev libcurl4-openssl-dev libspdlog-dev libfmt-dev libcli11-dev nlohmann-json3-dev
  libxxhash-dev libgtest-dev libbenchmark-dev)
# The demo's stand-in of the service runs real sshd processes of its own.
readonly demo_packages=(fuse3 openssh-client openssh-server openssh-sftp-server libnss-wrapper)
test_packages=(git rsync tar fio sqlite3 vim ed zip unzip)
# npm comes with Node.js from many sources, and Debian's package does not go with the others'.
command -v npm >/dev/null || test_packages+=(npm)
readonly test_packages
readonly bench_packages=(git rsync fio sshfs rclone)
readonly check_packages=(clang clang-format clang-tidy ${llvm:+"libclang-rt-$llvm-dev"} shellcheck ccache)

# Prints the packages of "$@" that are not installed. Asks dpkg each time: a note of our own could be wrong.
missing_packages() {
  local installed
  # dpkg-query also fails when it only does not know one of the names.
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
  local package
  for package in "$@"; do
    grep -qxF "installed $package" <<<"$installed" || printf '%s\n' "$package"
  done
}

at_least() { dpkg --compare-versions "$1" ge "$2"; }

# What identifies the patches: their content.
patches_version() { cat "$patches"/*.patch | sha256sum | cut -d ' ' -f 1; }

# A libssh2 that was put into build/deps by hand, where this script cannot build one, counts as it is.
stamp_is_right() {
  [[ -z $next_release ]] || { [[ -f $stamp ]] && [[ $(cut -d ' ' -f 1 "$stamp") == "$(patches_version)" ]]; }
}

# True when build/deps or the distribution's package already offers a libssh2 that is new enough.
libssh2_is_there() {
  local header=$deps/include/libssh2.h version
  if [[ -f $deps/lib/libssh2.a && -f $deps/lib/cmake/libssh2/libssh2-config.cmake && -f $header ]] && stamp_is_right; then
    version=$(sed -n 's/^#define LIBSSH2_VERSION *"\([0-9.]*\).*/\1/p' "$header")
    if [[ -n $version ]] && at_least "$version" "$libssh2_minimum"; then
      return 0
    fi
  fi
  [[ -z $(missing_packages libssh2-1-dev) ]] &&
    at_least "$(dpkg-query -W -f '${Version}\n' libssh2-1-dev | sed -n 1p)" "$libssh2_minimum"
}

# --- packages ---------------------------------------------------------------------------------------------------------

as_root() {
  if [[ $EUID -eq 0 ]]; then
    "$@"
  else
    sudo -- "$@"
  fi
}

# Never asks questions, waits for another apt to end, and lets Ubuntu's needrestart leave running services alone.
apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -q -y -o DPkg::Lock::Timeout=300 \
    -o Acquire::Retries=2 "$@" </dev/null >&2
}

lists_refreshed=
refresh_lists() {
  [[ -z $lists_refreshed ]] || return 0
  # A failure may come from a source of the machine's owner that is of no interest here: the installation will tell.
  apt_get update || { sleep 3 && apt_get update; } || say "apt-get update reported errors (above); going on without"
  lists_refreshed=yes
}

# sshd is needed as a program, not as a service of this machine. Installing Debian's package would start it and enable
# it at boot; where it was not installed before, it stays stopped and disabled.
policy_file=
keep_sshd_stopped() {
  local policy=/usr/sbin/policy-rc.d
  [[ ! -e $policy ]] || return 0 # the machine's owner has a policy already
  policy_file=$policy
  as_root tee "$policy" >/dev/null <<'POLICY'
#!/bin/sh
# Put here by bt-mount's setup.sh while it installs openssh-server; it is removed right after.
case " $* " in *" ssh "* | *" ssh.service "* | *" ssh.socket "*) exit 101 ;; esac
exit 0
POLICY
  as_root chmod 755 "$policy"
}

leave_sshd_disabled() {
  if [[ -n $policy_file ]]; then
    as_root rm -f "$policy_file"
    policy_file=
  fi
  # Without systemd nothing starts it either.
  if ! command -v systemctl >/dev/null || [[ -n $(missing_packages openssh-server) ]]; then
    return 0
  fi
  local unit
  for unit in ssh.socket ssh.service; do # Ubuntu has the socket, Debian the service
    if [[ -d /run/systemd/system ]]; then
      as_root systemctl stop "$unit" >/dev/null 2>&1 || true
    fi
    as_root systemctl disable "$unit" >/dev/null 2>&1 || true
  done
  say "openssh-server is only there for the demo and the tests: its service was not started, and is disabled" \
    "(\"systemctl enable --now ssh\" if you want it)"
}

install_packages() {
  say "installing with apt-get$([[ $EUID -eq 0 ]] || printf ' and sudo'): $*"
  refresh_lists
  local with_sshd=
  if [[ " $* " == *" openssh-server "* ]]; then
    with_sshd=yes
    trap leave_sshd_disabled EXIT
    keep_sshd_stopped
  fi
  apt_get install --no-install-recommends "$@" || {
    say "apt-get failed; once more"
    sleep 3
    apt_get install --no-install-recommends "$@"
  } || die "apt-get could not install the packages; its lines above say why. Mend that (on Ubuntu: is \"universe\"" \
    "enabled?) and run ./scripts/setup.sh again"
  if [[ -n $with_sshd ]]; then
    trap - EXIT
    leave_sshd_disabled
  fi
}

# --- libssh2 ----------------------------------------------------------------------------------------------------------

# Prints the addresses of this machine's Debian mirror as "deb-src" lines for the next release: for "$@", the suites.
# apt knows the address of each, whatever form the sources have; without downloaded lists it only knows names.
# shellcheck disable=SC2016 # $(REPO_URI) is apt's to expand
next_release_sources() {
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg suite address
  for suite in "$@"; do
    address=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $codename$suite" |
      sed -n 1p)
    if [[ -z $address ]]; then
      address=$(apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
        sed -n "s/ $codename$suite\$//p" | sed -n 1p)
    fi
    if [[ -n $address ]]; then
      printf 'deb-src %s%s %s main\n' "$([[ -f $keyring ]] && printf '[signed-by=%s] ' "$keyring")" "$address" \
        "$next_release$suite"
    fi
  done
}

# Downloads and unpacks the next release's source package into $1/source. apt verifies it by the archive's key. All of
# apt's state is kept in $1, so neither root nor a change to the machine's sources is needed.
fetch_libssh2() {
  local work=$1
  mkdir -p "$work"/{lists,cache/archives}/partial "$work/source"
  cat >"$work/apt.conf" <<CONF
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$work/lists";
Dir::Cache "$work/cache";
Acquire::Languages "none";
Acquire::Retries "2";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
CONF
  if [[ $EUID -eq 0 ]]; then
    # apt's own user cannot write into this work tree; say so here instead of with a warning for each file.
    printf 'APT::Sandbox::User "root";\n' >>"$work/apt.conf"
  fi
  # With the security suite, or without where the mirror does not carry it.
  local suites
  for suites in "-security" ""; do
    next_release_sources "" ${suites:+"$suites"} >"$work/sources.list"
    [[ -s $work/sources.list ]] || continue
    if apt-get -c "$work/apt.conf" -q --error-on=any update &&
      (cd "$work/source" && apt-get -c "$work/apt.conf" -q source --only-source libssh2); then
      return 0
    fi
  done
  return 1
}

# Makes $1/patched of the source package in $1/source, with our patches, or without them where one does not apply: a
# slower libssh2 is better than none. Every line of a patch must be found as it is, since these change how a cipher is
# used. Leaves what the stamp says in $1/stamp.
patch_libssh2() {
  local work=$1 source patch
  source=$(find "$work/source" -mindepth 1 -maxdepth 1 -type d -name 'libssh2-*') && [[ -n $source ]] || return 1
  cp -r "$source" "$work/patched" || return 1
  patches_version >"$work/stamp"
  for patch in "$patches"/*.patch; do
    if ! patch -d "$work/patched" -p1 --forward --batch --fuzz=0 <"$patch"; then
      printf '%s not-applied %s %s\n' "$(patches_version)" "${patch##*/}" "${source##*/}" >"$work/stamp"
      rm -rf "$work/patched" && cp -r "$source" "$work/patched"
      return
    fi
  done
}

# Says so when build/deps has a libssh2 that a patch did not fit.
warn_of_unpatched() {
  local version word patch source
  [[ -f $stamp ]] && read -r version word patch source <"$stamp" && [[ $word == not-applied ]] || return 0
  say "scripts/libssh2/$patch does not apply to Debian's $source any more (patches ${version:0:8}). libssh2 was built" \
    "without our patches: everything works, at two to four times the CPU time for encryption. scripts/libssh2/README.md" \
    "says how to renew them"
}

# Static and position independent, with Debian's hardening flags: it reads what strangers send.
compile_libssh2() {
  local work=$1
  rm -f "$stamp" &&
    CFLAGS="$(dpkg-buildflags --get CFLAGS) $(dpkg-buildflags --get CPPFLAGS)" \
      cmake -S "$work/patched" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
      -DCMAKE_INSTALL_PREFIX="$deps" -DCMAKE_INSTALL_LIBDIR=lib -DBUILD_SHARED_LIBS=OFF -DBUILD_STATIC_LIBS=ON \
      -DBUILD_EXAMPLES=OFF -DBUILD_TESTING=OFF -DCRYPTO_BACKEND=OpenSSL -DENABLE_ZLIB_COMPRESSION=OFF &&
    cmake --build "$work/build" && cmake --install "$work/build" && cp "$work/stamp" "$stamp"
}

build_libssh2() {
  [[ -n $next_release ]] ||
    die "libssh2 $libssh2_minimum or newer is needed, and this distribution (${codename:-unknown}) has none. Build it" \
      "yourself (static, with OpenSSL) and install it to $deps"
  say "building libssh2 into $deps from the source package of Debian \"$next_release\" (half a minute)"
  mkdir -p "$root/build"
  local work
  work=$(mktemp -d "$root/build/libssh2.XXXXXX")
  # shellcheck disable=SC2064 # the path is known now, and not any more when the trap runs
  trap "rm -rf '$work'" EXIT
  if ! { fetch_libssh2 "$work" && patch_libssh2 "$work" && compile_libssh2 "$work"; } >"$work/log" 2>&1 </dev/null; then
    tail -n 25 "$work/log" >&2
    die "libssh2 could not be built; the lines above are the end of what was said. If the download failed, check that" \
      "this machine's Debian mirror can be reached, and run ./scripts/setup.sh again"
  fi
  rm -rf "$work"
  trap - EXIT
  libssh2_is_there || die "the libssh2 that was built is not $libssh2_minimum or newer"
  warn_of_unpatched
}

# For those who change a patch: the packets that a real server never sends, against the library's inside.
check_libssh2() {
  local work
  work=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  local -r sanitize=("-fsanitize=address,undefined" -fno-sanitize-recover=all)
  if ! { fetch_libssh2 "$work" && patch_libssh2 "$work" && [[ $(cat "$work/stamp") == "$(patches_version)" ]] &&
    CFLAGS="${sanitize[*]}" cmake -S "$work/patched" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug \
      -DBUILD_SHARED_LIBS=OFF -DBUILD_EXAMPLES=OFF -DBUILD_TESTING=OFF -DCRYPTO_BACKEND=OpenSSL &&
    cmake --build "$work/build" &&
    cc -g -O1 "${sanitize[@]}" -DHAVE_CONFIG_H -DLIBSSH2_OPENSSL -I"$work/patched/src" -I"$work/patched/include" \
      -I"$work/build/src" "$patches/packet_test.c" "$work/build/src/libssh2.a" -lssl -lcrypto \
      -o "$work/packet_test"; } >"$work/log" 2>&1 </dev/null; then
    tail -n 25 "$work/log" >&2
    die "libssh2 could not be built with our patches; the lines above are the end of what was said"
  fi
  "$work/packet_test" || die "libssh2 with our patches failed its test"
}

provide_libssh2() {
  local candidate
  candidate=$(apt-cache policy libssh2-1-dev | sed -n 's/^  Candidate: \([0-9].*\)/\1/p')
  if [[ -n $candidate ]] && at_least "$candidate" "$libssh2_minimum"; then
    install_packages libssh2-1-dev
  else
    build_libssh2
  fi
}

# --- main -------------------------------------------------------------------------------------------------------------

wanted=("${build_packages[@]}" "${demo_packages[@]}")
case ${1:-all} in
  run) ;;
  bench) wanted+=("${bench_packages[@]}") ;;
  check-libssh2)
    check_libssh2
    exit 0
    ;;
  all) wanted+=("${test_packages[@]}" "${bench_packages[@]}" "${check_packages[@]}") ;;
  *) die "unknown word \"$1\"; use it as: scripts/setup.sh [run|bench|check-libssh2]" ;;
esac

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  die "this system has no apt. Install the counterparts of these Debian packages and libssh2 >= $libssh2_minimum by hand," \
    "then build with \"cmake --workflow --preset release\": ${wanted[*]}"
fi

mapfile -t missing < <(missing_packages "${wanted[@]}")
if [[ ${#missing[@]} -eq 0 ]] && libssh2_is_there; then
  warn_of_unpatched
  echo "setup: everything is there already"
  exit 0
fi
if [[ ${#missing[@]} -gt 0 ]]; then
  if [[ $EUID -ne 0 ]] && ! command -v sudo >/dev/null; then
    die "packages are missing and there is no sudo. As root, run: apt-get install --no-install-recommends ${missing[*]}"
  fi
  [[ -n $llvm ]] || say "this distribution (${codename:-unknown}) is not one that is known here; trying anyway"
  install_packages "${missing[@]}"
fi
libssh2_is_there || provide_libssh2
echo "setup: done"
