#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Run lint before every commit in this clone.
set -eu
hook=$(git rev-parse --git-path hooks/pre-commit)
if [ -e "$hook" ] && ! grep -q scripts/lint/lint.py "$hook"; then
    echo "error: $hook exists and is not ours; add 'scripts/lint/lint.py' to it yourself." >&2
    exit 1
fi
mkdir -p "$(dirname "$hook")"
printf '#!/bin/sh\n# Installed by make lint-hook; skip once with git commit -n.\nexec "$(git rev-parse --show-toplevel)"/scripts/lint/lint.py > /dev/null || {\n    echo "lint found something; see make lint"; exit 1; }\n' > "$hook"
sed -i 's|^exec \(.*\) > /dev/null|\1 > /dev/null|' "$hook"
chmod +x "$hook"
echo "lint now runs before every commit here"
