"""What a Python does that serves nobody: it imports a source, or calls its `setup()` once, and ends.

One of the parts that the launcher puts together to the program its Python runs; `shim.py` is the last of them.
"""

import faulthandler
import os
import sys


def only_import(launcher, order):
    """Imports the source, and no more; a Python that takes too long ends and says where it stands.

    It does not die with its launcher: what it has started would not be found any more.
    """
    faulthandler.dump_traceback_later(order["patience"], exit=True)
    try:
        import_source(order["source"])
    except BaseException as error:
        launcher.error(report(error))
        leave(1)
    launcher.ready(b"{}")
    leave()


def only_setup(launcher, order):
    """Imports the source and calls its `setup()`; tells which files that has opened or made."""
    # In whichever thread, but not in other processes, whose files are seen only where they are new.
    watch = Watch(order["home"], order["apart"])
    sys.addaudithook(watch.hear)
    try:
        import_source(order["source"]).setup(order["argument"], "cpu", **order["setup"])
        cache = below([order["cache"]])
        opened = [path for path in watch.paths.copy() if path.startswith(cache) and path.isprintable()]
        text = dumps({"opened": sorted(opened), "home": watch.at_home()}).encode()
    except BaseException as error:
        launcher.error(report(error))
        leave(1)
    launcher.ready(text)
    leave()


def below(directories):
    """What the paths of everything in these directories begin with, by whichever name."""
    names = {name for directory in directories if directory for name in (directory, os.path.realpath(directory))}
    return tuple(name.rstrip(os.sep) + os.sep for name in names)


class Watch:
    """The files that this process opens, makes, moves or copies."""

    # With how many of their arguments being paths.
    EVENTS = {"open": 1, "os.mkdir": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2, "shutil.copyfile": 2, "shutil.move": 2}
    # Where libraries keep what they have downloaded, below the home directory.
    PLACES = ("", ".cache", ".local/share", ".config")
    # Who the user is and what he prefers is nobody else's.
    PERSONAL = {".netrc", ".gitconfig", ".git-credentials", ".Xauthority"}
    MOST = 1000

    def __init__(self, home, apart):
        self.paths = set()
        homes = {os.path.abspath(directory) for directory in (home, account_home()) if directory}
        self.homes = sorted(homes - {os.sep})
        self.apart = below([*apart, sys.prefix, sys.base_prefix])
        self.before = self.entries()

    def hear(self, event, arguments):
        for argument in arguments[: self.EVENTS.get(event, 0)]:
            if not isinstance(argument, int) and argument is not None:
                try:
                    self.paths.add(os.path.abspath(os.fsdecode(argument)))
                except (TypeError, ValueError, OSError):
                    pass  # Whoever tries to open this is told so.

    def entries(self):
        """What stands directly in the places."""
        found = set()
        for directory in [os.path.join(home, place) for home in self.homes for place in self.PLACES]:
            try:
                found.update(os.path.join(directory, name) for name in os.listdir(directory))
            except OSError:
                pass  # Not there, or not ours to see.
        return found

    def at_home(self):
        """Files below the home directory that `setup()` has used or made: others do not have them."""
        heard, home = self.paths.copy(), below(self.homes)
        made = self.entries() - self.before
        for directory in [path for path in made if os.path.isdir(path) and not os.path.islink(path)]:
            for place, _, names in os.walk(directory):
                made.update(os.path.join(place, name) for name in names)
                if len(made) > self.MOST:
                    break
        used = {path for path in heard | made if path.startswith(home)}
        return sorted(path for path in used if self.is_kept(path))[: self.MOST]

    def is_kept(self, path):
        if not path.isprintable() or path.endswith(".lock") or os.path.basename(path) in self.PERSONAL:
            return False
        if any(name.startswith(self.apart) for name in (path, os.path.realpath(path))):
            return False
        return os.path.isfile(path) and os.path.getsize(path) > 0


def account_home():
    """The home directory that the system knows, whatever HOME says."""
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_dir
    except (ImportError, KeyError):
        return None
