"""Tasks without a server: import a source, or call its `setup()` once, and end.

One part of the program that the launcher gives to Python; `main.py` is the last of them.
"""

import faulthandler
import os
import sys


def only_import(launcher, order):
    """Imports the source. If that takes too long, this process ends with a traceback.

    It does not die with its launcher: processes that it has started could not be found any more.
    """
    faulthandler.dump_traceback_later(order["patience"], exit=True)
    try:
        import_source(order["source"])
    except BaseException as error:
        launcher.error(report(error))
        exit_now(1)
    launcher.ready(b"{}")
    exit_now()


def only_setup(launcher, order):
    """Imports the source and calls its `setup()`; reports the files that were opened or created."""
    # In all threads, but not in other processes: of their files only new ones are found.
    watch = Watch(order["home"], order["apart"])
    sys.addaudithook(watch.on_event)
    try:
        import_source(order["source"]).setup(order["argument"], "cpu", **order["setup"])
        cache = below([order["cache"]])
        opened = [path for path in watch.paths.copy() if path.startswith(cache) and path.isprintable()]
        text = dumps({"opened": sorted(opened), "home": watch.at_home()}).encode()
    except BaseException as error:
        launcher.error(report(error))
        exit_now(1)
    launcher.ready(text)
    exit_now()


def below(directories):
    """Prefixes of all paths in these directories, also by their real paths."""
    names = {name for directory in directories if directory for name in (directory, os.path.realpath(directory))}
    return tuple(name.rstrip(os.sep) + os.sep for name in names)


class Watch:
    """The files that this process opens, creates, moves or copies."""

    # Audit events, with how many of their arguments are paths.
    EVENTS = {"open": 1, "os.mkdir": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2, "shutil.copyfile": 2, "shutil.move": 2}
    # Where libraries keep downloads, below the home directory.
    PLACES = ("", ".cache", ".local/share", ".config")
    # Personal settings.
    PERSONAL = {".netrc", ".gitconfig", ".git-credentials", ".Xauthority"}
    MOST = 1000

    def __init__(self, home, apart):
        self.paths = set()
        homes = {os.path.abspath(directory) for directory in (home, account_home()) if directory}
        self.homes = sorted(homes - {os.sep})
        self.apart = below([*apart, sys.prefix, sys.base_prefix])
        self.before = self.entries()

    def on_event(self, event, arguments):
        for argument in arguments[: self.EVENTS.get(event, 0)]:
            if not isinstance(argument, int) and argument is not None:
                try:
                    self.paths.add(os.path.abspath(os.fsdecode(argument)))
                except (TypeError, ValueError, OSError):
                    pass  # Opening it fails as well.

    def entries(self):
        """The entries of these places."""
        found = set()
        for directory in [os.path.join(home, place) for home in self.homes for place in self.PLACES]:
            try:
                found.update(os.path.join(directory, name) for name in os.listdir(directory))
            except OSError:
                pass  # Missing, or no permission.
        return found

    def at_home(self):
        """Files below the home directory that `setup()` has used or created: other users do not have them."""
        used, home = self.paths.copy(), below(self.homes)
        made = self.entries() - self.before
        for directory in [path for path in made if os.path.isdir(path) and not os.path.islink(path)]:
            for place, _, names in os.walk(directory):
                made.update(os.path.join(place, name) for name in names)
                if len(made) > self.MOST:
                    break
        found = {path for path in used | made if path.startswith(home)}
        return sorted(path for path in found if self.is_kept(path))[: self.MOST]

    def is_kept(self, path):
        if not path.isprintable() or path.endswith(".lock") or os.path.basename(path) in self.PERSONAL:
            return False
        if any(name.startswith(self.apart) for name in (path, os.path.realpath(path))):
            return False
        return os.path.isfile(path) and os.path.getsize(path) > 0


def account_home():
    """The home directory of the user's account, regardless of HOME."""
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_dir
    except (ImportError, KeyError):
        return None
