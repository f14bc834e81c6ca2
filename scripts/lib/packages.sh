# shellcheck shell=bash
# The Debian packages that rundlet needs, in one place. Source this file; it has no effect by itself.

# To compile rundlet and its unit and kernel tests.
# shellcheck disable=SC2034  # read by the scripts that source this file
RUNDLET_BUILD_PACKAGES=(
  meson ninja-build pkg-config g++
  libseccomp-dev libcap-dev libmount-dev libarchive-dev libcereal-dev libgtest-dev libgmock-dev
  libfmt-dev libsqlite3-dev libcurl4-openssl-dev nlohmann-json3-dev libcli11-dev
  libtomlplusplus-dev nettle-dev libisal-dev libzstd-dev
  python3 python3-venv
)

# To make a Python image from Debian packages (scripts/python-image).
# shellcheck disable=SC2034
RUNDLET_IMAGE_PACKAGES=(mmdebstrap debian-archive-keyring python3 gzip)

# To run the functional tests and the linters, beyond the two lists above.
# shellcheck disable=SC2034
RUNDLET_TEST_PACKAGES=(
  clang-format shellcheck bubblewrap runc umoci skopeo zstd docker-registry apache2-utils openssl git strace
)

# To compile a Python for musl in the suite `index` (tests/support/musl_python).
# shellcheck disable=SC2034
RUNDLET_MUSL_PACKAGES=(musl-tools gcc make dpkg debian-archive-keyring)

# To boot an emulated host in the suite `emulated` (scripts/emulated-host).
# shellcheck disable=SC2034
RUNDLET_EMULATED_PACKAGES=(qemu-system-x86 busybox-static cpio e2fsprogs kmod xz-utils mmdebstrap debian-archive-keyring)

# For the suite `tidy`. Debian 12's own clang-tidy, 14, does not know all of our C++20.
# shellcheck disable=SC2034
RUNDLET_TIDY_PACKAGES=(clang-tidy-19)

# install_packages NAME...: installs the missing packages; calls apt only if one is missing.
install_packages() {
  local name missing=()
  for name in "$@"; do
    # shellcheck disable=SC2016  # a dpkg-query format, not a shell variable
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" != installed ]; then
      missing+=("$name")
    fi
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" -ne 0 ]; then
    echo "error: these Debian packages are missing: ${missing[*]}" >&2
    echo "hint: sudo apt-get install ${missing[*]}" >&2
    return 1
  fi
  echo "installing Debian packages: ${missing[*]}" >&2
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
  # The package lists may be absent or stale: update once, then try again.
  "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >&2 && return 0
  "${apt[@]}" update </dev/null >&2
  "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >&2
}
