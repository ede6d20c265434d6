// The same few calls of better-sqlite3 for every peer on Node, inline as its guide has them; the Python peers' twin is
// ../../python/rows.py. WAL, and an acknowledged write is on the disk: as Turnout has it in production.
import Database from "better-sqlite3";

export const db = new Database(process.env.BENCH_SQLITE);
db.pragma("journal_mode = wal");
db.pragma("synchronous = full");
let articles; // prepared at the first question: Next imports this while it builds, where there is no table yet

export const tenRows = () =>
  (articles ??= db.prepare("select id, title, views, body from articles order by id limit 10")).all();
