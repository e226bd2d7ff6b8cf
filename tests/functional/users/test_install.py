# SPDX-License-Identifier: GPL-2.0-or-later
"""What "make install" leaves is whole, and the installed programs work."""

import contextlib
import json
import os
import subprocess
import tempfile
from pathlib import Path

import test_kata
import test_kata_config
from registry import test
from sevlib import ROOT
from verdict import check

LIMIT = 400
KATA = ROOT / 'integration/kata'
PROGRAMS = ('qemu-system-x86_64', 'qemu-img', 'sev-clone', 'sev-psp')


def succeed(words, **how):
    done = subprocess.run(list(map(str, words)), capture_output=True,
                          text=True, timeout=LIMIT, check=False,
                          stdin=subprocess.DEVNULL, **how)
    check(done.returncode == 0, f'{Path(words[0]).name} {words[1]} said '
          f'"{(done.stderr or done.stdout).strip()[-300:]}"')
    return done.stdout


@contextlib.contextmanager
def installed(env):
    """The prefix, installed as from a clone in which only QEMU was built."""
    with tempfile.TemporaryDirectory(prefix='sev-install-',
                                     dir='/var/tmp') as top:
        build = Path(top, 'build')
        build.mkdir()
        for name in 'obj', 'qemu', 'meson':
            if (env.lab.build / name).exists():
                (build / name).symlink_to(env.lab.build / name)
        # "-o build": QEMU is built already, and this is about what follows.
        clean = {k: v for k, v in os.environ.items()
                 if not k.startswith(('MAKE', 'MFLAGS'))}

        def install():
            succeed(['make', '-C', ROOT, '-o', 'build', 'install',
                     f'BUILD={build}', f'DESTDIR={top}/root',
                     'PREFIX=/opt/sev'], env=clean)
        install()
        yield Path(top, 'root/opt/sev'), install


def kata(env, prefix):
    """What Kata's configuration names, started as the runtime does."""
    for name in test_kata_config.TCG, test_kata_config.SEV:
        check((prefix / 'share/sev-clone/kata' / name).read_bytes() ==
              (KATA / name).read_bytes(), f'another {name} was installed')
    for case, sev in ((test_kata.BY_MACHINE, True), (test_kata.ORDINARY, False)):
        with test_kata.runtime(env, case, path=prefix / 'bin/qemu-kata') as made:
            for clone in test_kata.replay(made, sev):
                binary = os.readlink(f'/proc/{clone.process.pid}/exe')
                check(Path(binary) == prefix / 'bin/qemu-system-x86_64',
                      f'Kata\'s clone runs {binary}')


@test('make install: from a fresh clone; the installed programs work')
def install(env):
    with installed(env) as (prefix, again):
        programs = {name: prefix / 'bin' / name for name in PROGRAMS}
        for path in prefix.rglob('*'):
            mode = path.lstat().st_mode
            check(path.is_symlink() or mode & 0o444 == 0o444 and
                  not mode & 0o022, f'{path} has mode {mode:o}')
        for name, program in programs.items():
            succeed([program, '--version' if name.startswith('qemu') else
                     '--help'])
        for name in 'sev-clone', 'sev-psp':
            page = (prefix / f'share/man/man1/{name}.1').read_text('utf-8')
            check('.SH NAME' in page, f'no manual page of {name}')
        top = prefix.parents[2]
        # No build to fall back to, no PATH that would have another QEMU.
        environ = {'PATH': '/usr/bin:/bin', 'HOME': str(top / 'home'),
                   'SEV_PSP_DIR': str(top / 'identity'),
                   'SEV_CLONE_HOME': str(top / 'templates'),
                   'SEV_CLONE_RUN': str(top / 'run')}

        def tool(*words):
            return json.loads(succeed([programs['sev-clone'], *words, '--json'],
                                      env=environ))
        succeed([programs['sev-psp'], 'identity', 'create'], env=environ)
        spec = tool('make', 'base', '--kernel', env.lab.kernel / 'vmlinuz',
                    '--initrd', env.lab.kernel / 'initrd-clone.img',
                    '--append', 'seal=1')
        check(spec['point'] == 'ready', f'it sealed at {spec["point"]}')
        [clone] = tool('run', 'base', '--detach')
        try:
            binary = os.readlink(f'/proc/{clone["pid"]}/exe')
            check(Path(binary) == programs['qemu-system-x86_64'],
                  f'the clone runs {binary}')
            check(tool('verify', 'base')['stream'], 'no analyser was installed')
            again()             # over a program that runs
        finally:
            tool('stop', 'base')
        tool('rm', 'base')
        kata(env, prefix)
