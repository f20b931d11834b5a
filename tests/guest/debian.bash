# Sourced by build-kernel and make-root: packages of a newer Debian, fetched with this machine's apt
# into a private place. Nothing is installed, and root is not needed. The sourcing script sets $name
# (for messages) and $suite.

keyrings=(/usr/share/keyrings/debian-archive-keyring.{pgp,gpg})

fail() {
    echo "$name: $*" >&2
    exit 1
}

# needs TOOL...: fail unless all of them are there
needs() {
    local tool
    for tool; do
        command -v "$tool" >/dev/null || fail "needs $tool, which Debian has"
    done
}

# The folder that keeps what is costly to make; root's home is closed to other users.
cache_folder() {
    if [[ ${WAYSHOT_TEST_CACHE:-} ]]; then
        realpath -m "$WAYSHOT_TEST_CACHE"
    elif ((EUID)); then
        realpath -m "${XDG_CACHE_HOME:-$HOME/.cache}/wayshot-tests"
    else
        echo /var/cache/wayshot-tests
    fi
}

# hash_of FILE...: twelve digits that differ when a recipe does
hash_of() { cat "$@" | sha256sum | cut -c 1-12; }

# lock NAME: wait for whoever makes the same thing, until this process ends
lock() {
    mkdir -p "$cache" || fail "cannot write into $cache; WAYSHOT_TEST_CACHE may name another folder"
    exec {lock}>"$cache/$1.lock"
    flock "$lock"
}

# open_apt FOLDER: give apt a state of its own there, with the mirror and the keys of this machine
open_apt() {
    local mirror keyring='' found
    apt_folder=$1
    # shellcheck disable=SC2016 # apt's own kind of $(...)
    mirror=$(apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' 'Label: Debian' 'Component: main' 2>/dev/null | sed -n 1p) || true
    [[ $mirror ]] || fail "apt knows no Debian mirror here (has apt-get update been run?)"
    for found in "${keyrings[@]}"; do
        [[ ! -r $found ]] || keyring=$found
    done
    [[ $keyring ]] || fail "Debian's keys are missing here: apt-get install debian-archive-keyring"

    mkdir -p "$apt_folder"/{lists,archives}/partial
    touch "$apt_folder/status"
    echo "deb [arch=amd64 signed-by=$keyring] $mirror $suite main" >"$apt_folder/sources.list"
    cat >"$apt_folder/apt.conf" <<-END
	APT::Architecture "amd64";
	Dir::State "$apt_folder";
	Dir::State::status "$apt_folder/status";
	Dir::Cache "$apt_folder";
	Dir::Etc::sourcelist "$apt_folder/sources.list";
	Dir::Etc::sourceparts "/dev/null";
	Dir::Etc::preferences "/dev/null";
	Dir::Etc::preferencesparts "/dev/null";
	Acquire::Languages "none";
	APT::Default-Release "";
	APT::Install-Recommends "false";
	#clear APT::Update::Post-Invoke;
	#clear APT::Update::Post-Invoke-Success;
	END
    private_apt update --error-on=any
}

# private_apt WORD...: run apt-get in the opened state; it says nothing unless it fails
private_apt() {
    local log
    log=$(apt-get -c "$apt_folder/apt.conf" -y "$@" 2>&1) ||
        fail "apt-get $1 failed for Debian $suite:" \
            "$(grep -m 1 -A 1 -E '^(Err|E:)' <<<"$log" | tr -s '\n ' ' ')"
}
