# SPDX-License-Identifier: GPL-2.0-or-later
# Prints a Makefile's '## Group' lines and 'target: ## text' lines.
/^## / { printf "%s%s\n", (groups++ ? "\n" : ""), substr($0, 4) }
/^[a-z-]+:.*## / {
    split($0, part, /:|## /)
    printf "  make %-18s %s\n", part[1], substr($0, index($0, "## ") + 3)
}
