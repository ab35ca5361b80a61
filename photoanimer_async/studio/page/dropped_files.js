// Files out of a drop or a file chooser, with those of the folders below.

/** The types and suffixes of each format, for the file chooser and for the files of a folder. */
const KINDS = {
  PNG: ["image/png", ".png"],
  JPEG: ["image/jpeg", ".jpg", ".jpeg", ".jpe", ".jfif"],
  BMP: ["image/bmp", ".bmp"],
  WEBP: ["image/webp", ".webp"],
  TIFF: ["image/tiff", ".tif", ".tiff"],
  HEIC: ["image/heic", "image/heif", ".heic", ".heif", ".hif"],
  AVIF: ["image/avif", ".avif"],
};
/** Folders that systems and photo programs keep for themselves. */
const SYSTEM_FOLDERS = new Set(["@eadir", "#recycle", "$recycle.bin", "__macosx", "system volume information"]);

/** Return the value of `accept` for a file input. Phones convert photos to a named type. */
export const acceptOf = (formats) => formats.flatMap((format) => KINDS[format] ?? []).join();

/** Return whether a file may be a photo; one without a type and a known suffix may be. */
export function isPhoto(file, formats) {
  const name = file.name.toLowerCase();
  if (isHidden(name)) return false;
  const known = formats.flatMap((format) => KINDS[format] ?? []);
  if (known.some((kind) => (kind.startsWith(".") ? name.endsWith(kind) : file.type === kind))) return true;
  return file.type.startsWith("image/") || (!file.type && !/\.[a-z0-9]{1,8}$/.test(name));
}

export const withoutSuffix = (name) => name.replace(/\.[^.]*$/, "").trim() || "photo";

const isHidden = (name) => name.startsWith(".") || SYSTEM_FOLDERS.has(name.toLowerCase());

/** Return the files of a chosen folder that are not hidden, and how many there are in all. */
export function ofFolder(files) {
  const isVisible = (file) => !(file.webkitRelativePath || file.name).split("/").some(isHidden);
  return [...files].filter(isVisible);
}

/**
 * Resolve to the files of a drop: those of its folders are in the order of their names.
 *
 * The entries must be taken at once: after the event the transfer is empty.
 */
export async function filesOf(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? null);
  const files = items.map((item) => item.getAsFile());
  const found = await Promise.all(
    entries.map((entry, at) => (entry?.isDirectory ? filesBelow(entry) : [files[at]])),
  );
  return found.flat().filter(Boolean);
}

async function filesBelow(folder) {
  if (isHidden(folder.name)) return [];
  const entries = (await entriesOf(folder)).filter((entry) => !isHidden(entry.name));
  entries.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  const found = [];
  for (const entry of entries) {
    found.push(...(entry.isDirectory ? await filesBelow(entry) : [await fileOf(entry)]));
  }
  return found;
}

/** Resolve to all entries of a folder; the browser gives a hundred at a time. */
async function entriesOf(folder) {
  const reader = folder.createReader();
  const all = [];
  for (;;) {
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) return all;
    all.push(...some);
  }
}

const fileOf = (entry) => new Promise((resolve) => entry.file(resolve, () => resolve(null)));
