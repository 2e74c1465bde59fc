# shellcheck shell=bash
# The distribution's packages that Lethe needs, and how they get onto the machine. Sourced by ./lethe.
# The names are the same in Debian 12 and Ubuntu 24.04; docs/building.md says what each is for.

# shellcheck disable=SC2034  # the lists are read by ./lethe
build_packages=(g++ cmake ninja-build pkgconf libopenblas-dev libfmt-dev libyaml-cpp-dev nlohmann-json3-dev
  libcli11-dev libsentencepiece-dev libpcre2-dev libicu-dev libutfcpp-dev zlib1g-dev liblzma-dev libzstd-dev
  libseccomp-dev libcurl4-openssl-dev libssl-dev libopenmpi-dev openmpi-bin)
# shellcheck disable=SC2034
study_packages=(python3 librsvg2-bin fonts-dejavu-core)
# shellcheck disable=SC2034
test_packages=(libgtest-dev)

missing_packages() { # prints those of its arguments that are not installed
  local package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) == ii* ]] || printf '%s\n' "$package"
  done
}

# Prints the prefix that makes apt-get work here ("", "sudo"), or fails where there is none.
apt_prefix() {
  if ((EUID == 0)); then
    printf ''
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 && -t 2 ]]; }; then
    printf 'sudo'
  else
    return 1
  fi
}

install_packages() { # installs what is missing of its arguments
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "this system has no apt; going on with what is installed. Needed, by their Debian names: $*"
    return 0
  fi
  local missing prefix command
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  command="apt-get install -y --no-install-recommends ${missing[*]}"
  say "these packages are needed and not installed: ${missing[*]}"
  if ! prefix=$(apt_prefix); then
    stop "they can only be installed by root. Run this as root, then the same command again:" \
      "    apt-get update && $command"
  fi
  say "installing them: ${prefix:+$prefix }$command"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0)
  [[ $prefix ]] && apt=(sudo "${apt[@]}")
  "${apt[@]}" update >&2 || say "not all package lists could be read; trying with those that are there"
  "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >&2 || stop \
    "apt-get could not install them; its own message is above. Is there a network? By hand, as root:" \
    "    apt-get update && $command"
}

# cuDNN's own header library for its graphs, which no distribution packs. Headers alone; every platform's wheel has
# the same ones, so one is pinned by its checksum.
frontend_wheel=nvidia_cudnn_frontend-1.18.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl
frontend_sha256=382ea063b92cbfd5b442cb75ff8422932d78276aecf139e46713ed1ad3d07af4

fetch_cudnn_frontend() { # ARGS: folder that gets include/; says so where it cannot, and the build goes on
  local folder=$1 work
  [[ ! -f $folder/include/cudnn_frontend.h ]] || return 0
  local without="building on without cuDNN: attention will run on Lethe's own, slower kernels"
  if ! python3 -m pip --version >/dev/null 2>&1 && ! (install_packages python3 python3-pip); then
    say "pip is needed to fetch cudnn-frontend and is not there; $without"
    return 0
  fi
  mkdir -p "${folder%/*}"
  work=$(mktemp -d "${folder%/*}/fetch.XXXXXX")
  say "fetching cudnn-frontend's headers ($frontend_wheel)"
  if ! python3 -m pip --disable-pip-version-check --quiet download --no-deps --no-cache-dir --dest "$work" \
    --only-binary=:all: --implementation cp --python-version 3.11 --abi cp311 --platform manylinux_2_28_x86_64 \
    nvidia-cudnn-frontend==1.18.0 >&2; then
    say "pip could not fetch it; its own message is above. $without"
  elif ! (cd "$work" && sha256sum --check --status <<<"$frontend_sha256  $frontend_wheel"); then
    say "what pip fetched is not $frontend_wheel with SHA-256 $frontend_sha256; $without"
  elif ! (cd "$work" && python3 -m zipfile -e "$frontend_wheel" wheel && mkdir -p "$folder" &&
    rm -rf "$folder/include" && mv wheel/include "$folder/include"); then
    say "$frontend_wheel could not be unpacked into $folder; $without"
  fi
  rm -rf "$work"
}
