/**
 * What the server speaks beyond LSP: methods, commands, settings and payloads.
 * Mirrors `server/polyclone_server/protocol.py`, where everything is explained; a test holds the two equal.
 */

// --- methods ---

export const FIND_CLONES = "polyclone/findClones";
export const SCAN = "polyclone/scan";
export const STATUS = "polyclone/status";
export const STATUS_CHANGED = "polyclone/statusChanged";

// --- commands that the server executes ---

export const COMMAND_SCAN = "polyclone.server.scan";
export const COMMAND_OPEN = "polyclone.server.open";
export const COMMAND_IGNORE_PAIR = "polyclone.server.ignorePair";
export const COMMAND_ACCEPT = "polyclone.server.accept";
export const COMMAND_CLEAR_CACHE = "polyclone.server.clearCache";

export const SERVER_COMMANDS = [
  COMMAND_SCAN,
  COMMAND_OPEN,
  COMMAND_IGNORE_PAIR,
  COMMAND_ACCEPT,
  COMMAND_CLEAR_CACHE,
] as const;

// --- commands that this client offers ---

export const CLIENT_PEEK = "polyclone.peekClones";
export const CLIENT_COMPARE = "polyclone.compareWithClone";
export const CLIENT_IGNORE_PAIR = "polyclone.ignorePair";
export const CLIENT_GO_TO = "polyclone.goToClone";

export const CLIENT_COMMANDS = [CLIENT_PEEK, CLIENT_COMPARE, CLIENT_IGNORE_PAIR, CLIENT_GO_TO] as const;

// --- settings ---

export const SECTION = "polyclone";
export const DIAGNOSTIC_SOURCE = "polyclone";
export const RULE_CLONE = "cross-language-clone";

export interface ClientExtensions {
  commands?: string[];
  statusNotification?: boolean;
  settings?: Settings;
}

export interface DiagnosticsSettings {
  enable?: boolean;
  severity?: "hint" | "information" | "warning";
}

export interface Switch {
  enable?: boolean;
}

export interface Settings {
  enable?: boolean;
  minProbability?: number | null;
  precision?: number | null;
  sameLanguage?: boolean;
  languages?: string[];
  exclude?: string[];
  diagnostics?: DiagnosticsSettings;
  diagnosticMode?: "openFilesOnly" | "workspace";
  codeLens?: Switch;
  hover?: Switch;
  debounceMs?: number;
  acrossFolders?: boolean;
  jobs?: number | null;
  model?: string | null;
  device?: "cpu" | "cuda";
}

// --- values ---

export interface Position {
  line: number;
  character: number;
}

export interface Range {
  start: Position;
  end: Position;
}

export interface TextDocumentIdentifier {
  uri: string;
}

export interface FunctionItem {
  uri: string;
  path: string;
  language: string;
  languageTitle: string;
  name: string;
  qualifiedName: string;
  range: Range;
  selectionRange: Range;
}

export interface MatchItem {
  function: FunctionItem;
  probability: number;
  similarity: number;
  reasons: string[];
  fingerprint: string;
}

export interface PairItem {
  left: number;
  right: number;
  probability: number;
  similarity: number;
  reasons: string[];
  fingerprint: string;
}

export interface GroupItem {
  id: string;
  probability: number;
  members: FunctionItem[];
  pairs: PairItem[];
  accepted: boolean;
}

export interface FindClonesParams {
  textDocument: TextDocumentIdentifier;
  position: Position;
  limit?: number;
}

export interface FindClonesResult {
  function: FunctionItem | null;
  tooSmall: boolean;
  complete: boolean;
  matches: MatchItem[];
}

export interface ScanParams {
  roots?: string[];
  workDoneToken?: string | number;
  partialResultToken?: string | number;
}

export interface ScanPartialResult {
  groups: GroupItem[];
}

export interface ScanReport {
  files: number;
  functions: number;
  tooSmall: number;
  truncated: number;
  pairs: number;
  unverified: number;
  groups: GroupItem[];
  skipped: Record<string, number>;
  failures: FailureItem[];
  threshold: number;
  cancelled: boolean;
}

export interface FailureItem {
  path: string;
  stage: string;
  message: string;
}

export interface ModelItem {
  name: string;
  kind: string;
  version: string;
  digest: string;
  provider: string;
}

export interface Status {
  state: "loading" | "indexing" | "ready" | "error";
  message: string;
  done: number;
  total: number;
  files: number;
  functions: number;
  pairs: number;
  model: ModelItem | null;
  version: string;
  pid: number;
}

export interface IgnorePairArguments {
  uri: string;
  fingerprint: string;
  left: string;
  right: string;
  reason?: string;
}

export interface AcceptArguments {
  uri: string;
  pairs: IgnorePairArguments[];
}

export interface PeekArguments {
  uri: string;
  position: Position;
  locations: Location[];
}

export interface Location {
  uri: string;
  range: Range;
}

export interface CompareArguments {
  left: FunctionItem;
  right: FunctionItem;
}

export interface DiagnosticData {
  group: string;
  fingerprints: string[];
  probability: number;
  modelDigest: string;
}
