"""The verbs that install nothing: check, audit, explain, feed, policy, waive, doctor."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timezone
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from .cli import Options, finish, formatted, is_terminal, prepare_report, print_out, put, say, write_report
from .dataclass import replace
from .errors import ExitCode, UsageError
from .session import Conclusion, Request, judge_releases, open_advisories, read_policy

if TYPE_CHECKING:
    from .feeds.update import UpdateResult
    from .model import SnapshotInfo, SourceInfo
    from .names import NormalizedName
    from .policy import Policy

ADVISORY_ID = re.compile(r"(CVE|GHSA|MAL|OSV|PYSEC)-", re.IGNORECASE)
SHOWN = 10
"""Unreadable records that `guard feed status` lists unless `-v` asks for all."""

Verb = Callable[[Sequence[str], Options, Request], int]


def run_verb(verb: str, arguments: Sequence[str], options: Options, request: Request) -> int:
    """Run one verb; raise `UsageError` where there is none of that name."""
    if verb not in VERBS:
        import difflib

        near = difflib.get_close_matches(verb, [*VERBS, "install", "pip"], n=1)
        hint = f"did you mean: guard {near[0]}" if near else "guard --help lists them"
        raise UsageError(f"no such verb: {verb}", now=hint)
    return VERBS[verb](arguments, options, request)


class Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes are ours to tell, in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`."""
        raise UsageError(message, where=self.prog, now=f"see {self.prog} --help")

    def print_help(self, file: object = None) -> None:
        """Print the help, in whatever the terminal can show."""
        print_out(self.format_help().rstrip("\n"))


def parser(verb: str, description: str) -> Parser:
    """Return the parser of one verb's own arguments."""
    return Parser(prog=f"guard {verb}", description=description, allow_abbrev=False)


# ---------------------------------------------------------------- check and audit


def check(arguments: Sequence[str], options: Options, request: Request) -> int:
    """Judge exact releases, pinned requirement files and lock files."""
    from .frontends.checked import read_checked

    own = parser("check", "Judge exact releases and lock files; resolves nothing, runs nothing, installs nothing.")
    own.add_argument(
        "releases",
        nargs="*",
        metavar="NAME==VERSION|LOCKFILE",
        help="a release (NAME===anything for odd versions); uv.lock, pylock.toml, poetry.lock, pdm.lock, Pipfile.lock",
    )
    own.add_argument("-r", "--requirement", action="append", default=[], metavar="FILE", help="pinned requirements")
    given = own.parse_args(arguments)
    prepare_report(options)
    checked = read_checked(given.releases, given.requirement, request.surroundings.cwd)
    conclusion = judge_releases(request, checked.distributions)
    run = replace(conclusion.run, notes=(*conclusion.run.notes, *checked.notes))
    return report(replace(conclusion, run=run), options)


def audit(arguments: Sequence[str], options: Options, request: Request) -> int:
    """Judge what an environment holds already."""
    from .frontends.installed import read_environment
    from .frontends.target import find_interpreter, site_directories

    own = parser("audit", "Judge what is installed in the target environment.")
    own.add_argument(
        "--path", action="append", default=[], metavar="DIR", help="a directory of installed distributions"
    )
    given = own.parse_args(arguments)
    prepare_report(options)
    target = None
    if given.path:
        paths = tuple(request.surroundings.cwd / path for path in given.path)
        for path in paths:
            if not path.is_dir():
                raise UsageError("no such directory", where=f"--path {path}")
    else:
        target, paths = site_directories(find_interpreter(request.python, request.surroundings.environ))
    return report(judge_releases(request, read_environment(paths), target), options)


def report(conclusion: Conclusion, options: Options) -> int:
    """Print a verdict to stdout, in the format asked for, and to `--report`; return the exit code."""
    if options.format in (None, "text"):
        return finish(conclusion, options, sys.stderr if options.report == "-" else sys.stdout)
    if options.report != "-":
        print_out(formatted(conclusion, options.format).rstrip("\n"))
    write_report(conclusion, options)
    return conclusion.exit_code


# ---------------------------------------------------------------- explain


def explain(arguments: Sequence[str], options: Options, request: Request) -> int:
    """Say what a code, an advisory, a project or a release is about."""
    from .checks.exploited import BUILT_IN, marked
    from .checks.others import judge_others
    from .frontends.pins import parse_pin
    from .model import Code
    from .reporters.explain import explain_advisory, explain_code, explain_project, explain_release

    own = parser("explain", "Say what a finding code, an advisory, a project or a release is about.")
    own.add_argument("what", metavar="CODE|ADVISORY|NAME[==VERSION]")
    what = own.parse_args(arguments).what
    if what in {code.value for code in Code}:
        print_out(explain_code(Code(what)).rstrip("\n"))
        return ExitCode.OK
    if "==" in what:
        conclusion = judge_releases(request, (parse_pin(what),))
        others = judge_others(conclusion.verdict, read_policy(request))
        print_out(explain_release(conclusion.verdict, conclusion.run, others).rstrip("\n"))
        return ExitCode.OK
    with open_advisories(request, read_policy(request)) as snapshot:
        found = snapshot.record(what)
        if found:
            listed = BUILT_IN | snapshot.exploited()
            print_out(explain_advisory([marked(advisory, listed) for advisory in found]).rstrip("\n"))
            return ExitCode.OK
        if ADVISORY_ID.match(what):
            raise UsageError(
                "no such advisory is in the snapshot", where=what, now="guard feed status tells how old it is"
            )
        print_out(explain_project(what, snapshot.lookup([project_name(what)]), snapshot.info).rstrip("\n"))
    return ExitCode.OK


def project_name(text: str) -> NormalizedName:
    """Return a project's normalised name; raise `UsageError` for what cannot be one, nor an id that is known."""
    from packaging.utils import InvalidName, canonicalize_name

    try:
        return canonicalize_name(text, validate=True)
    except InvalidName as error:
        known = "a finding code, an advisory of the snapshot, NAME or NAME==VERSION"
        raise UsageError(f"{text!r} is none of: {known}", where="guard explain") from error


# ---------------------------------------------------------------- feed


def feed(arguments: Sequence[str], options: Options, request: Request) -> int:
    """Keep the local snapshot."""
    own = parser("feed", "The local snapshot of the advisory feeds.")
    actions = own.add_subparsers(dest="action", required=True, metavar="update|status|import|export")
    updating = actions.add_parser("update", help="fetch what is new of every configured source", allow_abbrev=False)
    actions.add_parser("status", help="say what there is, and how old", allow_abbrev=False)
    importing = actions.add_parser("import", help="take a feed, or an exported snapshot, from disk", allow_abbrev=False)
    importing.add_argument(
        "path", metavar="PATH", help="an OSV export (zip or directory), a list, or FILE of an export"
    )
    importing.add_argument("--source", default="osv", metavar="NAME", help="the source that it replaces (osv)")
    importing.add_argument("--malicious", action="store_true", help="every record of it names malware")
    importing.add_argument(
        "--kind",
        choices=("osv", "exploited", "popular"),
        help="what it holds (as the policy says of that source, else osv)",
    )
    for parsing in (updating, importing):
        parsing.add_argument(
            "--accept-rollback", action="store_true", help="even if it is older, or has lost a fifth of its records"
        )
    exporting = actions.add_parser("export", help="write the whole snapshot to one file", allow_abbrev=False)
    exporting.add_argument("path", metavar="FILE.zip", help="what another machine imports")
    exporting.add_argument("--sign", metavar="KEY", help="sign it by this Ed25519 private key (PEM), in FILE.zip.sig")
    given = own.parse_args(arguments)
    match given.action:
        case "update":
            return feed_update(given, options, request)
        case "status":
            return feed_status(options, request)
        case "export":
            return feed_export(given, options, request)
        case _:
            return feed_import(given, options, request)


def feed_update(given: argparse.Namespace, options: Options, request: Request) -> int:
    """Fetch what is new of every configured source; what cannot be fetched leaves its old snapshot in force."""
    from .feeds.update import update

    if options.offline:
        raise UsageError(
            "feeds cannot be fetched", where="guard feed update", now="drop --offline, or: guard feed import"
        )
    here = request.surroundings
    policy = read_policy(request)
    with Progress(sys.stderr, shown=is_terminal(sys.stderr) and not options.quiet) as progress:
        results = update(
            here.cache(),
            policy.feed.sources,
            now=here.clock(),
            keys=policy.feed.keys,
            accept_rollback=given.accept_rollback,
            progress=progress,
        )
    fetched = [tell_update(result, quiet=options.quiet) for result in results]
    return ExitCode.OK if all(fetched) else ExitCode.UNJUDGED


def tell_update(result: UpdateResult, *, quiet: bool) -> bool:
    """Print what came of one source; return whether it was fetched."""
    from .feeds.update import Failed, Unchanged, Updated

    match result:
        case Failed(name=name, error=error):
            say(f"guard: error: feed {name}: {error}")
            return False
        case Updated(source=source, changed=changed):
            line = counted(source) + ("" if changed is None else f", {changed:,} of them new, changed or gone")
        case Unchanged(source=source):
            line = f"feed {source.name}: nothing new, {source.records:,} records"
    if not quiet:
        print_out(line)
    return True


def counted(source: SourceInfo) -> str:
    """Return what a source holds now."""
    of = f" as of {source.taken_at.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC" if source.taken_at else ""
    odd = f", {source.unreadable:,} unreadable ('guard feed status' lists them)" if source.unreadable else ""
    return f"feed {source.name}: {source.records:,} records{of}{odd}"


def feed_import(given: argparse.Namespace, options: Options, request: Request) -> int:
    """Replace one source by an export on disk, or those of an exported snapshot."""
    from .feeds.bundle import import_snapshot, is_snapshot
    from .feeds.imports import import_export
    from .feeds.sources import chosen_sources

    here, path = request.surroundings, request.surroundings.cwd / given.path
    feeds = read_policy(request).feed
    if is_snapshot(path):
        results = import_snapshot(
            path, directory=here.cache(), now=here.clock(), keys=feeds.keys, accept_rollback=given.accept_rollback
        )
    else:
        kinds = {source.name: source.kind for source in chosen_sources(feeds.sources)}
        result = import_export(
            path,
            directory=here.cache(),
            name=given.source,
            malicious=given.malicious,
            kind=given.kind or kinds.get(given.source, "osv"),
            now=here.clock(),
            keys=feeds.keys,
            accept_rollback=given.accept_rollback,
        )
        results = (result,)
    if not options.quiet:
        print_out("\n".join(counted(result.source) for result in results))
    return ExitCode.OK


def feed_export(given: argparse.Namespace, options: Options, request: Request) -> int:
    """Write the whole snapshot to one file, for a machine that reaches no feed."""
    from .feeds.bundle import export_snapshot

    here = request.surroundings
    key = None if given.sign is None else here.cwd / given.sign
    sources = export_snapshot(here.cache(), here.cwd / given.path, key=key)
    if not options.quiet:
        print_out("\n".join(counted(source.info) for source in sources))
        print_out(f"wrote {given.path}" + ("" if key is None else f" and {given.path}.sig"))
    return ExitCode.OK


def feed_status(options: Options, request: Request) -> int:
    """Print what the snapshot holds, and how old it is."""
    import json

    from .feeds.store import status, unreadable_records
    from .reporters.json import snapshot_data
    from .reporters.status import status_report

    here = request.surroundings
    policy = read_policy(request)
    info = status(here.cache(), policy.feed.sources)
    if options.format == "json":
        kept_out = unreadable_records(here.cache()) if info.unreadable else ()
        told = [{"source": each.source, "name": each.name, "reason": each.reason} for each in kept_out]
        print_out(json.dumps({**snapshot_data(info, here.clock()), "unreadable_records": told}, indent=2))
    else:
        print_out(status_report(info, here.clock(), policy.feed.max_age).rstrip("\n"))
        if info.unreadable:
            print_out("\n".join(list_unreadable(here.cache(), every=options.verbose > 0)))
    return feed_exit_code(info, policy, request)


def list_unreadable(cache: Path, *, every: bool) -> Iterator[str]:
    """Yield a line for each record that was kept out, or for the first few."""
    from .feeds.store import unreadable_records
    from .reporters.plain import plain

    records = unreadable_records(cache)
    shown = records if every else records[:SHOWN]
    for record in shown:
        yield plain(f"  unreadable: {record.source}: {record.name}: {record.reason}")
    if len(records) > len(shown):
        yield f"  and {len(records) - len(shown):,} more: guard -v feed status lists them all"


def feed_exit_code(info: SnapshotInfo, policy: Policy, request: Request) -> int:
    """Return 12 where the policy denies what the snapshot is, else 0."""
    from .checks import run_checks
    from .model import Evidence
    from .policy import rule
    from .session import ruled_exit_code

    evidence = Evidence(distributions=(), advisories=(), snapshot=info, now=request.surroundings.clock())
    return ruled_exit_code(rule(evidence, run_checks(evidence, policy), policy), policy)


class Progress:
    """One line that shows how far a download is; on a terminal only."""

    def __init__(self, stream: TextIO | None, *, shown: bool) -> None:
        self._stream = stream
        self._shown = shown
        self._drawn = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            put("\r\x1b[K", self._stream)

    def __call__(self, source: str, done: int, total: int | None) -> None:
        """Draw the bar of one source: bytes done, and in all where that is known."""
        if not self._shown:
            return
        self._drawn = True
        share = min(done / total, 1.0) if total else 0.0
        bar = f"{'#' * round(share * 30):-<30} " if total else ""
        of = f" of {total / 1e6:.1f}" if total else ""
        line = f"feed {source} {bar}{done / 1e6:.1f}{of} MB"
        put(f"\r{line[: shutil.get_terminal_size().columns - 1]}\x1b[K", self._stream)


# ---------------------------------------------------------------- policy and waivers


def policy(arguments: Sequence[str], options: Options, request: Request) -> int:
    """Show, lint or begin the policy."""
    own = parser("policy", "The policy in force.")
    actions = own.add_subparsers(dest="action", required=True, metavar="show|lint|init")
    actions.add_parser("show", help="print the policy in force as TOML, each value with its origin", allow_abbrev=False)
    actions.add_parser("lint", help="tell what is valid in it but probably not meant", allow_abbrev=False)
    actions.add_parser("init", help="append a commented table of every key to pyproject.toml", allow_abbrev=False)
    match own.parse_args(arguments).action:
        case "show":
            from .config.showing import show_policy

            print_out(show_policy(read_policy(request)).rstrip("\n"))
            return ExitCode.OK
        case "lint":
            return policy_lint(options, request)
        case _:
            return policy_init(options, request)


def policy_lint(options: Options, request: Request) -> int:
    """Say what is wrong, or odd, in the policy in force."""
    from .config.linting import lint_policy

    in_force = read_policy(request)
    lines = lint_policy(in_force, today=request.surroundings.clock().astimezone(timezone.utc).date())
    for line in lines:
        print_out(f"warning: {line}")
    if not lines and not options.quiet:
        print_out(f"policy: nothing to complain about in {', '.join(in_force.files) or 'the defaults'}")
    return ExitCode.WARNED if lines and (request.fail_on == "warn") else ExitCode.OK


def policy_init(options: Options, request: Request) -> int:
    """Append a commented table of the defaults."""

    from .config.writing import init_policy

    path = writable_policy(request)
    init_policy(path)
    if not options.quiet:
        print_out(f"policy: wrote [tool.installguard] to {path}")
    return ExitCode.OK


def waive(arguments: Sequence[str], options: Options, request: Request) -> int:
    """Accept one finding for one release, with a reason and an end."""
    from .config.files import open_site
    from .config.waiving import parse_expires
    from .config.writing import write_waiver

    own = parser("waive", "Accept one finding: appends a waiver to the policy file in force.")
    own.add_argument("finding", metavar="FINDING", help="an advisory id or alias, or a finding code")
    own.add_argument("release", metavar="RELEASE", help="name==version; name<version where it is no malware")
    own.add_argument("--reason", required=True, help="at least 10 characters: why this is acceptable")
    own.add_argument("--expires", required=True, metavar="DATE|30d", help="at most 180 days ahead")
    own.add_argument("--owner", metavar="WHO", help="who answers for it")
    given = own.parse_args(arguments)
    today = request.surroundings.clock().astimezone(timezone.utc).date()
    path = writable_policy(request)
    written = write_waiver(
        path,
        finding=given.finding,
        release=given.release,
        reason=given.reason,
        expires=parse_expires(given.expires, today),
        owner=given.owner,
        today=today,
        site=open_site(request.surroundings.site_config()),
    )
    if not options.quiet:
        print_out(f"waived {written.finding} for {written.release} until {written.expires}, in {path}")
    if written.barred:
        keys = ", ".join(f"'{key}'" for key in sorted(written.barred))
        print_out(f"note: it does not lift what {keys} of another policy file rules: see guard policy lint")
    return ExitCode.OK


def writable_policy(request: Request) -> Path:
    """Return the policy file that is written to: the one in force, or the project's."""
    from .config.files import file_to_write, find_policy_files

    here = request.surroundings
    if request.policy is not None:
        return here.cwd / request.policy
    files = find_policy_files(here.cwd, explicit=None, user_config_dir=here.user_config(), site_config_dir=None)
    return file_to_write(here.cwd, files)


# ---------------------------------------------------------------- doctor


def doctor(arguments: Sequence[str], options: Options, request: Request) -> int:
    """Say whether installs are really guarded here."""
    from .doctor import examine

    parser("doctor", "Am I really guarded here? Ends in a self-test with a built-in test release.").parse_args(
        arguments
    )
    healthy = True
    for line in examine(request):
        healthy = healthy and line.word != "fail"
        print_out(str(line))
    return ExitCode.OK if healthy else ExitCode.UNJUDGED


VERBS: dict[str, Verb] = {
    "check": check,
    "audit": audit,
    "explain": explain,
    "feed": feed,
    "policy": policy,
    "waive": waive,
    "doctor": doctor,
}
