# What the scripts in this folder share; each sources it from the root of the project.

say() { printf '%s\n' "-- $*" >&2; }

# Runs a program with a time limit, because a registry or somebody else's program may never answer: within TIME PROGRAM…
within() {
    local foreground=()
    # At a terminal, Ctrl-C must reach it.
    [ ! -t 0 ] || foreground=(--foreground)
    timeout "${foreground[@]}" --kill-after=30s "$@" || {
        local status=$?
        case $status in 124 | 137) say "not done within $1: ${*:2}" ;; esac
        return $status
    }
}

# Installs Debian packages.
install_packages() {
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    within 20m "${as_root[@]}" apt-get update -qq >&2
    within 20m "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" > /dev/null
}

# Puts a tool of cargo's on the path, as a binary from PyPI, because building one takes minutes: cargo_tool NAME VERSION
cargo_tool() {
    local tool=astral-dev-toolchain-$1==$2 folder=$PWD/target/cargo-tools/$1-$2
    if ! [ -x "$folder/bin/$1" ]; then
        say "install $tool"
        python3 -m venv "$folder"
        within 20m "$folder/bin/pip" install --quiet --disable-pip-version-check "$tool" >&2
    fi
    PATH=$folder/bin:$PATH
}

# Lets cargo-llvm-cov use Debian's LLVM tools, which read what rustc writes. The tests start thousands of processes: one
# after the other, those of a program add to the same few files.
prepare_coverage() {
    command -v llvm-cov-19 > /dev/null || install_packages llvm-19
    cargo_tool cargo-llvm-cov 0.9.1
    export LLVM_COV=llvm-cov-19 LLVM_PROFDATA=llvm-profdata-19 LLVM_PROFILE_FILE_NAME=memgate-%4m.profraw
}

# Fails below 90 % of what is tested, not of what tests: `src/domain/testing` holds fakes and suites of cases.
report_coverage() {
    cargo llvm-cov report --fail-under-lines 90 --ignore-filename-regex '/(fuzz|examples|tests|target|src/domain/testing)/' "$@"
}

# Fails unless Node.js is as new as the packages need.
require_node() {
    node --eval 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)' 2> /dev/null && return
    echo "this needs Node.js 20 or later, and npm" >&2
    exit 1
}

# An environment of the system's Python with what a file of requirements names: python_packages FOLDER REQUIREMENTS
python_packages() {
    local folder=$1 requirements=$2
    cmp --quiet "$requirements" "$folder/.installed" && return
    say "install what $requirements names"
    # The system's Python: the SQLite of others may not load extensions.
    /usr/bin/python3 -c 'import ensurepip, venv' 2> /dev/null || install_packages python3-venv
    rm -rf "$folder"
    /usr/bin/python3 -m venv "$folder"
    within 20m "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2
    cp "$requirements" "$folder/.installed"
}

# The packages that a package.json names, in node_modules of a folder: npm_packages FOLDER PACKAGE_JSON [OPTION…]
npm_packages() {
    local folder=$1 package=$2
    shift 2
    mkdir -p "$folder"
    cmp --quiet "$package" "$folder/node_modules/.installed" && return
    say "install what $package names"
    cp "$package" "$folder/package.json"
    (cd "$folder" && within 20m npm install --no-package-lock --no-audit --no-fund --silent "$@" >&2)
    cp "$package" "$folder/node_modules/.installed"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A member of the JSON object on standard input.
member() {
    python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# Lets memgate use a new database in the folder $folder and a free port, at $url.
prepare_memgate() {
    memgate=$PWD/target/debug/memgate
    folder=$(mktemp -d)
    started=()
    trap stop EXIT
    local port
    port=$(free_port)
    url=http://127.0.0.1:$port
    export MEMGATE_LISTEN=127.0.0.1:$port MEMGATE_ADMIN_LISTEN=off MEMGATE_BCRYPT_COST=4 MEMGATE_RATE_LIMIT=1000000
    export MEMGATE_DATABASE_URL="sqlite://$folder/memgate.db?mode=rwc" MEMGATE_LOG=warn MEMGATE_DRAIN=0s
}

# Ends every process in `started`, and removes the folder.
stop() {
    local process
    for process in "${started[@]}"; do
        kill "$process" 2> /dev/null || true
        timeout 60s tail --pid="$process" --follow /dev/null || kill -KILL "$process" 2> /dev/null || true
        wait "$process" 2> /dev/null || true
    done
    rm -rf "$folder"
}

# Starts memgate, or the command that is given, and waits until it serves.
start_memgate() {
    local serve=("$memgate" serve)
    [ $# -eq 0 ] || serve=("$@")
    "${serve[@]}" > "$folder/log" 2>&1 &
    started+=($!)
    for _ in $(seq 100); do
        curl --silent --fail --max-time 5 --output /dev/null "$url/health/ready" && return
        kill -0 "${started[-1]}" || break
        sleep 0.2
    done
    cat "$folder/log"
    exit 1
}
