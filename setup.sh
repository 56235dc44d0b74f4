#!/bin/sh
# Brings what the project needs: Python packages in .venv, and the LDC compiler for D; with the word "browser", Chromium for the tests of pages.
# Does nothing where they are there, and says what it does.
set -eu
cd "$(dirname "$0")"

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else return 1
    fi
}

install_package() { # by the name that Debian uses; the other distributions call the compiler the same
    if command -v apt-get >/dev/null; then as_root apt-get update -q && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy "$1"
    elif command -v dnf >/dev/null; then as_root dnf install -qy "$1"
    elif command -v pacman >/dev/null; then as_root pacman -S --noconfirm "$1"
    elif command -v zypper >/dev/null; then as_root zypper -n install "$1"
    elif command -v apk >/dev/null; then as_root apk add "$1"
    elif command -v brew >/dev/null; then brew install "$1"
    else return 1
    fi
}

installed() { # a package, saying so; of the package manager's words only the errors
    echo "setup: installing the system's package $1 (about a minute)"
    install_package "$1" >/dev/null
}

if ! command -v ldc2 >/dev/null && ! installed ldc; then
    echo "error: no D compiler (ldc2) was found and it could not be installed; as root install your system's package 'ldc', or unpack a release of LDC (github.com/ldc-developers/ldc) and put its bin folder on the PATH." >&2
    exit 2
fi

python="${PYTHON:-python3}"
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "error: Python 3.11 or newer is needed, found $("$python" --version 2>&1 || echo none); install it and say which: make PYTHON=python3.12 demo" >&2
    exit 2
fi

if ! cmp -s requirements.txt .venv/installed.txt; then
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null && ! installed python3-venv; then
        echo "error: Python's venv module is missing and could not be installed; as root install your system's package 'python3-venv'." >&2
        exit 2
    fi
    echo "setup: making .venv with the packages of requirements.txt; that takes some minutes, and 1 to 6 GB of disk (PyTorch is most of it)"
    "$python" -m venv .venv
    # The exit status of pip goes through a file, since that of a pipe is its last command's.
    { .venv/bin/python -m pip install --disable-pip-version-check --no-input --root-user-action=ignore --progress-bar off -r requirements.txt \
        || touch .venv/failed; } | sed -un 's/^Collecting \([^ ]*\).*/setup: fetching \1/p; s/^Installing collected packages.*/setup: unpacking/p'
    if [ -e .venv/failed ]; then
        rm .venv/failed
        echo "error: pip could not install requirements.txt, for the reason above; mend that and give the same command again." >&2
        exit 2
    fi
    cp requirements.txt .venv/installed.txt
fi

if [ "${1:-}" = browser ] && ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null && ! installed chromium; then
    echo "setup: Chromium could not be installed, so the tests of pages in a browser will be skipped; your system's package 'chromium' is what they need."
fi

if [ "${1:-}" = slurm ] && ! PATH="$PATH:/usr/sbin" command -v slurmctld >/dev/null && ! installed slurm-wlm; then
    echo "setup: SLURM could not be installed, so its tests will be skipped; your system's package 'slurm-wlm' is what they need."
fi
