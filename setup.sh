#!/bin/sh
# Brings what the project needs: Python packages in .venv, and the LDC compiler for D. Does nothing where both are there.
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

if ! command -v ldc2 >/dev/null && ! install_package ldc; then
    echo "error: no D compiler (ldc2) was found and it could not be installed; as root install your system's package 'ldc', or unpack a release of LDC (github.com/ldc-developers/ldc) and put its bin folder on the PATH." >&2
    exit 2
fi

python="${PYTHON:-python3}"
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "error: Python 3.11 or newer is needed, found $("$python" --version 2>&1 || echo none); install it and say which: make PYTHON=python3.12 demo" >&2
    exit 2
fi

if ! cmp -s requirements.txt .venv/installed.txt; then
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null && ! install_package python3-venv; then
        echo "error: Python's venv module is missing and could not be installed; as root install your system's package 'python3-venv'." >&2
        exit 2
    fi
    "$python" -m venv .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check -r requirements.txt
    cp requirements.txt .venv/installed.txt
fi
