#!/bin/sh
# The web page in a real browser. Installs nothing; says which Debian package is missing.
#
# SLIPWAY_TEST_PICTURES=DIR also writes a picture of every page into DIR.
set -eu
if ! command -v chromium >/dev/null; then
    echo "browser test: chromium is missing; install the Debian package: apt-get install chromium" >&2
    exit 1
fi
cd "$(dirname "$0")/../../.."
SLIPWAY_TEST_BROWSER=1 exec cargo test --package update-server --test page_browser -- --test-threads=1
