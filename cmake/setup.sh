# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the scripts that source this
# What ./quickstart and ./check share: packages, configuring, building, messages. To be sourced, from the root of the
# checkout.
#
# Nothing here asks for a password by itself: packages are installed as root or with --install (which uses sudo);
# otherwise the one line to type is printed.

ovid_build_packages=(g++ cmake ninja-build pkg-config libyaml-cpp-dev libcli11-dev libspdlog-dev libfmt-dev
  nlohmann-json3-dev libsimdjson-dev libhwy-dev libarchive-dev liblzma-dev libzstd-dev libxxhash-dev)
ovid_test_packages=(catch2 librapidcheck-dev xz-utils)
ovid_fuzz_packages=(clang-14 libclang-rt-14-dev)
ovid_corpus_packages=(bible-kjv bible-kjv-text)
# Each of these only makes something faster or adds something.
ovid_optional_packages=(ccache libdnnl-dev libopenblas-openmp-dev libbenchmark-dev libopenmpi-dev openmpi-bin)

ovid_log=build/setup.log
ovid_install=${OVID_INSTALL:-auto} # auto: as root only; yes; no

say() { printf '%s: %s\n' "$ovid_script" "$*" >&2; }

# fail CODE MESSAGE...: exit codes are those of the programs (README.md).
fail() {
  local code=$1
  shift
  printf 'error: %s\n' "$*" >&2
  exit "$code"
}

# Appends to the log, for ./check calls ./quickstart; starts anew where it has grown long.
ovid_start_log() {
  if [[ $({ wc -c <"$ovid_log"; } 2>/dev/null || printf 0) -gt 10000000 ]]; then rm -f "$ovid_log"; fi
  if ! { mkdir -p build && date -u +"== %F %T UTC, $ovid_script" >>"$ovid_log"; } 2>/dev/null; then
    fail 6 "cannot write $PWD/$ovid_log; make the checkout writable, or copy it to a place that is"
  fi
}

# The given packages that are not installed, each followed by a space.
ovid_lacking() {
  local package
  for package in "$@"; do
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || printf '%s ' "$package"
  done
}

# ovid_apt PACKAGE...: installs, with everything that it says in the log.
ovid_apt() {
  "${ovid_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "$@" >>"$ovid_log" 2>&1 </dev/null
}

# ovid_try_packages PACKAGE...: installs what is missing of them where this script may install at all; whether they are
# there afterwards is for the caller to see.
ovid_try_packages() {
  command -v dpkg-query >/dev/null || return 0
  local missing
  missing=$(ovid_lacking "$@")
  if [[ -z $missing || $ovid_install == no || ($ovid_install == auto && $EUID -ne 0) ]]; then return 0; fi
  ovid_root=()
  if [[ $EUID -ne 0 ]]; then
    command -v sudo >/dev/null || return 0
    ovid_root=(sudo)
  fi
  say "installing ${missing% } (log: $ovid_log)"
  # shellcheck disable=SC2086 # one word a package
  ovid_apt $missing || say "could not install ${missing% }; the log is $ovid_log"
}

# ovid_require_packages PACKAGE...: all of them are installed afterwards, or the script ends with code 6. The optional
# ones are tried, and may be absent.
ovid_require_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "no dpkg here: what this system needs is listed in docs/install.md; going on with what is installed"
    return
  fi
  local needed optional
  needed=$(ovid_lacking "$@")
  optional=$(ovid_lacking "${ovid_optional_packages[@]}")
  [[ -n $needed$optional ]] || return 0

  ovid_root=()
  local may_install=$ovid_install
  if [[ $EUID -ne 0 ]]; then
    if [[ $may_install == auto ]] || ! command -v sudo >/dev/null; then may_install=no; else ovid_root=(sudo); fi
  fi
  if [[ $may_install == no ]]; then
    if [[ -n $needed ]]; then
      local by=sudo
      command -v sudo >/dev/null || by="(as root)"
      fail 6 "these packages are missing: ${needed% }. Install them with
  $by apt-get install -y --no-install-recommends $needed$optional
or let this script do it: ./$ovid_script --install"
    fi
    say "going on without the optional packages ${optional% } (slower matrix products or builds)"
    return
  fi

  say "installing ${needed}${optional% } (log: $ovid_log)"
  "${ovid_root[@]}" apt-get update -q >>"$ovid_log" 2>&1 </dev/null ||
    say "apt-get update failed; using the package lists at hand"
  local package
  if [[ -n $needed ]]; then
    # shellcheck disable=SC2086 # one word a package
    ovid_apt $needed || {
      tail -n 5 "$ovid_log" >&2
      fail 6 "could not install ${needed% }; the log is $ovid_log"
    }
  fi
  for package in $optional; do
    ovid_apt "$package" || say "going on without the optional package $package"
  done
}

# Compiler jobs at once: the cores, but no more than one for each 1.5 GB of free memory.
ovid_jobs() {
  if [[ -n ${OVID_JOBS:-} ]]; then
    printf '%s' "$OVID_JOBS"
    return
  fi
  local by_memory
  by_memory=$(awk '/^MemAvailable:/ { print int($2 / 1572864) }' /proc/meminfo 2>/dev/null || printf 64)
  local cores
  cores=$(nproc)
  ((by_memory >= 1)) || by_memory=1
  printf '%s' $((cores < by_memory ? cores : by_memory))
}

# Shows ninja's "[3/120]" as one line that is rewritten on a terminal, and swallows the rest (it is in the log).
ovid_show_build() {
  if [[ ! -t 2 ]]; then
    cat >/dev/null
    return
  fi
  awk '/^\[[0-9]+\/[0-9]+\]/ { printf "\r\033[K  %s", substr($0, 1, 70) > "/dev/stderr"; fflush() }
       END { printf "\r\033[K" > "/dev/stderr" }'
}

# ovid_build PRESET "CMAKE OPTIONS" TARGET...: configures and builds (all targets where none is named). On failure
# prints the first errors and returns 1.
ovid_build() {
  local preset=$1 options=$2 begin
  shift 2
  local targets=()
  if (($# > 0)); then targets=(--target "$@"); fi
  begin=$(($(wc -l <"$ovid_log") + 1))
  # shellcheck disable=SC2086 # one word an option
  if ! cmake --preset "$preset" $options >>"$ovid_log" 2>&1; then
    ovid_show_errors "$begin" 'CMake Error' 12
    printf 'error: configuring the %s build failed; the log is %s\n' "$preset" "$ovid_log" >&2
    return 1
  fi
  local status=0
  cmake --build --preset "$preset" -j "$(ovid_jobs)" "${targets[@]}" 2>&1 | tee -a "$ovid_log" | ovid_show_build ||
    status=1
  if ((status != 0)); then
    ovid_show_errors "$begin" 'error:|FAILED:|undefined reference|Killed' 0
    printf 'error: the %s build failed; the log is %s. Where the compiler was killed, set OVID_JOBS=1\n' \
      "$preset" "$ovid_log" >&2
  fi
  return "$status"
}

# ovid_show_errors BEGIN PATTERN AFTER: the first lines of the log, from line BEGIN on, that match, and AFTER more
# behind each; its end where none does.
ovid_show_errors() {
  local lines
  lines=$(tail -n +"$1" "$ovid_log" | grep -E -A "$3" -- "$2" | head -n 15 || true)
  if [[ -z $lines ]]; then lines=$(tail -n 15 "$ovid_log"); fi
  printf '%s\n' "$lines" >&2
}

# The value of a number in a line of JSON: ovid_json_number KEY <<<"$line". Nothing where it is not there.
ovid_json_number() {
  sed -n 's/.*"'"$1"'" *: *\(-\{0,1\}[0-9][0-9.eE+-]*\).*/\1/p' | head -n 1
}
