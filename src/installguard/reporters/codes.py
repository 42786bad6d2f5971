"""What each finding code means, in one table: `guard explain CODE` shows it, docs/findings.md tells it at length."""

from __future__ import annotations

from collections.abc import Mapping

from ..dataclass import dataclass
from ..model import Code


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeText:
    """One code, told to a person."""

    meaning: str
    evidence: str
    level: str
    """The level, with the policy key that sets it."""
    lift: str
    """What makes it go away."""
    raised: bool = True
    """Whether this version has a check that raises it."""


LATER = "No check of this version raises it; its policy keys are refused until one does."

CODES: Mapping[Code, CodeText] = {
    Code.MALICIOUS: CodeText(
        meaning="A feed lists this very release as malware.",
        evidence="The malware record: its id and aliases, when it was published, and which feed holds it.",
        level=(
            "malicious.level (deny; 'allow' is refused). For a local tree, a VCS checkout, or a name that "
            "packages.index ties to a private index, of which public feeds know little, at most warn: it has the "
            "same name and version as malware."
        ),
        lift=(
            "Take another release: the nearest that passes is named where the data tells one. A waiver must "
            "name the one exact release: guard waive ID NAME==VERSION --reason … --expires …"
        ),
    ),
    Code.MALICIOUS_PROJECT: CodeText(
        meaning=(
            "Other releases of this project are listed as malware, this one is not, or its version cannot be told."
        ),
        evidence="The malware record that names the project.",
        level=(
            "malicious.other-versions (warn; relaxed: allow, strict: deny). For a local tree or a VCS "
            "checkout at most warn."
        ),
        lift=(
            "Check that the release is from before the attack, or from after it was cleared up; then waive "
            "the record's id, or the code, for that release."
        ),
    ),
    Code.VULNERABLE: CodeText(
        meaning="An advisory says that this release has a vulnerability.",
        evidence=(
            "The advisory: its id and aliases, its severity by CVSS, the versions that fix it, and which feed"
            " holds it. Records that share an alias are one finding. Whether attacks by it are known, by the feeds' "
            "lists and a few built in."
        ),
        level=(
            "vulnerabilities.deny and vulnerabilities.warn are thresholds of severity (none / low; strict: "
            "high / low); vulnerabilities.unknown-severity is what a record without CVSS counts as (medium); "
            "vulnerabilities.exploited is the least for what is known to be exploited (deny; relaxed: warn); "
            "vulnerabilities.no-fix is the most that one without a fixed version above this release can reach"
            " (warn)."
        ),
        lift=(
            "Take the release named as fix, or waive the advisory's id (or any alias) for the releases "
            "concerned; the code 'vulnerable' waives all of a release."
        ),
    ),
    Code.YANKED: CodeText(
        meaning="The index has marked the file as yanked: its publisher took it back.",
        evidence="The index page's own mark (PEP 592), with the reason given there.",
        level="release.yanked (warn; strict: deny).",
        lift=(
            "Take a release that is not yanked, or waive it for the release: guard waive yanked NAME==VERSION"
            " --reason … --expires …"
        ),
    ),
    Code.TOO_YOUNG: CodeText(
        meaning=(
            "The file was uploaded more recently than the cooldown allows: most malicious releases are found out "
            "within days."
        ),
        evidence="The upload time that the index gives, and the time at which the release becomes eligible.",
        level=(
            "Deny, where release.min-age (3d; relaxed: 0d, strict: 7d) is not over; warn where a hash or a lock file "
            "chose the very file before, save under preset = 'strict'. Not for what release.min-age-exclude names, "
            "nor for a release that fixes what the one otherwise chosen suffers from."
        ),
        lift=(
            "Wait until the time that is named, take an older release, add the project or the release to "
            "release.min-age-exclude, or waive it for the release: guard waive too-young NAME==VERSION --reason … "
            "--expires …"
        ),
    ),
    Code.AGE_UNKNOWN: CodeText(
        meaning="The index gives no upload time, so that the cooldown cannot be kept.",
        evidence="The file, and the index page without a time (PEP 700) of it.",
        level=(
            "release.min-age-unknown (allow; strict: deny), where release.min-age asks for an age at all, save for "
            "what release.min-age-exclude names."
        ),
        lift=(
            "Use an index that gives upload times, add the project to release.min-age-exclude, or waive it for the "
            "release: guard waive age-unknown NAME==VERSION --reason … --expires …"
        ),
    ),
    Code.PROJECT_STATUS: CodeText(
        meaning=(
            "The index marks the whole project as quarantined (it is thought to be malicious), archived (no release is "
            "to be expected, not even a fix) or deprecated."
        ),
        evidence="The index page's own mark (PEP 792), with the reason given there.",
        level=("release.status, one level each: quarantined deny; archived and deprecated warn (relaxed: allow)."),
        lift=(
            "Look for a project that is maintained, or waive it for the release: guard waive project-status "
            "NAME==VERSION --reason … --expires …"
        ),
    ),
    Code.DENIED_PACKAGE: CodeText(
        meaning="The policy denies this project, or these releases of it.",
        evidence=(
            "The entry of packages.deny that matches, with its reason. Where the version cannot be told, an "
            "entry for some versions counts as matching."
        ),
        level="Always deny; packages.deny lists what it is about.",
        lift=(
            "Use what the entry names instead, change the entry, or waive it for the release: guard waive "
            "denied-package NAME==VERSION --reason … --expires …"
        ),
    ),
    Code.NOT_ALLOWED: CodeText(
        meaning="The policy lists what may be installed, and this is not on the list.",
        evidence="packages.allow is not empty and no entry matches. Build requirements count too.",
        level="Always deny; packages.allow lists what it is not about.",
        lift=(
            "Add it to packages.allow, or waive it for the release: guard waive not-allowed NAME==VERSION "
            "--reason … --expires …"
        ),
    ),
    Code.WRONG_INDEX: CodeText(
        meaning="The policy ties this name to an index, and the release comes from elsewhere.",
        evidence=(
            "The index, URL or checkout that it comes from, beside the first entry of packages.index that matches the "
            "name. Credentials and a trailing slash make no difference; scheme, host, port and path do. A local tree "
            "is not meant."
        ),
        level="Always deny; packages.index ties names to indexes.",
        lift=(
            "Take the release from the index that the policy names, change the entry, or waive it for the release: "
            "guard waive wrong-index NAME==VERSION --reason … --expires …"
        ),
    ),
    Code.AMBIGUOUS_INDEX: CodeText(
        meaning=(
            "Two configured indexes offer this project, and nothing says which is meant: whoever takes a private "
            "name on a public index can slip in a release (dependency confusion)."
        ),
        evidence=(
            "The indexes on which the installer itself found the project. A hash in the requirement says which file "
            "is meant."
        ),
        level="packages.ambiguous-index (warn; relaxed: allow, strict: deny).",
        lift=(
            "Tie the name to one index by packages.index, or waive it for the release: guard waive ambiguous-index "
            "NAME==VERSION --reason … --expires …"
        ),
    ),
    Code.SIMILAR_NAME: CodeText(
        meaning=(
            "The name is a slip or a trick away from that of a popular project, and is not popular itself: malware is "
            "often named so."
        ),
        evidence=(
            "The popular project's name, by the download list of the feeds, or by a list built into guard where there "
            "is none. Only what was asked for by name, and is not installed yet, is compared."
        ),
        level="packages.similar-name (warn; relaxed: allow, strict: deny).",
        lift=(
            "Check the spelling. If the name is meant, name it in packages.allow or packages.index, or waive it for "
            "the release: guard waive similar-name NAME==VERSION --reason … --expires …"
        ),
    ),
    Code.DIRECT_ORIGIN: CodeText(
        meaning="The release comes from a URL, a version control system or a local path, not from an index.",
        evidence="The URL or path. What is installed already is not reported again.",
        level="packages.direct (warn; relaxed: allow, strict: deny).",
        lift=(
            "Take the release from an index, or waive it for the release: guard waive direct-origin "
            "NAME==VERSION --reason … --expires …"
        ),
    ),
    Code.NEEDS_BUILD: CodeText(
        meaning=(
            "The release comes as source: building it runs its code on this machine, before anything is installed."
        ),
        evidence="It is a source distribution, a source tree, or a wheel that was just built from one.",
        level="builds.level (warn; relaxed: allow, strict: deny), save for what builds.allow lists.",
        lift=(
            "Take a release with a wheel, add it to builds.allow, or waive it for the release: guard waive "
            "needs-build NAME==VERSION --reason … --expires …"
        ),
    ),
    Code.ARTIFACT_MISMATCH: CodeText(
        meaning=(
            "The wheel is not what it was offered as: its METADATA names another project or version, or cannot be read."
        ),
        evidence="Name and version in the wheel's own METADATA beside those of its file name and index.",
        level="Always deny.",
        lift=(
            "Take another release and tell the publisher, or waive it for the release: guard waive "
            "artifact-mismatch NAME==VERSION --reason … --expires …"
        ),
    ),
    Code.STARTUP_CODE: CodeText(
        meaning="The wheel brings code that runs at every start of the interpreter, whatever is imported.",
        evidence="The members that do so: .pth files with code, .start files, sitecustomize, usercustomize.",
        level="builds.startup-code (warn; strict: deny).",
        lift=(
            "See what that code does, then waive it for the release: guard waive startup-code NAME==VERSION "
            "--reason … --expires …"
        ),
    ),
    Code.LICENSE: CodeText(
        meaning="The wheel is under a licence that the policy denies, or under one that cannot be told.",
        evidence=(
            "The SPDX expression in the wheel's METADATA (License-Expression), else its licence classifiers as far as "
            "each stands for one licence. Of alternatives (OR) one that is not denied is enough."
        ),
        level=(
            "Deny for what licenses.deny lists; licenses.unknown (allow; strict: warn) where it cannot be told. "
            "licenses.deny needs the library of installguard[licenses]."
        ),
        lift=(
            "Take a project under another licence, or waive it for the release: guard waive license NAME==VERSION "
            "--reason … --expires …"
        ),
    ),
    Code.UNKNOWN_RELEASE: CodeText(
        meaning="The name or the version cannot be told, so that no advisory can be matched.",
        evidence="A source tree without static metadata, or an installed distribution whose metadata is broken.",
        level="Warn; deny under preset = 'strict' (no key of its own).",
        lift=(
            "Give the project static metadata, repair or remove the installation, or, where the name is "
            "known, waive it: guard waive unknown-release NAME --reason … --expires …"
        ),
    ),
    Code.INDETERMINATE: CodeText(
        meaning="An advisory names this project, but whether it affects this version cannot be decided.",
        evidence="The advisory, and the event or version that cannot be ordered.",
        level="Always warn.",
        lift="Look the advisory up, then waive its id for the release.",
    ),
    Code.FEED_MISSING: CodeText(
        meaning=(
            "There is no usable snapshot of a source: only the built-in baseline of known takeovers, or other"
            " sources, could be judged by."
        ),
        evidence="The source's name, and why a snapshot that is there cannot be used.",
        level="feed.missing (warn; strict: deny, exit code 12).",
        lift="Run guard feed update, or import a feed: guard feed import PATH. It cannot be waived.",
    ),
    Code.FEED_STALE: CodeText(
        meaning="The snapshot is older than the policy allows, or lies in the future.",
        evidence="When each source was last confirmed by its origin.",
        level="feed.stale (warn; strict: deny, exit code 12); feed.max-age is the limit (24 h).",
        lift="Run guard feed update; check the clock. It cannot be waived.",
    ),
    Code.FEED_UNREADABLE: CodeText(
        meaning="Some records of the feed could not be read: what they say was not judged by.",
        evidence="How many; guard -v feed status lists them with the reason.",
        level="Always warn.",
        lift="Run guard feed update; tell the feed's publisher if they stay. It cannot be waived.",
    ),
    Code.WAIVER_EXPIRED: CodeText(
        meaning="A waiver for a project judged here is past its last day (UTC) and no longer applies.",
        evidence="The waiver, by its table in the policy file.",
        level="Always warn.",
        lift="Renew the waiver with a reason that still holds, or remove it. It cannot be waived.",
    ),
    Code.WAIVER_UNUSED: CodeText(
        meaning="A waiver for a project judged here matches nothing that was found.",
        evidence=(
            "The waiver, by its table in the policy file. Waivers for projects that were not judged are not mentioned."
        ),
        level="Always warn.",
        lift="Remove the waiver. It cannot be waived.",
    ),
    Code.UNJUDGED: CodeText(
        meaning=(
            "Something could not be judged at all: an installer that guard does not know, or a lost connection to it."
        ),
        evidence="What failed, and where.",
        level=(
            "Always deny (exit code 12). This version says it of a run as a whole; no check raises it for one release."
        ),
        lift="Remove the cause: guard doctor says what guard knows. It cannot be waived.",
        raised=False,
    ),
}
"""Every code of the closed set."""
