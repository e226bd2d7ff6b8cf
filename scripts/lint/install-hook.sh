#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Run lint before every commit in this clone, and look at its message.
set -eu

# install NAME COMMAND: a hook that runs it; one that is not ours stays.
install() {
    local hook
    hook=$(git rev-parse --git-path "hooks/$1")
    if [ -e "$hook" ] && ! grep -q scripts/lint/ "$hook"; then
        echo "error: $hook exists and is not ours; add '$2' to it yourself." >&2
        exit 1
    fi
    mkdir -p "$(dirname "$hook")"
    printf '#!/bin/sh\n# Installed by make lint-hook; skip once with git commit -n.\n%s\n' \
        "$2" > "$hook"
    chmod +x "$hook"
}

install pre-commit '"$(git rev-parse --show-toplevel)"/scripts/lint/lint.py > /dev/null || {
    echo "lint found something; see make lint"; exit 1; }'
install commit-msg 'exec "$(git rev-parse --show-toplevel)"/scripts/lint/message.py "$1"'
echo "lint now runs before every commit here, and looks at its message"
