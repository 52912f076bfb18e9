/** The values of the phaseflow API as they travel, and the elements of this folder. */

export type JobPhase = "loading" | "chunking" | "embedding" | "indexing";
export type PhaseStatus = "not_started" | "running" | "paused" | "completed" | "failed";
export type JobStatus = "pending" | "running" | "paused" | "completed" | "failed" | "cancelled";
export type Verb = "start" | "pause" | "resume" | "cancel" | "retry";
export type WaitingOn = "upstream" | "rate_limit" | "retry" | "pause" | "queue" | "component" | "interrupted" | "index" | "workers";
/** `lost`: coming back by itself. `locked`: the server asks for its token. */
export type Connection = "connecting" | "live" | "lost" | "locked";

/** One phase of a job. Items are documents in loading and chunking, chunks in embedding and indexing. */
export interface PhaseDetail {
  name: JobPhase;
  status: PhaseStatus;
  /** 0–100, at most 99 until the phase is completed. */
  progress: number;
  items_processed: number;
  /** null while unknown. */
  items_total: number | null;
  items_failed: number;
  items_reused: number;
  started_at: string | null;
  completed_at: string | null;
  /** Running time only; paused time is not in it. */
  active_seconds: number;
  items_per_second: number | null;
  waiting_on: WaitingOn | null;
  error: string | null;
}

export interface Metrics {
  documents_found: number;
  documents_loaded: number;
  documents_unchanged: number;
  documents_deleted: number;
  documents_failed: number;
  chunks_created: number;
  embeddings_computed: number;
  embeddings_reused: number;
  chunks_indexed: number;
}

/** The status of one ingestion job: `JobStatusResponse` of the API. */
export interface IngestionJob {
  job_id: string;
  kb_id: string;
  status: JobStatus;
  phase: JobPhase;
  /** 0–100, the mean of the four phases. */
  progress: number;
  message: string;
  error: string | null;
  /** Asked for, and not in effect yet. */
  requested: "pause" | "cancel" | null;
  waiting_on: WaitingOn | null;
  allowed_actions: Verb[];
  /** null until it can be honest. */
  eta_seconds: number | null;
  metrics: Metrics;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  /** All four, in order. */
  phase_details: PhaseDetail[];
}

export interface FolderSource {
  type: "folder";
  path: string;
  include?: string[];
  exclude?: string[];
  archives?: boolean;
}

export interface WebSource {
  type: "web";
  urls: string[];
  max_pages?: number;
  max_depth?: number | null;
}

/** Files that were sent to the server. */
export interface UploadSource {
  type: "upload";
}

/** Whatever fsspec reaches. */
export interface FsspecSource {
  type: "fsspec";
  url: string;
  include?: string[];
  exclude?: string[];
  connection?: string;
}

export interface GitSource {
  type: "git";
  url: string;
  ref?: string;
  include?: string[];
  exclude?: string[];
  connection?: string;
}

export type Source = FolderSource | WebSource | UploadSource | FsspecSource | GitSource;

export interface OpenAIEmbedder {
  type: "openai";
  base_url: string;
  model: string;
}

/** When runs start by themselves: every `90s`, `15m`, `6h` or `1d`, and when a file of a folder changes. */
export interface SyncSettings {
  every?: string | null;
  watch?: boolean;
}

/** A folder of the server, or with `path` null where to begin. */
export interface FolderListing {
  path: string | null;
  parent: string | null;
  folders: { name: string; path: string }[];
  files: number;
  is_complete: boolean;
}

/** The embedding servers that the operator has named. */
export interface EmbeddingServers {
  servers: { name: string; model: string; dimensions: number | null; key_variable: string | null; has_key: boolean }[];
  key_variable: string;
  url_variable: string;
  has_key: boolean;
}

export interface EmbedderAnswer {
  dimension: number | null;
  error: string | null;
  seconds: number;
}

export interface Settings {
  chunk_size: number;
  chunk_overlap: number;
  sync?: SyncSettings | null;
  ocr?: { languages: string[] } | null;
  index?: { type: "embedded" | "postgres"; server?: string };
  embedder: { type: "static" } | OpenAIEmbedder | { type: "openai"; server: string };
}

export interface KnowledgeBase {
  kb_id: string;
  source: Source | null;
  settings: Settings;
  /** What differs from the settings that made the index, and what the next run does about it. */
  stale: { setting: string; cost: string }[];
  /** All documents by their status. */
  counts: Record<DocumentStatus, number>;
  /** By name, where the server knows several; `source` is the one named `default`. */
  sources: Record<string, Source>;
  /** Searchable now. */
  documents: number;
  chunks: number;
  created_at: string;
  updated_at: string;
  /** The newest job; null when it has never run. */
  job: IngestionJob | null;
  /** How it keeps in step with its sources; null when jobs start on request only. */
  sync?: { next_at: string | null; watching: string[]; error: string | null } | null;
  /** Names its sources and settings, where it was read alone. */
  etag?: string;
}

export interface Transition {
  seq: number;
  kb_id: string;
  job_id: string;
  /** null for a transition of the job. */
  phase: JobPhase | null;
  from: string;
  to: string;
  reason: string | null;
  error: string | null;
  at: string;
}

export type MetadataValue = string | number | boolean | string[];

export interface Failure {
  uri: string;
  phase: JobPhase;
  code: string;
  error: string;
  attempts: number;
  at: string;
}

export type DocumentStatus = "queued" | "processing" | "indexed" | "failed" | "skipped";

/** What a knowledge base knows under one uri. `chunks` counts its passages; `size` is in bytes. */
export interface DocumentInfo {
  id: string;
  uri: string;
  source: string;
  title: string;
  media_type: string | null;
  size: number | null;
  status: DocumentStatus;
  phase: JobPhase | null;
  searchable: boolean;
  chunks: number;
  attempts: number;
  code: string | null;
  error: string | null;
  metadata: Record<string, MetadataValue>;
  created_at: string;
  updated_at: string;
  indexed_at: string | null;
  /** Names its metadata, where it was read alone. */
  etag?: string;
}

/** The answer to a retry. `message`: what it waits for, if for anything. */
export interface DocumentRetried extends DocumentInfo {
  message?: string;
}

/** `text` is exactly the characters `start` to `end` of the document's extracted text. */
export interface DocumentChunk {
  position: number;
  start: number;
  end: number;
  text: string;
}

/** What a list of documents is narrowed to. `q` is a part of the uri. */
export interface DocumentFilter {
  status?: DocumentStatus;
  q?: string;
  source?: string;
}

export type DocumentVerb = "retry" | "skip";

export interface SearchHit {
  document_id: string;
  uri: string;
  title: string;
  text: string;
  score: number;
  /** Characters of the extracted text. */
  start: number;
  end: number;
  metadata: DocumentInfo["metadata"];
  /** Other places with the same text. */
  also_in?: { uri: string; start: number; end: number }[];
}

/** The passages found, best first. `degraded` says why they are not ranked by vectors and words. */
export type SearchMode = "hybrid" | "words" | "vectors";

/** Which documents a search is about, in the form of OpenAI's vector stores. */
export type Filter =
  | { type: "eq" | "ne" | "gt" | "gte" | "lt" | "lte" | "glob"; key: string; value: string | number | boolean }
  | { type: "in" | "nin"; key: string; value: (string | number)[] }
  | { type: "and" | "or"; filters: Filter[] };

export interface SearchResults {
  hits: SearchHit[];
  mode: SearchMode;
  degraded: string | null;
}

export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}

/** What a start may be told. `hold` names phases that begin paused. */
export interface StartOrder {
  source?: Source;
  settings?: Settings;
  full?: boolean;
  hold?: JobPhase[];
}

/** RFC 9457, as the API answers it. */
export interface Problem {
  title: string;
  detail: string;
  code: string;
  status?: number;
  job_status?: JobStatus;
  field?: string;
  allowed_actions?: Verb[];
}

/** `detail` of the `phaseflow-refused` event. */
export interface Refusal {
  kb_id: string;
  verb: Verb;
  phase: JobPhase | null;
  code: string;
  detail: string;
}

export interface PhaseStatusElement extends HTMLElement {
  /** What is shown now; null before the first answer, and for a KB that has never run. */
  readonly job: IngestionJob | null;
}

export interface KbListElement extends HTMLElement {
  selected: string | null;
  /** Put the focus on one of the knowledge bases. */
  focusOn(kbId: string): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "phase-status": PhaseStatusElement;
    "kb-list": KbListElement;
  }
  interface HTMLElementEventMap {
    "phaseflow-status": CustomEvent<IngestionJob>;
    "phaseflow-refused": CustomEvent<Refusal>;
    "kb-select": CustomEvent<{ kb_id: string }>;
  }
}
