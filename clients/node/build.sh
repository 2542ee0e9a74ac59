#!/bin/sh
# Builds dist/ with the compiler of package-lock.json, which is fetched once.
set -eu
cd "$(dirname "$0")"
if ! cmp -s package-lock.json node_modules/.locked; then
  npm ci --ignore-scripts --no-audit --no-fund
  cp package-lock.json node_modules/.locked
fi
rm -rf dist
npm run --silent build
