// Collections by Directus's own diff. What an administrator added by hand stays: a deletion is reported, never applied.

const deletes = (entry) => entry.diff[0]?.kind === 'D';
const label = (kind, entry) => [kind, entry.collection, entry.field].filter(Boolean).join(' ');

export function split(diff) {
  const applied = {};
  const kept = [];
  const changes = [];
  for (const [kind, entries] of Object.entries(diff)) {
    applied[kind] = entries.filter((entry) => !deletes(entry));
    kept.push(...entries.filter(deletes).map((entry) => label(kind, entry)));
    changes.push(...applied[kind].map((entry) => label(kind, entry)));
  }
  return { applied, kept, changes };
}

/** Compare the snapshot with the running Directus and apply the difference unless `check`. */
export async function schemaChanges(call, snapshot, check) {
  // `force` admits a snapshot taken from another Directus release: migrations keep its format valid.
  const found = await call('POST', '/schema/diff?force=true', snapshot);
  if (!found) return { changes: [], kept: [] };
  const { applied, kept, changes } = split(found.diff);
  if (changes.length && !check) await call('POST', '/schema/apply?force=true', { hash: found.hash, diff: applied });
  return { changes, kept };
}
