"""What the server speaks beyond LSP 3.17: methods, commands, settings and payloads. Described once, here.

The VS Code client mirrors this module in `protocol.ts`; a test holds the two equal. `docs/lsp-extensions.md` explains
it to people. Values are plain JSON: positions and ranges are LSP's, in the encoding that was negotiated; URIs are
strings; a field named `…Digest` or `fingerprint` is lower-case hex. Nothing here knows pygls or lsprotocol.
"""

from __future__ import annotations

from typing import Final, Literal, NotRequired, TypedDict

# --- methods ---

FIND_CLONES: Final = "polyclone/findClones"
"""Request, client → server: `FindClonesParams` → `FindClonesResult`."""
SCAN: Final = "polyclone/scan"
"""Request, client → server: `ScanParams` → `ScanReport`. Partial results are `ScanPartialResult`."""
STATUS: Final = "polyclone/status"
"""Request, client → server: no parameters → `Status`."""
STATUS_CHANGED: Final = "polyclone/statusChanged"
"""Notification, server → client: `Status`. Only to a client with `ClientExtensions.statusNotification`."""

# --- commands that the server executes (`workspace/executeCommand`) ---

COMMAND_SCAN: Final = "polyclone.server.scan"
"""No arguments. Scans the whole workspace with server-initiated progress; findings become diagnostics."""
COMMAND_OPEN: Final = "polyclone.server.open"
"""`[FunctionItem]`. Shows the function: `window/showDocument`, or a message with its path and line."""
COMMAND_IGNORE_PAIR: Final = "polyclone.server.ignorePair"
"""`[IgnorePairArguments]`. Adds the pair to `.polyclone/ignored` of the folder and refreshes."""
COMMAND_ACCEPT: Final = "polyclone.server.accept"
"""`[AcceptArguments]`. Adds the pairs to `.polyclone/baseline` of the folder and refreshes."""
COMMAND_CLEAR_CACHE: Final = "polyclone.server.clearCache"
"""No arguments. Empties the cache of vectors and indexes, and indexes again."""

SERVER_COMMANDS: Final = (COMMAND_SCAN, COMMAND_OPEN, COMMAND_IGNORE_PAIR, COMMAND_ACCEPT, COMMAND_CLEAR_CACHE)

# --- commands that a client may offer; named in `ClientExtensions.commands` when it does ---

CLIENT_PEEK: Final = "polyclone.peekClones"
"""`[PeekArguments]`. Shows all locations in a peek view."""
CLIENT_COMPARE: Final = "polyclone.compareWithClone"
"""`[CompareArguments]`. Shows two functions side by side."""
CLIENT_IGNORE_PAIR: Final = "polyclone.ignorePair"
"""`[IgnorePairArguments]`. Asks the user for a reason, then runs `COMMAND_IGNORE_PAIR` with it."""
CLIENT_GO_TO: Final = "polyclone.goToClone"
"""`[FunctionItem]`. Opens the function and selects its name."""

CLIENT_COMMANDS: Final = (CLIENT_PEEK, CLIENT_COMPARE, CLIENT_IGNORE_PAIR, CLIENT_GO_TO)

# --- settings ---

SECTION: Final = "polyclone"
"""Section of `workspace/configuration`; `Settings` lists its keys."""

DIAGNOSTIC_SOURCE: Final = "polyclone"
RULE_CLONE: Final = "cross-language-clone"
"""`code` of every diagnostic, and the rule's id in other report formats."""


class ClientExtensions(TypedDict, total=False):
    """`initializationOptions` of a client, all optional."""

    commands: list[str]
    """Which of `CLIENT_COMMANDS` this client executes."""
    statusNotification: bool
    """Send `polyclone/statusChanged`."""
    settings: Settings
    """Settings for clients without `workspace/configuration`; that, where it is supported, wins."""


class DiagnosticsSettings(TypedDict, total=False):
    enable: bool
    """Default true."""
    severity: Literal["hint", "information", "warning"]
    """Default `information`."""


class Switch(TypedDict, total=False):
    enable: bool
    """Default true."""


class Settings(TypedDict, total=False):
    """Keys below `polyclone`, as the client's settings give them. `null` or absent means the default."""

    enable: bool
    minProbability: float | None
    precision: float | None
    sameLanguage: bool
    languages: list[str]
    exclude: list[str]
    diagnostics: DiagnosticsSettings
    diagnosticMode: Literal["openFilesOnly", "workspace"]
    codeLens: Switch
    hover: Switch
    debounceMs: int
    """Default 200."""
    acrossFolders: bool
    """Match functions of different workspace folders. Default true."""
    jobs: int | None
    """Parsing processes; default one per core. From the client only."""
    model: str | None
    """Folder of a model bundle. From the client only, never from a file of the workspace."""
    device: Literal["cpu", "cuda"]
    """From the client only."""


# --- values ---


class Position(TypedDict):
    line: int
    character: int


class Range(TypedDict):
    start: Position
    end: Position


class TextDocumentIdentifier(TypedDict):
    uri: str


class FunctionItem(TypedDict):
    """One function of the workspace."""

    uri: str
    path: str
    """For people: relative to its workspace folder, posix."""
    language: str
    """Canonical name: `python`, `csharp`, …"""
    languageTitle: str
    """For people: `Python`, `C#`, …"""
    name: str
    qualifiedName: str
    range: Range
    """The whole function."""
    selectionRange: Range
    """Its name, or its first line where it has none."""


class MatchItem(TypedDict):
    function: FunctionItem
    probability: float
    similarity: float
    reasons: list[str]
    fingerprint: str


class PairItem(TypedDict):
    """An edge of a group: positions in its `members`."""

    left: int
    right: int
    probability: float
    similarity: float
    reasons: list[str]
    fingerprint: str


class GroupItem(TypedDict):
    id: str
    """Content identity of the group; stable while its members' contents are."""
    probability: float
    """The highest of its pairs."""
    members: list[FunctionItem]
    pairs: list[PairItem]
    accepted: bool
    """True if every pair is ignored or in the baseline."""


class FindClonesParams(TypedDict):
    textDocument: TextDocumentIdentifier
    position: Position
    limit: NotRequired[int]
    """Default 10."""


class FindClonesResult(TypedDict):
    function: FunctionItem | None
    """The function around the position; None where there is none."""
    tooSmall: bool
    """The function is too small to judge; `matches` is empty."""
    complete: bool
    """False while the workspace is still being indexed: later answers may have more."""
    matches: list[MatchItem]
    """Best first, of any probability."""


class ScanParams(TypedDict, total=False):
    roots: list[str]
    """URIs of workspace folders or folders below them; default all."""
    workDoneToken: str | int
    partialResultToken: str | int


class ScanPartialResult(TypedDict):
    groups: list[GroupItem]
    """Further groups; none is sent twice, and the final `ScanReport.groups` is empty when they were streamed."""


class ScanReport(TypedDict):
    files: int
    functions: int
    tooSmall: int
    truncated: int
    pairs: int
    unverified: int
    """Pairs that a bundle's judge was to verify and did not come to in its time; 0 without a judge."""
    groups: list[GroupItem]
    skipped: dict[str, int]
    """Files left out, by reason."""
    failures: list[FailureItem]
    threshold: float
    cancelled: bool


class FailureItem(TypedDict):
    path: str
    stage: str
    message: str


class ModelItem(TypedDict):
    name: str
    kind: str
    version: str
    digest: str
    provider: str


class Status(TypedDict):
    state: Literal["loading", "indexing", "ready", "error"]
    message: str
    """One line for people, with the remedy in it for `error`."""
    done: int
    total: int
    """Functions encoded and to encode while `indexing`; else both 0."""
    files: int
    functions: int
    pairs: int
    model: ModelItem | None
    version: str
    """Of the server."""
    pid: int


class IgnorePairArguments(TypedDict):
    uri: str
    """A document of the folder whose `.polyclone/ignored` is written."""
    fingerprint: str
    left: str
    right: str
    """`language qualified name` of both sides, for the reader of the file."""
    reason: NotRequired[str]


class AcceptArguments(TypedDict):
    uri: str
    pairs: list[IgnorePairArguments]


class PeekArguments(TypedDict):
    uri: str
    position: Position
    locations: list[Location]


class Location(TypedDict):
    uri: str
    range: Range


class CompareArguments(TypedDict):
    left: FunctionItem
    right: FunctionItem


class DiagnosticData(TypedDict):
    """`data` of a diagnostic."""

    group: str
    """Identity of the function with its clones; `GroupItem.id`, where all of them are clones of each other."""
    fingerprints: list[str]
    """Of its matches, best first."""
    probability: float
    modelDigest: str
