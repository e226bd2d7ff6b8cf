# SPDX-License-Identifier: GPL-2.0-or-later
"""Folders that nobody but their user can change, and the files in them.

Whoever can write to the folder of the running clones says which processes
sev-clone ends and what it deletes; whoever can write to a template says what
QEMU is started with.  So both are opened here, and here only.

A folder is entered from the root, one component after the other, each by a
descriptor.  What it is reached through must belong to root or to us, and others
must not be able to rename anything in it.  The folder itself, and everything
below it, must be ours, must not be a link, and the folder must have mode 0700.
From then on it is used through its descriptor.  A path into it (QEMU and bind()
need one) stays true as well, because nobody else can change a part of it.
"""

import contextlib
import errno
import fcntl
import grp
import os
import pwd
import stat
from pathlib import Path

from sevclone import Trouble

LINKS_MAX = 40          # as the kernel
FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC
ENTER = os.O_PATH | os.O_DIRECTORY | FLAGS


def user(uid):
    """A user, for people."""
    with contextlib.suppress(KeyError):
        return f'user {pwd.getpwuid(uid).pw_name} ({uid})'
    return f'user {uid}'


def private_group(gid):
    """Whether a group has no member but us, as Debian's groups of users."""
    with contextlib.suppress(KeyError):
        me, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
        return (gid == me.pw_gid and group.gr_name == me.pw_name and
                set(group.gr_mem) <= {me.pw_name})
    return False


def changed_by_others(about):
    """Whether others can rename what is in a folder."""
    if about.st_mode & stat.S_ISVTX:
        return False
    return bool(about.st_mode & stat.S_IWOTH or
                about.st_mode & stat.S_IWGRP and
                not private_group(about.st_gid))


class Place:
    """A name for a folder, and the variable by which a user chooses another."""

    def __init__(self, path, variable):
        self.path, self.variable = Path(path), variable

    def no(self, path, why):
        said = f'{path} {why}; set {self.variable} to a folder of your own'
        return Trouble(said if path == self.path else
                       f'{said} instead of {self.path}')

    def check_way(self, path, fd):
        about = os.fstat(fd)
        if about.st_uid not in (0, os.geteuid()):
            raise self.no(path, f'belongs to {user(about.st_uid)}, who could '
                          'exchange what is in it')
        if changed_by_others(about):
            raise self.no(path, f'has mode {stat.S_IMODE(about.st_mode):04o}: '
                          'others could exchange what is in it')

    def check_end(self, path, fd):
        about = os.fstat(fd)
        mode = stat.S_IMODE(about.st_mode)
        if about.st_uid != os.geteuid():
            raise self.no(path, f'belongs to {user(about.st_uid)}, not to '
                          f'{user(os.geteuid())}')
        if mode & 0o022:
            raise self.no(path, f'has mode {mode:04o}: others may have put '
                          'files there. Remove what is not yours, then "chmod '
                          f'700 {path}"')
        if mode & 0o077:
            raise self.no(path, f'has mode {mode:04o}, open to others: "chmod '
                          f'700 {path}" closes it')

    def open(self, make=False):
        """The Folder; None when there is none.  @make: make what is missing."""
        try:
            return self._open(make)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not make:
                return None
            raise self.no(self.path, 'cannot be '
                          + ('made' if make else 'opened')
                          + f' ({error.strerror})') from error

    def _open(self, make):
        path = Path(os.path.abspath(self.path))
        if not path.name:
            raise self.no(path, 'is no folder of ours')
        with contextlib.closing(_Way(self)) as way:
            way.follow(path.parent, make)
            fd = way.enter(path.name, make)
        folder = Folder(fd, self.path)
        self.check_end(path, fd)
        return folder


class _Way:
    """Where a walk to a folder has got to."""

    def __init__(self, place):
        self.place, self.links = place, 0
        self.fd, self.path = os.open('/', ENTER), Path('/')

    def close(self):
        os.close(self.fd)

    def enter(self, name, make):
        """A descriptor of the last component, which is no link."""
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self.fd)
        if self._link(name):
            raise self.place.no(self.path / name, 'is a symbolic link')
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | FLAGS,
                       dir_fd=self.fd)

    def _link(self, name):
        """Where a symbolic link leads to, or None."""
        try:
            about = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            if not stat.S_ISLNK(about.st_mode):
                return None
            target = os.readlink(name, dir_fd=self.fd)
        except FileNotFoundError:
            return None
        if about.st_uid not in (0, os.geteuid()):
            raise self.place.no(self.path / name,
                                f'is a link of {user(about.st_uid)}')
        return target

    def follow(self, path, make):
        """Go on to @path, links included, and check each folder on the way."""
        todo = list(reversed(Path(path).parts))
        while todo:
            name = todo.pop()
            target = None if name in ('/', '..') else self._link(name)
            if target is not None:
                self.links += 1
                if self.links > LINKS_MAX:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                todo += reversed(Path(target).parts)
                continue
            if make and name not in ('/', '..'):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=self.fd)
            self._go(name)

    def _go(self, name):
        fd = os.open(name, ENTER, dir_fd=self.fd)   # '/' ignores dir_fd
        os.close(self.fd)
        self.fd, self.path = fd, self.path / name
        self.place.check_way(self.path, fd)


class Folder:
    """An open folder that is ours alone."""

    def __init__(self, fd, path):
        self.fd, self.path = fd, Path(path)

    def __del__(self):
        os.close(self.fd)

    def __truediv__(self, name):
        return self.path / name

    def at(self, name):
        """A path to @name that follows the descriptor; for this process."""
        return f'/proc/self/fd/{self.fd}/{name}'

    def names(self):
        return sorted(os.listdir(self.fd))

    def check(self, name, about):
        """What lies in a folder of ours was put there by us."""
        mode = stat.S_IMODE(about.st_mode)
        if about.st_uid != os.geteuid() or mode & 0o022:
            raise Trouble(f'{self.path / name} belongs to '
                          f'{user(about.st_uid)} and has mode {mode:04o}: only '
                          f'{user(os.geteuid())} may be able to write to it')

    def below(self, name):
        """A folder in this one."""
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | FLAGS,
                     dir_fd=self.fd)
        found = Folder(fd, self.path / name)
        self.check(name, os.fstat(fd))
        return found

    def make(self, name):
        os.mkdir(name, 0o700, dir_fd=self.fd)
        return self.below(name)

    def open(self, name):
        """A file to read, as a file object; it is a plain one of ours."""
        fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | FLAGS, dir_fd=self.fd)
        file = os.fdopen(fd, 'rb')
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            file.close()
            raise Trouble(f'{self.path / name} is no plain file')
        self.check(name, about)
        return file

    def read(self, name, limit):
        """All of a file that has at most @limit bytes."""
        with self.open(name) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise Trouble(f'{self.path / name} has more than {limit} bytes')
        return data

    def create(self, name):
        """A new file to write to, as a file object."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | FLAGS
        return os.fdopen(os.open(name, flags, 0o600, dir_fd=self.fd), 'wb')

    def write(self, name, data, sync=False):
        """Put a file in place of the old one, if any, at once."""
        new = name + '.new'
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new, dir_fd=self.fd)
        with self.create(new) as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(new, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    @contextlib.contextmanager
    def locked(self):
        """Nobody else who asks for it changes what is in the folder meanwhile."""
        fcntl.flock(self.fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self.fd, fcntl.LOCK_UN)

    def link(self, name, other, new):
        """The same file, in the folder @other as well."""
        self.open(name).close()         # it is a plain one of ours
        os.link(name, new, src_dir_fd=self.fd, dst_dir_fd=other.fd,
                follow_symlinks=False)

    def has(self, name):
        try:
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def sync(self):
        """The names in the folder are on the disk."""
        os.fsync(self.fd)

    def rename(self, old, new):
        os.rename(old, new, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def remove(self, name):
        """A file, a link (not what it leads to), or a folder with all in it."""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | FLAGS,
                         dir_fd=self.fd)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            os.unlink(name, dir_fd=self.fd)
            return
        inside = Folder(fd, self.path / name)
        for each in inside.names():
            inside.remove(each)
        with contextlib.suppress(FileNotFoundError):    # somebody else did it
            os.rmdir(name, dir_fd=self.fd)
