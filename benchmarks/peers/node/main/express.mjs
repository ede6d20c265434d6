// Express. Validation by hand (shared/item.mjs), as Express brings none.
//
// Run:  node express.mjs PORT
import express from "express";
import { parseId, parseItem } from "./shared/item.mjs";
import { tenRows } from "./shared/rows.mjs";

const app = express();
app.use(express.json());

app.get("/api/hello", (request, response) => response.json({ message: "Hello World!" }));

app.get("/api/items/:id", (request, response) => {
  const id = parseId(request.params.id);
  if (id === null) return response.status(404).json({ error: "Not found" });
  response.json({ id, q: request.query.q ?? null });
});

app.post("/api/items", (request, response) => {
  const item = parseItem(request.body);
  if (item === null) return response.status(422).json({ error: "Not an item" });
  response.status(201).json({ name: item.name, tags: item.tags, total: item.price * item.quantity });
});

app.get("/api/articles", (request, response) => response.json(tenRows()));

app.listen(Number(process.argv[2]), "127.0.0.1");
