// Hono on its Node server. Validation by hand (shared/item.mjs): generous to Hono, whose guide has a schema library.
//
// Run:  node hono.mjs PORT
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { parseId, parseItem } from "./shared/item.mjs";
import { tenRows } from "./shared/rows.mjs";

const app = new Hono();

app.get("/api/hello", (c) => c.json({ message: "Hello World!" }));

app.get("/api/items/:id", (c) => {
  const id = parseId(c.req.param("id"));
  return id === null ? c.json({ error: "Not found" }, 404) : c.json({ id, q: c.req.query("q") ?? null });
});

app.post("/api/items", async (c) => {
  const item = parseItem(await c.req.json().catch(() => null));
  if (item === null) return c.json({ error: "Not an item" }, 422);
  return c.json({ name: item.name, tags: item.tags, total: item.price * item.quantity }, 201);
});

app.get("/api/articles", (c) => c.json(tenRows()));

serve({ fetch: app.fetch, hostname: "127.0.0.1", port: Number(process.argv[2]) });
