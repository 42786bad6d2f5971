"""argv → request; wiring; exit codes. The only place that reads the environment and the clock, and that prints.

What is not needed to start pip is imported where it is used: pip waits for all that comes before it.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from contextlib import suppress

from . import __version__
from .errors import ExitCode, GuardError, UnjudgedError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import FrameType
    from typing import Literal, TextIO

    from .model import Run
    from .session import Conclusion, Request, Surroundings

FORMATS = ("text", "json")
HELP = """\
usage: guard [options] VERB [the verb's own arguments]

Installs as pip does, but judges every release first, against a local advisory and
malware feed and your project's own policy. A denied install changes nothing.

  guard install flask          pip install flask, judged; all of pip's options work
  guard pip download|wheel|…   any other pip command, judged where it can run code
  guard check NAME==VERSION    judge exact releases; -r FILE for pinned requirements
  guard audit                  judge what is installed already
  guard explain WHAT           a finding code, an advisory, a project or a release
  guard feed update|status     the local feed; also feed import PATH, feed export FILE
  guard policy show|lint|init  the policy in force
  guard waive FINDING RELEASE  accept one finding, with a reason and an end
  guard doctor                 am I really guarded here?

options, before the verb (each also a variable, such as INSTALLGUARD_OFFLINE=1):
  --python PATH        interpreter or environment to install into
  --policy FILE        policy file instead of the nearest pyproject.toml
  --offline            never touch the network (feeds are not fetched)
  --fail-on warn|deny  what stops an install; a policy can only be tightened
  --format text|json   of check, audit, feed status, and of --report
  --report FILE        also write the verdict there; - is stdout
  -q, -v               say less (denials are still said), say more
  --version, --help

exit codes: pip's own when it ran to its end; 10 denied; 11 warnings under
--fail-on warn; 12 could not judge; 13 policy invalid; 2 usage; 130 interrupted.
More about one verb: guard VERB --help. About a finding: guard explain CODE.
"""


class Options:
    """Guard's own options, from the command line and, behind it, `INSTALLGUARD_*`."""

    __slots__ = ("fail_on", "format", "offline", "policy", "python", "quiet", "report", "rest", "verbose")

    def __init__(self) -> None:
        self.python: str | None = None
        self.policy: str | None = None
        self.fail_on: str | None = None
        self.format: str | None = None
        """`None` where none was asked for: text to people, JSON to a report."""
        self.report: str | None = None
        self.offline = False
        self.quiet = False
        self.verbose = 0
        self.rest: tuple[str, ...] = ()
        """The verb and its arguments."""


VALUED = {
    "--python": "python",
    "--policy": "policy",
    "--fail-on": "fail_on",
    "--format": "format",
    "--report": "report",
}
CHOICES = {"fail_on": ("warn", "deny"), "format": FORMATS}
LAST_STANDARD_DESCRIPTOR = 2
PLACES = {
    "user_cache_path": ("XDG_CACHE_HOME", "~/.cache"),
    "user_config_path": ("XDG_CONFIG_HOME", "~/.config"),
    "site_config_path": ("XDG_CONFIG_DIRS", "/etc/xdg"),
}
"""Of the XDG base directory specification: which variable says where, and where without it."""
OBJECTS = 50_000
"""So many new objects before they are searched for garbage: nearly all of what is made at the start is kept."""
TRUE, FALSE = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


def main(argv: Sequence[str] | None = None) -> int:
    """Run guard, and return its exit code; what ends it early is told in one line."""
    started = time.perf_counter()
    gc.set_threshold(OBJECTS, *gc.get_threshold()[1:])
    keep_standard_descriptors()
    try:
        heed_signals()
        return run(sys.argv[1:] if argv is None else list(argv), started)
    except GuardError as error:
        return complain(error)
    except KeyboardInterrupt:
        exec("", {})  # noqa: S102 - CPython dies of an interrupt that has passed through `exec`, unless a later one ran well
        say("guard: interrupted")
        return ExitCode.INTERRUPTED
    except OSError as error:
        say(f"guard: error: {error.filename or 'the system'}: {error.strerror or error}")
        return ExitCode.UNJUDGED
    finally:
        gc.freeze()  # the interpreter, about to end, need not search all modules for garbage


def run(argv: Sequence[str], started: float) -> int:
    """Run guard's command line."""
    options = parse_options(argv, os.environ)
    if not options.rest:
        raise UsageError("no verb given", now="try: guard install NAME, or guard --help")
    verb, *arguments = options.rest
    match verb:
        case "--version":
            print_out(f"guard {__version__}")
            return ExitCode.OK
        case "--help" | "-h" | "help":
            print_out(HELP.rstrip("\n"))
            return ExitCode.OK
        case "install":
            return install(options, (verb, *arguments), started)
        case "pip":
            return install(options, tuple(arguments), started)
        case "uv" | "uvx":
            return uv(options, verb, tuple(arguments), started)
        case _:
            from .verbs import run_verb

            return run_verb(verb, arguments, options, request_of(options, (verb, *arguments), started))


def install(options: Options, command: tuple[str, ...], started: float) -> int:
    """Run pip as typed, judged, and print what was ruled after pip's own output."""
    from .frontends.launch import Launch
    from .frontends.target import find_interpreter

    check_working_directory()
    prepare_report(options)
    python = find_interpreter(options.python, os.environ)
    with Launch(python, command, stdout=2 if options.report == "-" else None) as launch:
        from .session import install

        return finish(install(request_of(options, command, started), launch), options, sys.stderr)


def uv(options: Options, program: Literal["uv", "uvx"], words: tuple[str, ...], started: float) -> int:
    """Run uv as typed, judged, and print what was ruled after uv's own output."""
    check_working_directory()
    prepare_report(options)
    key = key_of_project(options, words) if program == "uv" else None
    if key is not None and (code := told_again(key, time.time())) is not None:
        return code
    from .uv_session import guard_uv

    request = request_of(options, (program, *words), started)
    conclusion = guard_uv(request, program, words, stdout=2 if options.report == "-" else None)
    if isinstance(conclusion, int):
        return conclusion
    code = finish(conclusion, options, sys.stderr)
    if key is not None:
        keep_verdict(key, conclusion, options)
    return code


def keep_verdict(key: str, conclusion: Conclusion, options: Options) -> None:
    """Remember a verdict that may be told again, as it would be told here."""
    from .unchanged import remember

    if conclusion.ground is not None:
        text, judged = text_of(conclusion, options, sys.stderr, again=True), conclusion.verdict.evidence.now.timestamp()
        remember(cache_path(os.environ), key, conclusion.ground, text, judged=judged, now=time.time())


def key_of_project(options: Options, words: tuple[str, ...]) -> str | None:
    """Return under which name the verdict on this command is remembered; `None` where none is."""
    if options.report is not None or not words or words[0] not in ("sync", "run"):
        return None
    from .unchanged import key_of

    look = (wants_colour(sys.stderr), width_of(sys.stderr), sys.stderr is None)
    asked = (options.policy, options.fail_on, options.offline, options.quiet, options.verbose)
    return key_of(os.environ, os.getcwd(), words, look, asked)  # noqa: PTH109 - as above


def told_again(key: str, now: float) -> int | None:
    """Run uv in a project that is unchanged, tell its verdict again, and return the exit code; `None` if it is not."""
    from .unchanged import resume

    resumed = resume(cache_path(os.environ), key, os.environ, now)
    if resumed is None:
        return None
    outcome, text = resumed
    if outcome.interrupted:
        say("guard: interrupted")
        return ExitCode.INTERRUPTED
    if sys.stderr is not None:
        print_out(text, sys.stderr)
    return outcome.exit_code


def finish(conclusion: Conclusion, options: Options, stream: TextIO | None) -> int:
    """Print a verdict for people to *stream*, write the report asked for, and return the exit code."""
    try:
        if conclusion.exit_code == ExitCode.INTERRUPTED:
            say(f"guard: {conclusion.run.problem or 'interrupted'}")
        elif conclusion.run.problem and not conclusion.verdict.judged:
            say(f"guard: error: {conclusion.run.problem}")
        elif conclusion.run.installer is None or conclusion.verdict.judged or has_more_to_tell(conclusion.run):
            print_text(conclusion, options, stream)
        write_report(conclusion, options)
    except GuardError as error:
        return conclusion.exit_code or complain(error)
    return conclusion.exit_code


def has_more_to_tell(run: Run) -> bool:
    """Tell whether there is anything to say of a run in which no distribution was judged."""
    return run.stopped or bool(run.notes)


# ---------------------------------------------------------------- options


def parse_options(argv: Sequence[str], environ: Mapping[str, str]) -> Options:
    """Return guard's own options and, in `rest`, the verb with everything behind it untouched."""
    options = Options()
    for name, value, where in environment_options(environ):
        set_option(options, name, value, where)
    words = list(argv)
    while words and words[0].startswith("-") and words[0] not in ("--version", "--help", "-h"):
        word, equals, value = words.pop(0).partition("=")
        if word in VALUED:
            if not equals and not words:
                raise UsageError("needs a value", where=word, now="guard --help lists the options")
            set_option(options, VALUED[word], value if equals else words.pop(0), word)
        elif equals or not set_flag(options, word):
            raise UsageError(f"no such option of guard: {word}", now="the installer's own options go behind the verb")
    options.rest = tuple(words)
    return options


def set_flag(options: Options, word: str) -> bool:
    """Set an option without a value; return whether there is one of that name."""
    match word:
        case "--offline":
            options.offline = True
        case "-q" | "--quiet":
            options.quiet = True
        case "--verbose":
            options.verbose += 1
        case _ if set(word[1:]) == {"v"}:
            options.verbose += len(word) - 1
        case _:
            return False
    return True


def environment_options(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield option, value and variable for each `INSTALLGUARD_*` variable that is an option."""
    for name in (*VALUED.values(), "offline", "quiet", "verbose"):
        variable = f"INSTALLGUARD_{name.upper()}"
        if environ.get(variable):
            yield name, environ[variable], variable


def set_option(options: Options, name: str, value: str, where: str) -> None:
    """Set one option; raise `UsageError` for a value that it does not take."""
    if name in CHOICES and value not in CHOICES[name]:
        raise UsageError(f"{value!r} is none of {', '.join(CHOICES[name])}", where=where)
    if name == "verbose":
        if not (value.isascii() and value.isdecimal() and len(value) < 3):
            raise UsageError(f"{value!r} is no small number", where=where)
        options.verbose = int(value)
    elif name in ("offline", "quiet"):
        if value.lower() not in TRUE + FALSE:
            raise UsageError(f"{value!r} is neither 1 nor 0", where=where)
        setattr(options, name, value.lower() in TRUE)
    elif not value:
        raise UsageError("needs a value", where=where)
    else:
        setattr(options, name, value)


def request_of(options: Options, command: tuple[str, ...], started: float) -> Request:
    """Return what the command line asks for."""
    from pathlib import Path

    from .session import Request

    return Request(
        command=command,
        surroundings=surroundings(os.environ),
        python=options.python,
        policy=Path(options.policy) if options.policy else None,
        fail_on=options.fail_on,
        offline=options.offline,
        started=started,
    )


# ---------------------------------------------------------------- what is around us


def keep_standard_descriptors() -> None:
    """Open what is closed of stdin, stdout and stderr, so that no file of ours, or of pip's, comes to stand there."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= LAST_STANDARD_DESCRIPTOR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def heed_signals() -> None:
    """Let SIGTERM and SIGHUP end us as Ctrl-C does, with everything put away; `nohup` is respected."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            with suppress(ValueError):  # not in the main thread, which then belongs to somebody else
                signal.signal(number, interrupt)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Raise what Ctrl-C raises."""
    raise KeyboardInterrupt


def surroundings(environ: Mapping[str, str]) -> Surroundings:
    """Return what a run takes from outside; nothing is looked up before it is needed."""
    from datetime import datetime, timezone
    from pathlib import Path

    from .session import Surroundings

    check_working_directory()
    return Surroundings(
        environ=environ,
        cwd=Path.cwd(),
        cache=lambda: cache_directory(environ),
        user_config=lambda: place("user_config_path"),
        site_config=lambda: place("site_config_path"),
        clock=lambda: datetime.now(timezone.utc),
    )


def cache_directory(environ: Mapping[str, str]) -> Path:
    """Return where the snapshot is kept; raise `UnjudgedError` where there is no place for it."""
    from pathlib import Path

    return Path(cache_path(environ))


def cache_path(environ: Mapping[str, str]) -> str:
    """Return the same as text, for what is done before anything is imported."""
    if named := environ.get("INSTALLGUARD_CACHE_DIR"):
        return os.path.join(os.getcwd(), named)  # noqa: PTH109, PTH118 - uv waits until this is done
    found = plain_place("user_cache_path", environ) or place("user_cache_path")
    if found is None:
        raise UnjudgedError("there is no home directory to keep feeds in", now="set HOME or INSTALLGUARD_CACHE_DIR")
    return str(found)


def place(kind: str) -> Path | None:
    """Return one of the platform's directories for us, `None` where there is no such place (no home)."""
    from pathlib import Path

    if (plain := plain_place(kind, os.environ)) is not None:
        return Path(plain)
    import platformdirs

    find: Callable[..., Path] = getattr(platformdirs, kind)
    found = find("installguard", appauthor=False)
    return found if found.is_absolute() else None


def plain_place(kind: str, environ: Mapping[str, str]) -> str | None:
    """Return what `platformdirs` says on Linux where nothing is out of the ordinary; its import takes as long as uv."""
    import re

    home, (variable, usual) = environ.get("HOME", ""), PLACES[kind]
    base = environ.get(variable, "") or usual.replace("~", home, 1)
    ordinary = sys.platform == "linux" and (home.startswith("/") or "~" not in usual)
    return f"{base}/installguard" if ordinary and re.fullmatch(r"(/[\w.-]+)+", base, re.ASCII) else None


def check_working_directory() -> None:
    """Raise `UsageError` where the current directory has been removed."""
    try:
        os.getcwd()  # noqa: PTH109 - pip waits until this is done
    except OSError as error:
        raise UsageError("the current directory is gone", now="change to one that exists") from error


# ---------------------------------------------------------------- printing


def print_text(conclusion: Conclusion, options: Options, stream: TextIO | None) -> None:
    """Print a verdict for people."""
    text = text_of(conclusion, options, stream)
    if stream is not None:  # a closed stderr is no reason to write into the installer's stdout
        print_out(text, stream)


def text_of(conclusion: Conclusion, options: Options, stream: TextIO | None, *, again: bool = False) -> str:
    """Return a verdict for people, or how it is told *again* later."""
    from .reporters.text import text_report

    report = text_report(
        conclusion.run,
        colour=wants_colour(stream),
        width=width_of(stream),
        verbose=options.verbose,
        quiet=options.quiet,
        again=again,
    )
    return report(conclusion.verdict).rstrip("\n")


def width_of(stream: TextIO | None) -> int:
    """Return the columns of a terminal, or those that are asked for; 0 where lines may be of any length."""
    if is_terminal(stream) or "COLUMNS" in os.environ:
        from shutil import get_terminal_size

        return get_terminal_size().columns
    return 0


def prepare_report(options: Options) -> None:
    """See to it that `--report` can be written, and that no report of an earlier run is left if this one breaks off."""
    if options.report is None or options.report == "-":
        return
    from pathlib import Path

    path = Path(options.report)
    try:
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise UsageError("cannot be written: no such directory, or nothing but one", where=f"--report {path}")
        if path.is_file():
            path.unlink()
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror or error}", where=f"--report {path}") from error


def write_report(conclusion: Conclusion, options: Options) -> None:
    """Write the verdict to `--report`, if that was asked for."""
    if options.report is None:
        return
    from pathlib import Path

    text = formatted(conclusion, options.format or "json")
    if options.report == "-":
        print_out(text.rstrip("\n"))
        return
    try:
        Path(options.report).write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror or error}", where=f"--report {options.report}") from error


def formatted(conclusion: Conclusion, format: str) -> str:
    """Return a verdict in a format of `FORMATS`."""
    from .reporters.json import json_report
    from .reporters.text import text_report

    report = text_report(conclusion.run) if format == "text" else json_report(conclusion.run)
    return report(conclusion.verdict)


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether a stream is a terminal."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def wants_colour(stream: TextIO | None) -> bool:
    """Tell whether to colour what goes to a stream: NO_COLOR and FORCE_COLOR before what the stream is."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def print_out(text: str, stream: TextIO | None = None) -> None:
    """Print text with a line end, to stdout if nothing else is said; raise `UnjudgedError` where stdout is full."""
    if text:
        put(f"{text}\n", sys.stdout if stream is None else stream)


def put(text: str, stream: TextIO | None) -> None:
    """Write text, in which characters that the stream cannot show are replaced; a reader may have gone away."""
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        silence(stream)
    except OSError as error:
        silence(stream)
        if stream is not sys.stderr:  # of stderr's own trouble nobody can be told
            raise UnjudgedError(f"cannot be written: {error.strerror or error}", where="stdout") from error


def silence(stream: TextIO) -> None:
    """Send the rest of a stream nowhere, so that the interpreter does not fail on it at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def say(line: str) -> None:
    """Print one line to stderr, if there still is one."""
    put(f"{line}\n", sys.stderr)


def complain(error: GuardError) -> int:
    """Print what ended the run, and return its exit code."""
    for line in str(error).splitlines():
        say(f"guard: error: {line}")
    return error.exit_code
