/**
 * The files that somebody drops or chooses, folders with all that is in them: each with its path from what was dropped.
 */

/**
 * @typedef {object} Chosen
 * @property {File} file
 * @property {string} name its uri: the path with `/`, beginning with the folder that was dropped
 */

/** So many files of one drop are taken; what is larger is a source of the server. */
export const MOST_FILES = 20_000;

/** @param {string} name */
const isHidden = (name) => name.startsWith(".");

/** @param {DragEvent} event */
export const hasFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;

/**
 * All files of a drop, at most `MOST_FILES`. Hidden ones are left out, as they are on the server. Has to be called while
 * the event is heard: afterwards a browser gives nothing.
 * @param {DataTransfer | null} dropped
 * @param {AbortSignal} [signal]
 * @returns {Promise<{chosen: Chosen[], isWhole: boolean}>}
 */
export async function droppedFiles(dropped, signal) {
  const files = [...(dropped?.files ?? [])];
  const entries = [...(dropped?.items ?? [])].filter(({ kind }) => kind === "file").map((item) => item.webkitGetAsEntry?.() ?? null);
  if (entries.every((entry) => entry === null)) return whole(files.map((file) => ({ file, name: file.name })));
  /** @type {Chosen[]} */
  const chosen = [];
  const waiting = entries.filter((entry) => entry !== null).reverse();
  for (let entry = waiting.pop(); entry && !signal?.aborted; entry = waiting.pop()) {
    if (chosen.length === MOST_FILES) return { chosen, isWhole: false };
    if (isHidden(entry.name)) continue;
    if (entry.isFile) {
      const file = await fileOf(/** @type {FileSystemFileEntry} */ (entry));
      if (file) chosen.push({ file, name: entry.fullPath.replace(/^\/+/, "") || file.name });
    } else waiting.push(...(await entriesOf(/** @type {FileSystemDirectoryEntry} */ (entry))).reverse());
  }
  return whole(chosen);
}

/**
 * The files of an input, which may have let somebody choose a folder.
 * @param {FileList | null} files
 */
export function pickedFiles(files) {
  const all = [...(files ?? [])].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
  const seen = all.filter(({ name }) => !name.split("/").some(isHidden));
  return { chosen: seen.slice(0, MOST_FILES), isWhole: seen.length <= MOST_FILES };
}

/** @param {Chosen[]} chosen */
const whole = (chosen) => ({ chosen, isWhole: true });

/**
 * One that cannot be read any more is left out: it was moved while the others were looked for.
 * @param {FileSystemFileEntry} entry
 * @returns {Promise<File | null>}
 */
const fileOf = (entry) => new Promise((done) => entry.file(done, () => done(null)));

/**
 * What is in a folder, in the order of the names. A browser gives some at a time, and nothing once that was all.
 * @param {FileSystemDirectoryEntry} folder
 * @returns {Promise<FileSystemEntry[]>}
 */
async function entriesOf(folder) {
  const reader = folder.createReader();
  /** @type {FileSystemEntry[]} */
  const found = [];
  while (found.length <= MOST_FILES) {
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((done) => reader.readEntries(done, () => done([])));
    if (some.length === 0) break;
    found.push(...some);
  }
  return found.sort((one, other) => (one.name < other.name ? -1 : 1));
}
