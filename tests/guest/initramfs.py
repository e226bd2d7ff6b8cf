#!/usr/bin/python3
# Pack the test guest's initramfs: programs and drivers; no root needed.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Usage: initramfs.py OUTPUT MODULE-TREE INIT BUSYBOX PROGRAM... -- MODULE...

A PROGRAM is a file, or PATH=FILE to put it below another folder than the root.
"""

import gzip
import lzma
import os
import sys


def newc(entries):
    """The cpio format 'newc' (Linux: driver-api/early-userspace/buffer-format)."""
    out = bytearray()

    def add(inode, name, mode, data=b'', rdev=(0, 0)):
        fields = [inode, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev,
                  len(name) + 1, 0]
        out.extend(b'070701' + b''.join(b'%08x' % f for f in fields))
        out.extend(name.encode() + b'\0')
        out.extend(bytes(-len(out) % 4))
        out.extend(data)
        out.extend(bytes(-len(out) % 4))

    for inode, entry in enumerate(entries, 1):
        add(inode, *entry)
    add(0, 'TRAILER!!!', 0)
    return bytes(out)


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def module_image(path):
    data = read(path)
    return lzma.decompress(data) if path.endswith('.xz') else data


def module_paths(tree):
    """Module name -> file; names have underscores, files may have dashes."""
    found = {}
    for folder, _, files in os.walk(tree):
        for name in files:
            stem, dot, ending = name.partition('.ko')
            if dot and ending in ('', '.xz'):
                found[stem.replace('-', '_')] = os.path.join(folder, name)
    return found


def load_order(wanted, paths):
    """@wanted and all they depend on, dependencies first."""
    order = []

    def visit(name):
        if name in order or name not in paths:
            return                      # absent: built into the kernel
        image = module_image(paths[name])
        start = image.index(b'\0depends=') + len(b'\0depends=')
        depends = image[start:image.index(b'\0', start)].decode()
        for other in filter(None, depends.split(',')):
            visit(other.replace('-', '_'))
        order.append(name)

    for name in wanted:
        visit(name.replace('-', '_'))
    return order


def folders(paths, *wanted):
    """@wanted and those that @paths are in, parents first."""
    found = set(wanted)
    for path in map(os.path.dirname, paths):
        while path:
            found.add(path)
            path = os.path.dirname(path)
    return sorted(found)


def main(output, tree, init, busybox, *rest):
    split = rest.index('--')
    paths = module_paths(tree)
    order = load_order(rest[split + 1:], paths)
    programs = dict((word if '=' in word else
                     f'{os.path.basename(word)}={word}').split('=', 1)
                    for word in rest[:split])
    entries = [(d, 0o040755) for d in
               folders(programs, 'bin', 'dev', 'proc', 'sys', 'modules', 'mnt',
                       'tmp')]
    entries.append(('dev/console', 0o020600, b'', (5, 1)))
    entries.append(('bin/busybox', 0o100755, read(busybox)))
    entries.append(('init', 0o100755, read(init)))
    for path, program in programs.items():
        entries.append((path, 0o100755, read(program)))
    for name in order:
        entries.append((f'modules/{name}.ko', 0o100644,
                        module_image(paths[name])))
    names = ''.join(f'{name}.ko\n' for name in order)
    entries.append(('modules/order', 0o100644, names.encode()))

    temporary = output + '.new'
    with open(temporary, 'wb') as f:
        f.write(gzip.compress(newc(entries), 6, mtime=0))
    os.replace(temporary, output)


if __name__ == '__main__':
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
